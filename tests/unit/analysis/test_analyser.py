from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.unit.analysis.entries import INSTANCE, PROFILE, START, batch, entry, pair_entries
from tests.unit.analysis.kept import of_shadows
from xds_server.analysis import analyser as module
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.examples import quota
from xds_server.analysis.profile_config import ProfileConfig, unpack_profile
from xds_server.analysis.windows.comparison import comparison_of
from xds_server.analysis.windows.tally import Tally
from xds_server.config import EngineSettings
from xds_server.model.analysis import Analysis, Ignore
from xds_server.model.names import CAPTURE_METADATA

CONFIG = ProfileConfig(
    PROFILE, "shop", "catalog", shadows={INSTANCE: "v2"}, analysis=Analysis(ignore=(Ignore(header="X-Build"),))
)


def analyser(**settings: Any) -> Analyser:
    made = Analyser(EngineSettings(**settings), wall=lambda: START)
    made.configure([CONFIG])
    return made


def feed(to: Analyser, original: Mapping[str, Any] | None = None, shadow: Mapping[str, Any] | None = None) -> None:
    to.feed(batch(*pair_entries(original, shadow)), 0.0)


def taken(from_: Analyser) -> dict[str, Any]:
    (tally,) = of_shadows(from_.take())
    return comparison_of(tally).as_json()


def test_an_identical_pair_is_counted_with_its_times() -> None:
    engine = analyser()
    feed(engine, {"first": 0.011}, {"first": 0.021})
    said = taken(engine)
    assert (said["pairs"], said["identical"], said["discrepancies"], said["byClass"]) == (1, 1, 0, {})
    (endpoint,) = said["endpoints"]
    assert endpoint["endpoint"] == "GET /items/{id}"
    assert endpoint["original"]["p50"] == pytest.approx(10, rel=0.011)
    assert endpoint["shadow"]["p99"] == pytest.approx(20, rel=0.011)


def test_the_time_to_the_last_byte_is_told_apart() -> None:
    engine = analyser()
    feed(engine, {"sent": 0.5, "first": 0.51, "last": 0.9})
    endpoint = taken(engine)["endpoints"][0]
    assert endpoint["original"]["p50"] == pytest.approx(10, rel=0.011)
    assert endpoint["original"]["lastByte"]["p50"] == pytest.approx(400, rel=0.011)


def test_a_differing_pair_is_counted_by_class_and_field_with_an_example() -> None:
    engine = analyser()
    feed(engine, {"body": b'{"a":1,"b":1}'}, {"body": b'{"a":"1","b":2}'})
    said = taken(engine)
    assert (said["discrepancies"], said["byClass"]) == (1, {"type": 1, "value": 1})
    assert [(d["field"], d["class"], d["count"]) for d in said["endpoints"][0]["differences"]] == [
        ("$.a", "type", 1),
        ("$.b", "value", 1),
    ]
    example = said["endpoints"][0]["differences"][0]["example"]
    assert (example["original"], example["shadow"], example["path"]) == ("1", '"1"', "/items/1")


def test_injected_faults_are_no_evidence() -> None:
    engine = analyser()
    feed(engine, {}, {"status": 503, "details": "fault_filter_abort", "flags": ["fault_injected"], "first": None})
    feed(engine, {}, {"flags": ["delay_injected"], "first": 5.0, "body": b'{"a":1}'})
    said = taken(engine)
    assert said["injected"] == {"aborted": 1, "delayed": 1}
    assert (said["pairs"], said["discrepancies"], said["notJudged"]) == (1, 1, {"injected": 1})
    # The delayed pair's bodies are compared; its times are left out on both sides.
    assert said["endpoints"][0]["original"]["p50"] is None
    assert said["endpoints"][0]["shadow"]["p50"] is None


def test_errors_are_counted_for_each_leg() -> None:
    engine = analyser()
    feed(engine)
    feed(engine, {}, {"status": 500})
    feed(engine, {}, {"status": 404})
    endpoint = taken(engine)["endpoints"][0]
    assert endpoint["original"]["errorRate"] == 0
    assert endpoint["shadow"]["errorRate"] == pytest.approx(1 / 3)
    assert endpoint["shadow"]["statuses"] == {"200": 1, "404": 1, "500": 1}


