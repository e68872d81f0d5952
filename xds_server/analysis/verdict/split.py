"""What the checks of a split measure: the users of a version beside those who stay with the original.

Who goes where is decided by a hash of the cohort's key, so the groups are alike but for the version; windows of both
are matched where evidence is made. Answers of different users cannot be compared, so differences are not judged.

A version that fails is ejected by its guard for a while, and the original answers its users: those requests are in no
error rate, and each is an error for a PASS. So a FAIL is about what the version was asked, and comes the later, the
less it is asked.

Users are exposed, so a FAIL must be quick, and a wrong one only sends them to the original: it does not wait for blocks
of time, and takes a dozen requests of a version that always fails. But it needs users as well as requests: a few whose
data fail at either version make many errors, and it is chance where they are (`windows.cohorts`). Where chance does not
send them (a cohort by what its key says) or they are not told apart, it rests on requests alone.

Guarantees: pure. Not guaranteed: that a version is not failed for one bad moment of its own, which hits many users;
that response times of one user are independent: a group of few users, one of whom asks for what takes long, is unlike
the other.
"""

from math import inf, log, sqrt

from xds_server.analysis.statistics.family import order_weight
from xds_server.analysis.statistics.mismatch import log_evidence_mismatch
from xds_server.analysis.statistics.paired import Paired, log_evidence_above
from xds_server.analysis.verdict.case import Case
from xds_server.analysis.verdict.hypotheses import Place
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.places import read
from xds_server.analysis.verdict.rates import error_rate_of_arms
from xds_server.analysis.verdict.readings import ELSEWHERE
from xds_server.analysis.verdict.times import response_time
from xds_server.analysis.verdict.words import ALL, SHARE, count, plural, share
from xds_server.analysis.windows.arms import KEYLESS, ORIGINAL, ArmTally
from xds_server.analysis.windows.profile_evidence import ArmPair
from xds_server.model.judging import Check, Metric

TOLERANCE = 0.02
"""Of a group's share of the users, relative to the smaller group: beyond it chance does not send them as it should."""
TIGHT = 0.1
"""The same of its share of the requests, at the least: few users may make many."""
SPREAD = 10.0
"""Standard deviations of a share that a group of users may be off by its requests: some ask for ten times as much."""
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

    Looked at is the time since the weights changed last.

    Args:
        case: the profile.
        variant: whose group.
        target: log evidence that is enough.
    """
    pair = case.evidence.arm_pairs.get((ORIGINAL, variant))
    users = pair.users if pair else None
    if users is None or not users.asked[1] or not 0 < users.share < 1 or case.alone:
        return ""
    enough = target - log(order_weight(users.epoch))
    smaller = min(users.share, 1 - users.share)
    by_chance = max(TIGHT, SPREAD * sqrt(users.share * (1 - users.share) / users.asked[1]) / smaller)
    for what, (inside, every), tolerance, hint in (
        ("users", users.asked, TOLERANCE, ""),
        ("requests", users.requests, by_chance, ", or few users make most of the requests"),
    ):
        counts = inside, every - inside
        if tolerance < 1 and log_evidence_mismatch(counts, users.share, tolerance * smaller / users.share) >= enough:
            return (
                f"sample-ratio mismatch: {share(inside / every)} of the {what} with {cohort_name(case)} went to "
                f"{variant}, its weight is {share(users.share)}: the groups are not alike{hint}"
            )
    return ""


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
            users=pair.users.log_worse if pair and pair.users else inf,
            said="; ".join(filter(None, (_instead(candidate), _few_users(pair, margin, alpha)))),
        )
        return Place(check, ALL, 0, measured, part=1.0)
    quantile = check.quantile or 0.5
    measured = response_time(
        pair.times.get(quantile) if pair else None,
        quantile=quantile,
        margin=margin,
        alpha=alpha,
        pairs=int(pair.errors.pairs) if pair else 0,
        missing=candidate.missing if candidate else 0,
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


def _few_users(pair: ArmPair | None, margin: float, alpha: float) -> str:
    """Return how few users failed, when that is what a FAIL waits for; empty otherwise."""
    target = log(1 / alpha)
    if pair is None or pair.users is None or pair.users.log_worse >= target:
        return ""
    if log_evidence_above(pair.errors, margin) < target:
        return ""
    there, here = pair.users.failed
    return (
        f"its errors are those of {plural(here, 'user')} ({count(there)} of the original's had one): too few to tell "
        "whether it is the version or its users"
    )


def _count(arm: ArmTally | None) -> int:
    return arm.count if arm else 0
