"""Why nothing new is decided of a version: what there is is not yet, or not at all, evidence about it.

In a split, too few pairs and the warm-up hold back a PASS only: users are exposed, and evidence is valid at any time.

Guarantees: pure; each reason says what would change it. What was latched before stays.
"""

from xds_server.analysis.kinds import Reason
from xds_server.analysis.verdict import split
from xds_server.analysis.verdict.case import Case
from xds_server.analysis.verdict.stuck import stuck
from xds_server.analysis.verdict.words import count, plural, share
from xds_server.model.rollout import Mode

TURNED_AWAY = 0.05
"""Share of pairs turned away without their credentials, above which nothing is decided."""


def held_by(case: Case, variant: str, pairs: int) -> tuple[str, ...]:
    """Return the reasons; none when all is well.

    Args:
        case: the profile.
        variant: the version.
        pairs: how many are evidence about it.
    """
    said = []
    if case.mode is Mode.SPLIT and (nobody := split.keyless(case)):
        said.append(nobody)
    version = case.evidence.versions.get(variant)
    if case.mode is Mode.SHADOW and version is not None:
        away = version.whole.not_judged.get(Reason.CREDENTIALS_DROPPED, 0)
        came = pairs + sum(version.whole.not_judged.values())
        if away > TURNED_AWAY * came:
            said.append(
                f"{count(away)} of {count(came)} copies ({share(away / came)}) were turned away (401, 403 or a "
                "redirect) after their credentials were removed: set keepCredentials in the profile to send them along"
            )
    if case.mode is Mode.SPLIT:
        return tuple(said)
    return (*said, *_early(case, variant, pairs, before="answers count"))


def unripe(case: Case, variant: str, pairs: int) -> tuple[str, ...]:
    """Return why a version that users are asking may fail, and not pass yet; nothing of a shadow."""
    return _early(case, variant, pairs, before="it can pass") if case.mode is Mode.SPLIT else ()


def _early(case: Case, variant: str, pairs: int, *, before: str) -> tuple[str, ...]:
    judging, said = case.judging, []
    left = case.started + judging.warm_up - case.now if case.started else 0.0
    few = pairs < judging.min_pairs
    if few and stuck(case, variant):
        return (f"{count(pairs)} of at least {plural(judging.min_pairs, 'pair')} came",)
    # A shadow's answers of the warm-up are among no pairs; those to users are.
    if left > 0 and (few or case.mode is Mode.SPLIT):
        said.append(f"warming up: {count(max(1, left))} of {judging.warm_up:g} seconds are left before {before}")
    if few:
        more = f"{plural(judging.min_pairs - pairs, 'more pair')}"
        said.append(f"{count(pairs)} of at least {plural(judging.min_pairs, 'pair')}: {more} are needed")
    return tuple(said)


def settling(left: float) -> str:
    """Return why a version that passes is not a PASS yet; `left`: seconds until it is."""
    return (
        f"every critical check passes; in the next {plural(max(1, round(left)), 'second')} it becomes known whether "
        "copies are missing or hang"
    )
