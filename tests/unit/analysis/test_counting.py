"""What is evidence, counted exactly."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.analysis.entries import INSTANCE, PROFILE, START, batch, entry, pair_entries
from tests.unit.analysis.kept import of_shadows
from xds_server.analysis.analyser import ON_THE_WAY, Analyser
from xds_server.analysis.counting import count_arm
from xds_server.analysis.ingest.als import read_batch
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.analysis.windows.arms import MAX_ARMS, ArmTally
from xds_server.analysis.windows.evidence import Evidence
from xds_server.analysis.windows.tally import Tally
from xds_server.config import EngineSettings
from xds_server.model.names import CAPTURE_METADATA, USERS

RECORDED = Path(__file__).parent / "recorded"
FAILED: dict[str, Any] = {"status": 503}
CUT: dict[str, Any] = {"cut": True}
SAME: dict[str, Any] = {}
DELAYED: dict[str, Any] = {"flags": ["delay_injected"]}
ABORTED: dict[str, Any] = {"status": 503, "details": "fault_filter_abort", "flags": ["fault_injected"], "first": None}


def engine(warm: float | None = None, **settings: Any) -> Analyser:
    made = Analyser(EngineSettings(**settings), wall=lambda: START)
    since = {} if warm is None else {INSTANCE: warm}
    made.configure([ProfileConfig(PROFILE, "shop", "catalog", shadows={INSTANCE: "v2"}, warm=since)])
    return made


def evidence_of(made: Analyser) -> Evidence:
    (tally,) = of_shadows(made.take())
    (endpoint,) = tally.endpoints.values()
    return endpoint.evidence


def seen(*pairs: tuple[dict[str, Any], dict[str, Any]], warm: float | None = None) -> Evidence:
    made = engine(warm)
    for original, shadow in pairs:
        made.feed(batch(*pair_entries(original, shadow)), 0.0)
    return evidence_of(made)


@pytest.mark.parametrize(
    ("original", "shadow", "up", "down"),
    [
        (SAME, SAME, 0, 0),
        (SAME, FAILED, 1, 0),
        (SAME, CUT, 1, 0),
        (SAME, {"status": 0, "details": "connection_refused"}, 1, 0),
        (SAME, {"trailers": {"grpc-status": "13"}}, 1, 0),
        (FAILED, SAME, 0, 1),
        (FAILED, FAILED, 0, 0),
        (FAILED, {"status": 500}, 0, 0),
        ({"status": 404}, {"status": 404}, 0, 0),
        ({"status": 404}, SAME, 0, 0),
    ],
)
def test_a_server_error_of_one_leg_alone_is_counted_on_its_side(
    original: dict[str, Any], shadow: dict[str, Any], up: int, down: int
) -> None:
    found = seen((original, shadow), (SAME, SAME))
    assert (found.pairs, found.error_up, found.error_down) == (2, up, down)
    assert found.error_both == (original is FAILED and shadow is not SAME)


STAMPS = b'{"id":"7b2e41c5-5f3f-4c4e-9f57-3c1f8ad2b001"}', b'{"id":"0c9d8f7e-1a2b-4c3d-8e4f-5a6b7c8d9e0f"}'


@pytest.mark.parametrize(
    ("bodies", "differing"),
    [((b'{"a":1}', b'{"a":1}'), 0), ((b'{"a":1}', b'{"a":2}'), 1), (STAMPS, 0)],
)
def test_what_is_another_value_each_time_by_its_looks_does_not_count_as_differing(
    bodies: tuple[bytes, bytes], differing: int
) -> None:
    found = seen(({"body": bodies[0]}, {"body": bodies[1]}))
    assert (found.pairs, found.differing) == (1, differing)


def test_an_answer_that_failed_is_an_error_and_no_difference() -> None:
    found = seen((SAME, FAILED), (FAILED, SAME), (FAILED, {"status": 500}), (SAME, {"status": 404}), (SAME, CUT))
    assert (found.pairs, found.error_up, found.error_down, found.error_both) == (5, 2, 1, 1)
    assert found.differing == 1


def test_a_difference_beside_a_recognised_one_counts() -> None:
    original, shadow = (each[:-1] + more for each, more in zip(STAMPS, (b',"a":1}', b',"a":2}'), strict=True))
    assert seen(({"body": original}, {"body": shadow})).differing == 1


def test_times_are_those_of_pairs_in_which_both_legs_have_one() -> None:
    early = {"sent": 0.02, "first": 0.01}
    found = seen(
        ({"first": 0.011}, {"first": 0.021}),
        ({"first": None, "sent": 0.0, "last": None, **FAILED}, SAME),
        (SAME, {"first": None, "sent": 0.0, "last": None, **FAILED}),
        (early, SAME),
    )
    assert found.pairs == 4
    assert (found.times.reference.count, found.times.candidate.count) == (1, 1)
    assert found.times.reference.quantile(0.5) == pytest.approx(0.01, rel=0.02)
    assert found.times.candidate.quantile(0.5) == pytest.approx(0.02, rel=0.02)


def test_what_began_before_the_shadow_was_warm_is_no_evidence_and_is_compared_all_the_same() -> None:
    made = engine(warm=START + 10)
    for at in (0, 9, 10, 11):
        moment = {"started": START + at}
        made.feed(batch(*pair_entries(moment, {**moment, "status": 500})), 0.0)
        made.feed(batch(*pair_entries(moment, {**moment, **ABORTED})), 0.0)
    (tally,) = of_shadows(made.take())
    (endpoint,) = tally.endpoints.values()
    assert (endpoint.pairs, endpoint.differing) == (4, 4)
    assert (endpoint.evidence.pairs, endpoint.evidence.error_up, endpoint.evidence.faulted.aborted) == (2, 2, 2)
    assert (endpoint.not_judged, endpoint.evidence.not_judged) == ({"injected": 4}, {"injected": 2})


def test_of_an_instance_that_the_manager_did_not_tell_of_nothing_is_evidence() -> None:
    made = engine()
    made.feed(batch(*pair_entries(SAME, {"shadow": "another", "status": 500})), 0.0)
    found = evidence_of(made)
    assert (found.pairs, found.error_up) == (0, 0)


def test_a_shadow_that_has_ended_stays_warm_for_its_last_pairs() -> None:
    made = engine(warm=START)
    made.configure([ProfileConfig(PROFILE, "shop", "catalog", shadows={"next": "v2"})])
    made.feed(batch(*pair_entries()), 0.0)
    assert evidence_of(made).pairs == 1


def test_pairs_that_a_fault_held_back_are_told_apart() -> None:
    found = seen(
        (SAME, {**DELAYED, **FAILED}),
        (FAILED, {**DELAYED, **FAILED}),
        (SAME, {**DELAYED, "body": b"[1]"}),
        (SAME, DELAYED),
        (SAME, ABORTED),
        (SAME, SAME),
    )
    faulted = found.faulted
    assert (found.pairs, found.error_up, found.differing, found.times.reference.count) == (1, 0, 0, 1)
    assert (faulted.pairs, faulted.errors, faulted.differing, faulted.aborted) == (4, 1, 2, 1)
    assert faulted.times.count == 4
    assert found.missing == 0


def test_a_pair_cut_at_the_timeout_is_missing() -> None:
    slow = {"first": 9.0, "last": 9.05, "duration": 9.1}
    cut = {"status": 504, "details": "response_timeout", "flags": ["upstream_request_timeout"]}
    cut |= {"first": None, "last": None}
    found = seen((slow, {**cut, "duration": 5.0}), ({**slow, **FAILED}, {**cut, "duration": 5.0}))
    assert (found.pairs, found.missing, found.missing_errors) == (0, 2, 1)


def test_a_pair_on_which_our_comparison_failed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("xds_server.analysis.analyser.compare", fails)
    found = seen((SAME, SAME), (FAILED, SAME))
    assert (found.pairs, found.missing, found.missing_errors) == (0, 2, 1)


def by_endpoint(made: Analyser) -> dict[str, tuple[int, int]]:
    (tally,) = of_shadows(made.take())
    return {name: (e.evidence.missing, e.evidence.missing_errors) for name, e in tally.endpoints.items()}


def test_originals_whose_copy_never_came_are_missing_at_their_endpoint() -> None:
    made = engine()
    made.feed(batch(entry("1", path="/items/7"), entry("2", path="/items/8", **FAILED), entry("3", path="/cart")), 0.0)
    made.expire(made.pairing.timeout - 0.1)
    assert not of_shadows(made.take())
    made.expire(made.pairing.timeout)
    assert by_endpoint(made) == {"GET /items/{id}": (2, 1), "GET /cart": (1, 0)}


def test_originals_that_were_dropped_to_make_room_are_missing_too() -> None:
    made = engine(max_waiting=1)
    made.feed(batch(entry("1"), entry("2")), 0.0)
    assert by_endpoint(made) == {"GET /items/{id}": (1, 0)}


@pytest.mark.parametrize(
    "gone", [{"details": "downstream_remote_disconnect", "flags": ["downstream_connection_termination"]}, CUT]
)
def test_an_original_that_would_not_have_been_judged_is_not_missing(gone: dict[str, Any]) -> None:
    made = engine()
    made.feed(batch(entry("1", **gone)), 0.0)
    made.expire(made.pairing.timeout + ON_THE_WAY)
    assert [tally.endpoints for tally in of_shadows(made.take())] == [{}]


def test_what_waits_when_the_engine_stops_is_not_missing_nor_are_late_copies_and_duplicates() -> None:
    made = engine()
    made.feed(batch(entry("1"), entry("2"), entry("2", shadow=INSTANCE), entry("2", shadow=INSTANCE)), 0.0)
    made.pairing.stop()
    made.feed(batch(entry("1", shadow=INSTANCE)), 0.0)
    (tally,) = of_shadows(made.take())
    (endpoint,) = tally.endpoints.values()
    assert set(tally.lost) == {"engine_stopped", "late", "duplicate"}
    assert (endpoint.evidence.pairs, endpoint.evidence.missing) == (1, 0)


def test_originals_from_before_the_warm_up_was_over_are_not_missing() -> None:
    made = engine(warm=START + 1)
    made.feed(batch(entry("1"), entry("2", started=START + 1)), 0.0)
    made.expire(made.pairing.timeout)
    assert by_endpoint(made) == {"GET /items/{id}": (1, 0)}


def arms_of(tallies: list[Tally]) -> dict[str, ArmTally]:
    (tally,) = (each for each in tallies if not each.instance)
    assert not tally.endpoints
    return tally.arms


def test_originals_of_mirrored_requests_are_an_arm_as_they_come() -> None:
    made = engine()
    made.feed(batch(*pair_entries({"first": 0.011}, {"first": 0.5}), *pair_entries(FAILED, SAME)), 0.0)
    made.feed(batch(entry("alone", **CUT)), 0.0)
    (name,) = arms_of(made.take()).items()
    assert (name[0], name[1].count, name[1].errors, name[1].times.count) == ("mirrored", 3, 2, 3)


def test_a_request_of_an_arm_is_counted_and_never_paired() -> None:
    made = engine()
    made.feed(batch(entry("~plain/1"), entry("~plain/2", **FAILED), entry("~v2", path="/x")), 0.0)
    assert (made.pairing.waiting, made.pairs, made.records) == (0, 0, 3)
    tallies = made.take()
    assert {name: (arm.count, arm.errors) for name, arm in arms_of(tallies).items()} == {"plain": (2, 1), "v2": (1, 0)}
    assert not of_shadows(tallies)
    assert made.take() == []


GONE = {"details": "downstream_remote_disconnect", "flags": ["downstream_connection_termination"]}


def test_what_a_guard_ended_counts_in_its_arm_and_is_no_error() -> None:
    made = engine()
    made.feed(batch(entry("~plain/1", details="request_payload_too_large", status=413)), 0.0)
    arm = arms_of(made.take())["plain"]
    assert (arm.count, arm.errors, arm.times.count) == (1, 0, 0)


@pytest.mark.parametrize("arm", ["~plain/1", "~original/1", "~keyless/1", "~v2/1", "mirrored"])
def test_a_client_that_went_before_an_answer_began_is_an_error_of_any_arm(arm: str) -> None:
    made = engine()
    made.feed(batch(entry(arm, **GONE, status=0)), 0.0)
    (counted,) = arms_of(made.take()).values()
    assert (counted.count, counted.errors, counted.times.count) == (1, 1, 0)


@pytest.mark.parametrize("arm", ["~plain/1", "~original/1", "~keyless/1", "~v2/1", "mirrored"])
def test_a_client_that_went_in_the_middle_of_an_answer_says_nothing(arm: str) -> None:
    made = engine()
    made.feed(batch(entry(arm, **GONE, status=200)), 0.0)
    (counted,) = arms_of(made.take()).values()
    assert (counted.count, counted.errors, counted.times.count) == (0, 0, 0)


@pytest.mark.parametrize("case", ["client_gone", "client_gone_upload"])
def test_a_hang_that_envoy_recorded_is_an_error_of_its_arm(case: str) -> None:
    recorded = read_batch((RECORDED / f"{case}.pb").read_bytes())
    (original,) = [record for record in recorded.records if not record.shadow]
    arm = ArmTally()
    count_arm(arm, original, "v2")
    assert (arm.count, arm.errors) == (1, 1)


def test_arms_are_bounded() -> None:
    made = engine()
    made.feed(batch(*(entry(f"~a{number}/1") for number in range(MAX_ARMS + 9))), 0.0)
    assert len(arms_of(made.take())) == MAX_ARMS
    assert made.pairing.waiting == 0


def test_an_arm_in_the_next_window_begins_anew() -> None:
    made = engine()
    for _ in range(2):
        made.feed(batch(entry("~plain/1")), 0.0)
        assert arms_of(made.take())["plain"].count == 1


def test_an_answer_of_the_original_in_a_candidates_place_is_no_success_of_the_candidate() -> None:
    made = engine()
    for arm, cluster, attempts in (
        ("v3", "split-i", 1),
        ("v3", "component/catalog", 2),
        ("v3", "component/catalog", 1),
        ("original", "component/catalog", 1),
        ("original", "component/catalog", 2),
    ):
        answered = entry(f"~{arm}/{cluster}{attempts}", body=None)
        answered.common_properties.upstream_cluster = cluster
        answered.common_properties.upstream_request_attempt_count = attempts
        made.feed(batch(answered), 0.0)
    arms = arms_of(made.take())
    assert [(arms[a].count, arms[a].errors, arms[a].missing) for a in ("v3", "original")] == [(3, 1, 1), (2, 0, 0)]
    assert (arms["v3"].times.count, arms["original"].times.count) == (1, 2)


def user(number: float, **of: Any) -> Any:
    """Return the entry of a request of a split's version, by the user with that number."""
    made = entry("~v2/1", body=None, **of)
    made.common_properties.metadata.filter_metadata[CAPTURE_METADATA]["u"] = number
    return made


def test_users_of_an_arm_are_noted_with_their_first_request_and_their_first_error() -> None:
    made = engine()
    well, failed = user(7, started=START + 2), user(7, started=START + 3, status=500)
    made.feed(batch(well, user(9, started=START), failed, user(7, started=START + 4, status=503)), 0.0)
    arm = arms_of(made.take())["v2"]
    assert (arm.count, arm.errors) == (4, 2)
    assert arm.users == {7: pytest.approx(START + 2), 9: pytest.approx(START)}
    assert arm.failed_users == {7: pytest.approx(START + 3)}


@pytest.mark.parametrize("number", [-1, USERS, 1e300, float("nan"), float("inf")])
def test_a_number_that_stands_for_no_user_is_none(number: float) -> None:
    (record,) = read_batch(batch(user(number))).records
    assert record.user is None
    assert read_batch(batch(user(USERS - 1))).records[0].user == USERS - 1
