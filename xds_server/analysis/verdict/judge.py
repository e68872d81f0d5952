"""From all the evidence about a profile to its verdict.

Guarantees: pure: the same case and state give the same verdict, at any time and as often as one asks; what a verdict
rests on is always valid, so asking often does not make it wrong. Bounded output. A FAIL of a version, of a check of it,
and harm stay until the evidence begins anew (then the state must be a new one, too).
Not guaranteed: more than the modules say: `ruling` (one version), `ranking` (several), `harm`, `resilience`.
"""

from collections.abc import Sequence
from dataclasses import replace

from xds_server.analysis.verdict.case import Case, Latched, State, VariantState
from xds_server.analysis.verdict.harm import harm_of
from xds_server.analysis.verdict.ranking import between, decision_of, ranked, table
from xds_server.analysis.verdict.resilience import resilience_of
from xds_server.analysis.verdict.ruling import Ruling, in_force, rule
from xds_server.analysis.verdict.summary import REASONS
from xds_server.analysis.verdict.verdict import Decision, Harm, HarmDecision, Missing, Verdict

DIFFERENCES = 100
_NEW = VariantState()


def judge(case: Case, state: State) -> tuple[Verdict, State]:
    """Return the verdict now, and what to remember for the next time.

    Args:
        case: what is known.
        state: what the last call returned for the same evidence; `State()` at its beginning.
    """
    case = replace(case, checks=in_force(case.checks, case.mode))
    rulings = [rule(case, variant, state.variants.get(variant, _NEW)) for variant in case.variants]
    order = ranked(rulings)
    decision = decision_of(order)
    harm = harm_of(case, state.harm)
    since = state.since if state.decision == decision else case.now
    verdict = Verdict(
        decision=decision,
        since=since,
        pairs=sum(r.pairs for r in rulings),
        alpha=case.judging.alpha,
        reasons=_reasons(decision, order, harm),
        missing=_together([r.missing for r in rulings]),
        latched=decision is Decision.FAIL,
        checks=tuple(row for r in rulings for row in r.rows),
        differences=tuple(d for r in order for d in r.differences)[:DIFFERENCES],
        harm=harm,
        resilience=resilience_of(case),
        variants=table(order),
        between=between(case, order),
        envoy=case.envoy,
        omitted=sum(r.omitted for r in rulings),
    )
    return verdict, State(str(decision), since, {r.variant: r.state for r in rulings}, _harm_latch(case, state, harm))


def _harm_latch(case: Case, state: State, harm: Harm) -> Latched | None:
    if state.harm is None and harm.decision is HarmDecision.HARM:
        return Latched(case.now, (harm.reason,))
    return state.harm


def _reasons(decision: Decision, order: Sequence[Ruling], harm: Harm) -> tuple[str, ...]:
    """Return the profile's: those of the versions that its decision rests on, named when there are several."""
    if not order:
        return ("the profile has no version to judge",)
    if len(order) == 1:
        said = list(order[0].reasons)
    elif decision is Decision.PASS:
        said = [f"{order[0].variant}: {reason}" for reason in order[0].reasons]
        said += [f"{r.variant}: {r.decision}: {r.reasons[0]}" for r in order[1:] if r.reasons]
    else:
        most = max(1, REASONS // len(order))
        said = [f"{r.variant}: {reason}" for r in order for reason in r.reasons[:most]]
    if harm.decision is HarmDecision.HARM:
        said.insert(0, f"mirroring harms the original: {harm.reason}")
    return tuple(said[:REASONS])


def _together(parts: Sequence[Missing]) -> Missing:
    kinds: dict[str, int] = {}
    for part in parts:
        for kind, number in part.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + number
    return Missing(sum(p.copies for p in parts), sum(p.pairs for p in parts), kinds)
