"""How versions degrade under the faults that are injected: which endpoints fail, slow down, answer differently.

The score of an endpoint, 0 to 1, is the share of the copies held back by a fault that were answered as well as without
one: what fails (alone, the original did not) or differs more often than without a fault is subtracted, the larger of
the two, since who fails also differs. Where a control answered too, a difference is what it does not explain: one in a
field in which it never differed. A version's score weighs its endpoints by their copies; the profile's is that of its
worst version. Copies that a fault answered itself are counted and say nothing about a version, nor does slowness count
in the score: it is shown beside it, the delay itself left out.

Guarantees: pure, bounded (`SHOWN` endpoints, the worst first). Not guaranteed: anything statistical: these are shares
of what was seen, no evidence for a verdict; without a control, that noise is no difference (the score leaves out what
is usual); that a field which changes with time, and is no clock by its looks, is not taken for changed in a late one.
"""

from collections.abc import Iterable

from xds_server.analysis.verdict.case import Case
from xds_server.analysis.verdict.verdict import Degraded, Resilience
from xds_server.analysis.verdict.words import place, plural, share, times
from xds_server.analysis.windows.profile_evidence import EndpointEvidence

SHOWN = 50
SLOWER = 1.25
"""Times its own median without faults, from which an endpoint is said to slow down."""


def resilience_of(case: Case) -> Resilience | None:
    """Return how the versions do under faults; None when none was injected."""
    found = [
        _degraded(variant, name, endpoint)
        for variant in case.variants
        if (version := case.evidence.versions.get(variant)) is not None
        for name, endpoint in version.endpoints.items()
        if endpoint.evidence.faulted.pairs or endpoint.evidence.faulted.aborted
    ]
    if not found:
        return None
    scores = {v: _whole(d for d in found if d.variant == v) for v in dict.fromkeys(d.variant for d in found)}
    known = [score for score in scores.values() if score is not None]
    found.sort(key=lambda d: (2.0 if d.score is None else d.score, -(d.slower or 0), -d.pairs, d.variant, d.endpoint))
    return Resilience(min(known, default=None), _summary(found, scores), tuple(found[:SHOWN]), scores)


def slows_down(found: Degraded) -> bool:
    """Return whether it takes notably longer than without faults."""
    return found.slower is not None and found.slower >= SLOWER


def _degraded(variant: str, name: str, endpoint: EndpointEvidence) -> Degraded:
    seen = endpoint.evidence
    under = seen.faulted
    if not under.pairs:
        reason = (
            f"{place(name)}: {plural(under.aborted, 'copy')} answered by a fault itself; nothing of {variant} was seen"
        )
        return Degraded(variant, name, 0, under.aborted, 0.0, 0.0, None, None, reason)
    failing, usual_failing = under.errors / under.pairs, _per(seen.error_up, seen.pairs)
    # What fails is among what differs under a fault, and is not without one.
    if under.trios:
        differing, usual_differing = under.quiet / under.trios, _per(seen.quiet_up, seen.trios) + usual_failing
    else:
        failed_apart = seen.error_up + seen.error_down
        differing, usual_differing = under.differing / under.pairs, _per(seen.differing + failed_apart, seen.pairs)
    worse = max(0.0, failing - usual_failing, differing - usual_differing)
    usual = seen.times.candidate.quantile(0.5)
    now = under.times.quantile(0.5)
    slower = now / usual if now and usual else None
    said = [f"{share(failing)} fail", f"{share(differing)} are answered differently"]
    if slower is not None:
        said.append(f"p50 is {times(slower)} times that without a fault")
    reason = f"{place(name)}: of {plural(under.pairs, 'copy')} under a fault {', '.join(said)}"
    return Degraded(variant, name, under.pairs, under.aborted, failing, differing, slower, 1 - worse, reason)


def _per(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _whole(found: Iterable[Degraded]) -> float | None:
    known = [(d.pairs, d.score) for d in found if d.score is not None]
    pairs = sum(n for n, _ in known)
    return sum(n * score for n, score in known) / pairs if pairs else None


def _summary(found: list[Degraded], scores: dict[str, float | None]) -> str:
    said = []
    for variant, score in sorted(scores.items(), key=lambda item: (item[1] is None, -(item[1] or 0), item[0])):
        if score is None:
            said.append(f"{variant}: all copies were answered by the injected abort, so nothing of it was seen")
            continue
        worst = next(d for d in found if d.variant == variant and d.score is not None)
        text = f"under the injected faults {variant} answers {share(score)} of the copies as well as without"
        if worst.score is not None and worst.score < 1:
            text += f"; worst is {worst.reason}"
        elif slow := [d for d in found if d.variant == variant and slows_down(d)]:
            text += f"; slower is {slow[0].reason}"
        said.append(text)
    return "; ".join(said)