def test_dropped_credentials_are_explained() -> None:
    engine = analyser()
    feed(engine, {"credentials": True}, {"status": 401})
    said = taken(engine)
    assert said["notJudged"] == {"credentials_dropped": 1}
    assert "keepCredentials" in said["hint"]


def test_a_window_holds_only_what_came_since_the_last() -> None:
    engine = analyser()
    feed(engine)
    assert taken(engine)["pairs"] == 1
    assert engine.take() == []


def test_each_instance_has_a_tally_of_its_own() -> None:
    engine = analyser()
    engine.configure([ProfileConfig(PROFILE, "shop", "catalog", shadows={"a": "v2", "b": "v3"})])
    legs = [entry(pair="1", shadow=shadow) for shadow in ("a", "", "b")]
    engine.feed(batch(*legs), 0.0)
    assert {tally.instance for tally in of_shadows(engine.take())} == {"a", "b"}


def test_a_new_instance_is_news_once() -> None:
    engine = analyser()
    assert not engine.news
    feed(engine)
    assert engine.news
    engine.take()
    feed(engine)
    assert not engine.news


def test_rules_of_the_profile_are_followed() -> None:
    engine = analyser()
    headers = ({"content-type": "application/json", "x-build": build} for build in "12")
    feed(engine, *({"headers": h} for h in headers))
    assert taken(engine)["discrepancies"] == 0


def test_endpoints_and_fields_beyond_the_bounds_are_other() -> None:
    engine = analyser(max_endpoints=2, max_differences=3)
    for word in "abcd":
        for field in (b"x", b"y"):
            feed(engine, {"path": f"/{word}", "body": b"{}"}, {"path": f"/{word}", "body": b'{"%s":1}' % field})
    said = taken(engine)
    assert {e["endpoint"]: e["pairs"] for e in said["endpoints"]} == {"GET /a": 2, "GET /b": 2, "other": 4}
    assert {d["field"]: d["count"] for d in said["endpoints"][0]["differences"]} == {"other": 4}


def test_examples_of_a_window_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "A_WINDOW", 3)
    engine = analyser(examples=2)
    for i in range(10):
        feed(engine, {"body": b"{}"}, {"body": b'{"f%s":1}' % (b"abcdefghij"[i : i + 1])})
    (tally,) = of_shadows(engine.take())
    assert len(tally.pack()["examples"]) == 3
    assert comparison_of(tally).discrepancies == 10


def test_what_is_redacted_from_now_on_is_redacted_in_known_fields_too() -> None:
    engine = analyser()
    bodies = {"body": b'{"codes":{"q1w2e3":1}}'}, {"body": b'{"codes":{"q1w2e3":2}}'}
    feed(engine, *bodies)
    engine.configure([replace(CONFIG, analysis=Analysis(redact=("codes",)))])
    feed(engine, *bodies)
    (endpoint,) = of_shadows(engine.take())[0].endpoints.values()
    assert [field for field, _ in endpoint.fields] == ["$.codes.q1w2e3", "$.codes.*"]


def test_a_failure_of_ours_costs_one_pair_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = analyser()

    def fails(*_: object) -> None:
        raise RecursionError

    with monkeypatch.context() as patch:
        patch.setattr(module, "compare", fails)
        feed(engine)
        feed(engine)
    feed(engine)
    assert (said := taken(engine))["notJudged"] == {"failed": 2}
    assert said["pairs"] == 1


def test_unpaired_legs_are_counted_as_lost() -> None:
    engine = analyser(pair_timeout=5)
    engine.feed(batch(entry(pair="1"), entry(pair="2", shadow=INSTANCE)), 0.0)
    engine.expire(5.0)
    assert taken(engine)["lost"] == {"unpaired_original": 1, "unpaired_shadow": 1}


def test_nonsense_is_counted_and_passed_over() -> None:
    engine = analyser()
    engine.feed(b"\xff\xff\xff", 0.0)
    engine.feed(batch(entry(profile="")), 0.0)
    assert engine.broken == 1


def test_profiles_that_nobody_configured_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PROFILES", 5)
    engine = analyser()
    for i in range(50):
        feed(engine, {"profile": f"p{i}"}, {"profile": f"p{i}", "shadow": f"s{i}"})
    assert len(engine.take()) <= 6
    assert len(engine._profiles) <= 6


