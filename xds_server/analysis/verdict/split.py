"""What the checks of a split measure: the users of a version beside those who stay with the original.

Who goes where is decided by a hash of the cohort's key, so the groups are alike but for the version; windows of both
are matched where evidence is made. Answers of different users cannot be compared, so differences are not judged.

A version that fails is ejected by its guard for a while, and the original answers its users: those requests are in no
error rate, and each is an error for a PASS. So a FAIL is about what the version was asked, and comes the later, the
less it is asked.

Users are exposed, so a FAIL must be quick, and a wrong one only sends them to the original: it rests on pairs alone, a
dozen requests of a version that always fails.

Guarantees: pure. Not guaranteed: that a version is not failed for one bad moment of its own, which hits many requests;
independence of the requests of one user; a group of few users, one of whom asks for much, is unlike the other.
`mismatch` finds gross cases, with a wide tolerance, since users are not counted.
"""

from xds_server.analysis.statistics.mismatch import log_evidence_mismatch
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.verdict.case import Case
from xds_server.analysis.verdict.hypotheses import Place
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.places import read
from xds_server.analysis.verdict.rates import error_rate_of_arms
from xds_server.analysis.verdict.readings import ELSEWHERE
from xds_server.analysis.verdict.times import response_time
from xds_server.analysis.verdict.words import ALL, SHARE, count, share
from xds_server.analysis.windows.arms import KEYLESS, ORIGINAL, ArmTally
from xds_server.analysis.windows.profile_evidence import ArmPair
from xds_server.model.judging import Check, Metric

TOLERANCE = 0.5
"""Of a group's share, relative: within it, few users with many requests are taken for chance."""
FEW = 0.01
"""Share of requests with the key below which it is said that (nearly) none carries it."""
SURE = 100
"""Requests from which that is said."""


def places_of(case: Case, variant: str) -> list[Place]:
    """Return every check of a version in a split; all of them are over all traffic."""
    pair = case.evidence.arm_pairs.get((ORIGINAL, variant))
    return [read(case, c, variant) if c.metric in ELSEWHERE else _place(case, c, variant, pair) for c in case.checks]


def pairs_of(case: Case, variant: str) -> int:
    """Return how many requests of a version's users have one of the original's beside them."""
    pair = case.evidence.arm_pairs.get((ORIGINAL, variant))
    return int(pair.worst.pairs) if pair else 0


def cohort_name(case: Case) -> str:
    """Return how the key of the cohort is called."""
    return "the cohort's key" if case.cohort is None else case.cohort.key


def keyless(case: Case) -> str:
    """Return why nothing can be decided when (nearly) no request carries the cohort's key; empty otherwise."""
    arms = case.evidence.arms
    without = _count(arms.get(KEYLESS))
    keyed = sum(_count(arms.get(name)) for name in (ORIGINAL, *case.variants))
    if without < SURE or keyed > FEW * (keyed + without):
        return ""
    carried = "no request carries" if not keyed else f"only {count(keyed)} of {count(keyed + without)} requests carry"
    return f"{carried} {cohort_name(case)}, the cohort's key; the rest goes to the original: name a key that users have"


def mismatch(case: Case, variant: str, target: float) -> str:
    """Return how the groups' sizes are not those of the weights; empty when they are, or nobody can tell.

    Args:
        case: the profile.
        variant: whose group.
        target: log evidence that is enough.
    """
    weight = case.weights.get(variant, 0.0) / 100
    if not weight or case.alone or (case.cohort is not None and case.cohort.values):
        return ""
    inside = _count(case.evidence.arms.get(variant))
    keyed = sum(_count(case.evidence.arms.get(name)) for name in (ORIGINAL, *case.variants))
    if not keyed or log_evidence_mismatch((inside, keyed - inside), weight, TOLERANCE) < target:
        return ""
    return (
        f"sample-ratio mismatch: {share(inside / keyed)} of the requests with {cohort_name(case)} went to {variant}, "
        f"its weight is {share(weight)}: the groups are not alike, or few users make most of the requests"
    )


def _place(case: Case, check: Check, variant: str, pair: ArmPair | None) -> Place:
    alpha, margin = case.judging.alpha, check.limit
    if check.metric is Metric.DIFFERENCE_RATE:
        said = "difference_rate: each user of a split sees one version, so there are no answers to compare"
        measured = Measured(margin, SHARE, 0, said=said, possible=False)
        return Place(check, ALL, 0, measured, part=1.0, judged=False)
    original, candidate = (case.evidence.arms.get(name) for name in (ORIGINAL, variant))
    if check.metric is Metric.ERROR_RATE:
        measured = error_rate_of_arms(
            pair.errors if pair else Paired(),
            pair.worst if pair else Paired(),
            margin=margin,
            alpha=alpha,
            rates=(original.error_rate if original else None, candidate.error_rate if candidate else None),
            said=_instead(candidate),
        )
        return Place(check, ALL, 0, measured, part=1.0)
    quantile = check.quantile or 0.5
    measured = response_time(
        pair.times.get(quantile) if pair else None,
        quantile=quantile,
        margin=margin,
        alpha=alpha,
        pairs=int(pair.errors.pairs) if pair else 0,
        original=original.times.quantile(quantile) if original else None,
        shadow=candidate.times.quantile(quantile) if candidate else None,
    )
    return Place(check, ALL, 0, measured, part=1.0)


def _instead(candidate: ArmTally | None) -> str:
    """Return how many requests the original answered in the candidate's place; empty: none."""
    if candidate is None or not candidate.missing:
        return ""
    return (
        f"of {count(candidate.asked)} requests that it was asked; the original answered {count(candidate.missing)} of "
        f"{count(candidate.count)} in its place, since it had failed before, which are errors for a PASS"
    )


def _count(arm: ArmTally | None) -> int:
    return arm.count if arm else 0
