"""Several versions in one profile."""

from tests.unit.analysis.verdict.cases import ERRORS, P50, Seen, arm_pair, case, profile, sketch, version
from xds_server.analysis.statistics.paired import Paired
from xds_server.analysis.verdict.case import State
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.verdict import Better, Decision, Verdict
from xds_server.analysis.windows.evidence import Times
from xds_server.analysis.windows.profile_evidence import VersionEvidence
from xds_server.model.rollout import Mode

GOOD = Seen(3000, times=60)
BAD = Seen(3000, up=300, times=60)


def judged(*versions: VersionEvidence) -> Verdict:
    return judge(case(*versions, checks=(ERRORS, P50)), State())[0]


def test_one_version_that_passes_is_enough_and_is_ranked_first() -> None:
    verdict = judged(version({"GET /": BAD}, name="a"), version({"GET /": GOOD}, name="b"))
    assert verdict.decision is Decision.PASS
    assert [(v.variant, v.rank, v.decision) for v in verdict.variants] == [
        ("b", 1, Decision.PASS),
        ("a", 2, Decision.FAIL),
    ]
    assert verdict.reasons[0].startswith("b: every critical check passes")
    assert verdict.reasons[-1].startswith("a: FAIL: GET /: error_rate is 10 percentage points above")


def test_the_whole_fails_only_when_every_version_does() -> None:
    assert judged(version({"GET /": BAD}, name="a"), version({"GET /": BAD}, name="b")).decision is Decision.FAIL
    undecided = version({"GET /": Seen(150)}, name="b")
    assert judged(version({"GET /": BAD}, name="a"), undecided).decision is Decision.INCONCLUSIVE


def test_a_version_that_was_never_seen_is_undecided() -> None:
    evidence = profile(version({"GET /": GOOD}, name="a"))
    verdict = judge(case(evidence=evidence, variants=("a", "b")), State())[0]
    assert {v.variant: v.decision for v in verdict.variants} == {"a": Decision.PASS, "b": Decision.INCONCLUSIVE}


def test_the_better_of_two_that_pass_is_first() -> None:
    slower = version({"GET /": Seen(3000, times=60, ratio=1.15)}, name="a")
    verdict = judged(slower, version({"GET /": GOOD}, name="b"))
    assert [v.variant for v in verdict.variants] == ["b", "a"]


def test_versions_are_compared_with_each_other() -> None:
    verdict = judged(version({"GET /": BAD}, name="a"), version({"GET /": GOOD}, name="b"))
    errors, times = verdict.between
    assert (errors.a, errors.b, errors.metric, errors.decision) == ("a", "b", "error_rate", Better.B)
    assert errors.interval is not None
    assert errors.interval[0] > 0
    assert times.decision is Better.UNDECIDED


def test_the_effect_between_two_versions_is_within_its_interval_also_where_their_originals_took_otherwise() -> None:
    quick = version({"GET /": GOOD}, name="a")
    quick.whole.evidence.times = Times.of(sketch(0.003, 3000), sketch(0.003, 3000))
    _, times = judged(quick, version({"GET /": GOOD}, name="b")).between
    low, high = times.interval or (0.0, 0.0)
    assert times.effect is not None
    assert low <= times.effect <= high


def test_in_a_split_groups_are_compared_directly() -> None:
    pairs = [
        arm_pair("original", "a", Paired(3000, 20, 20), times=60),
        arm_pair("original", "b", Paired(3000, 20, 20), times=60),
        arm_pair("a", "b", Paired(3000, 100, 20), ratio=1.3, times=60),
    ]
    evidence = profile(arms={"original": (3000, 20), "a": (3000, 20), "b": (3000, 20)}, arm_pairs=pairs)
    verdict = judge(case(evidence=evidence, variants=("a", "b"), mode=Mode.SPLIT, checks=(ERRORS, P50)), State())[0]
    assert [b.decision for b in verdict.between] == [Better.A, Better.A]


def test_each_version_has_latches_of_its_own() -> None:
    _, state = judge(case(version({"GET /": BAD}, name="a"), version({"GET /": GOOD}, name="b")), State())
    assert state.variants["a"].whole is not None
    assert state.variants["b"].whole is None
