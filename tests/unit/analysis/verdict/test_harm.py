"""Does mirroring hurt the original?"""

from dataclasses import replace
from math import log

from tests.unit.analysis.verdict.cases import NOW, Seen, arm_pair, case, profile, version
from xds_server.analysis.statistics.paired import Paired, log_evidence_above
from xds_server.analysis.verdict.case import Case, State
from xds_server.analysis.verdict.harm import INCREASE
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.verdict import Decision, HarmDecision


def mirrored(errors: Paired, *, ratio: float = 1.0, times: int = 80) -> Case:
    evidence = profile(
        version({"GET /": Seen(1000)}),
        arms={"plain": (5000, 10), "mirrored": (5000, 10)},
        arm_pairs=[arm_pair("plain", "mirrored", errors, ratio=ratio, times=times)],
    )
    return case(evidence=evidence, percentage=0.5)


def test_when_everything_is_mirrored_harm_is_not_measured_and_no_pass_depends_on_it() -> None:
    verdict, _ = judge(case(version({"GET /": Seen(1000)}), percentage=1.0), State())
    assert verdict.harm.decision is HarmDecision.NOT_MEASURED
    assert "every request is mirrored" in verdict.harm.reason
    assert verdict.decision is Decision.PASS


def test_mirrored_requests_that_fare_like_plain_ones_are_unharmed() -> None:
    harm = judge(mirrored(Paired(5000, 10, 10)), State())[0].harm
    assert harm.decision is HarmDecision.NONE
    assert {m.metric for m in harm.metrics} == {"error_rate", "response_time p50", "response_time p99"}


def test_mirrored_requests_that_fail_more_often_are_harm_and_it_stays() -> None:
    verdict, state = judge(mirrored(Paired(5000, 200, 10)), State())
    assert verdict.harm.decision is HarmDecision.HARM
    assert verdict.reasons[0].startswith(
        "mirroring harms the original: error_rate of mirrored requests is 3.8 percentage points above"
    )
    later, _ = judge(replace(mirrored(Paired(500_000, 200, 200)), now=NOW + 9), State.from_json(state.as_json()))
    assert later.harm.decision is HarmDecision.HARM
    assert later.harm.reason == verdict.harm.reason


def test_mirrored_requests_that_take_longer_are_harm() -> None:
    harm = judge(mirrored(Paired(5000, 10, 10), ratio=1.5), State())[0].harm
    assert harm.decision is HarmDecision.HARM
    assert "response_time p50" in harm.reason


def test_little_is_undecided_and_it_is_said_what_is_missing() -> None:
    harm = judge(mirrored(Paired(50, 0, 0), times=0), State())[0].harm
    assert harm.decision is HarmDecision.UNDECIDED
    assert "more requests would tell" in harm.reason


def test_each_of_the_three_metrics_of_harm_pays_for_its_share_of_the_weight() -> None:
    counts = [Paired(5000, up, 10) for up in range(10, 200)]
    enough, for_three = (
        next(c for c in counts if log_evidence_above(c, INCREASE) >= log(each / 0.01)) for each in (1, 3)
    )
    assert judge(mirrored(enough), State())[0].harm.decision is HarmDecision.UNDECIDED
    assert judge(mirrored(for_three), State())[0].harm.decision is HarmDecision.HARM