def test_a_configuration_survives_the_link() -> None:
    assert unpack_profile(CONFIG.pack()) == CONFIG
    assert unpack_profile({**CONFIG.pack(), "added_later": 1}) == CONFIG


def test_an_empty_tally_is_an_empty_comparison() -> None:
    said = comparison_of(Tally("p", "")).as_json()
    assert (said["pairs"], said["since"], said["endpoints"], said["hint"]) == (0, None, [], "")


def test_an_answer_that_broke_off_is_an_error_of_the_shadow() -> None:
    engine = analyser()
    details = "upstream_reset_after_response_started{protocol_error}"
    feed(engine, {}, {"cut": True, "details": details, "flags": ["upstream_protocol_error"], "last": None})
    endpoint = taken(engine)["endpoints"][0]
    assert (endpoint["original"]["errorRate"], endpoint["shadow"]["errorRate"]) == (0, 1)


@pytest.mark.parametrize("sent", [0, 9.5])
def test_an_answer_before_the_end_of_its_request_has_no_response_time_to_compare(sent: float) -> None:
    engine = analyser()
    feed(
        engine, {"sent": sent, "first": 9.0, "last": 9.1, "status": 413}, {"sent": 0.001, "first": 0.002, "status": 413}
    )
    endpoint = taken(engine)["endpoints"][0]
    assert (endpoint["pairs"], endpoint["original"]["p50"], endpoint["shadow"]["p50"]) == (1, None, None)
    assert endpoint["original"]["lastByte"]["p50"] is None


def test_an_example_shows_the_field_it_stands_for_or_is_not_shown() -> None:
    engine = analyser()
    names = [f"f{chr(97 + n)}" for n in range(26)]
    feed(engine, *({"body": orjson.dumps({name: name + end for name in names})} for end in "12"))
    differences = taken(engine)["endpoints"][0]["differences"]
    assert len(differences) == 26
    shown = [d for d in differences if d["example"]]
    assert len(shown) == 20
    assert all(d["example"]["shadow"] == f'"{d["field"].removeprefix("$.")}2"' for d in shown)


def test_an_example_of_other_fields_is_of_their_class() -> None:
    engine = analyser(max_differences=1)
    feed(engine, {"body": b'{"a":1,"b":1}'}, {"body": b'{"a":2,"b":"1"}'})
    found = taken(engine)["endpoints"][0]["differences"]
    assert {d["class"]: d["example"]["shadow"] for d in found} == {"value": "2", "type": '"1"'}


def test_a_place_nested_deep_does_not_make_an_example_large() -> None:
    engine = analyser()
    feed(engine, *({"body": b'{"long name":' * 800 + leaf + b"}" * 800} for leaf in (b"1", b"2")))
    (tally,) = of_shadows(engine.take())
    assert len(orjson.dumps(tally.pack())) < 10_000


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0, 1e300])
def test_impossible_numbers_in_the_capture_are_passed_over(number: float) -> None:
    engine = analyser()
    legs = pair_entries()
    capture = legs[1].common_properties.metadata.filter_metadata[CAPTURE_METADATA]
    capture["n"] = capture["c"] = number
    engine.feed(batch(*legs), 0.0)
    assert taken(engine)["pairs"] == 1


def test_an_original_waits_as_long_as_its_copy_may_take() -> None:
    engine = analyser(pair_timeout=20)
    engine.configure([replace(CONFIG, patience=60.0)])
    hung = {"status": 504, "details": "response_timeout", "flags": ["upstream_request_timeout"], "first": None}
    engine.feed(batch(entry(pair="1")), 0.0)
    engine.expire(61.0)
    engine.feed(batch(entry(pair="1", shadow=INSTANCE, duration=60.0, **hung)), 61.0)
    said = taken(engine)
    assert (said["byClass"], said["lost"]) == ({"status": 1}, {})
    assert said["endpoints"][0]["shadow"]["p50"] == pytest.approx(60_000, rel=0.011)


def test_a_failed_grpc_call_is_an_error() -> None:
    engine = analyser()
    grpc = {"content-type": "application/grpc"}
    feed(engine, *({"headers": grpc, "body": b"", "trailers": {"grpc-status": code}} for code in ("0", "13")))
    endpoint = taken(engine)["endpoints"][0]
    assert (endpoint["original"]["errorRate"], endpoint["shadow"]["errorRate"]) == (0, 1)
