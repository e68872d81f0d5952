"""A planted bug counts as found only when the comparison names endpoint, field and kind."""

import pytest

from tests.unit.demo.recorded import GOOD_PROFILE, PROFILE, status
from xds_server.demo.findings import check_list, false_alarms, noise_list, template, unexpected
from xds_server.demo.reading import Reading, read


def test_all_planted_bugs_are_found_in_the_recorded_run() -> None:
    reading = read(status(), PROFILE)
    findings = check_list(reading)
    assert [finding.found for finding in findings] == [True] * 5
    assert findings[0].evidence == "$.price type, 390 of 400 pairs"
    assert findings[3].evidence == "p50 1.1 ms -> 81.2 ms over 399 pairs"
    assert list(unexpected(reading)) == []
    assert false_alarms(reading) == []


def test_all_noise_is_cancelled_in_the_recorded_run() -> None:
    checks = noise_list(read(status(), PROFILE))
    assert all(check.found for check in checks)
    assert len(checks) == 7
    assert checks[-1].bug == "GET /api/stock/{id}: header:x-cost"
    assert checks[-1].evidence == "noise, 350 of 401 pairs"


def test_noise_that_was_not_seen_is_not_cancelled() -> None:
    reading = read(status(without="took"), PROFILE)
    assert [check.bug for check in noise_list(reading) if not check.found] == ["GET /api/search: $.took"]
    assert false_alarms(reading) == []


def test_noise_that_is_taken_for_a_difference_is_a_false_alarm() -> None:
    recorded = status()
    recorded["profiles"][0]["comparison"]["endpoints"][0]["differences"][-1]["nature"] = "difference"
    reading = read(recorded, PROFILE)
    assert [check.bug for check in noise_list(reading) if not check.found] == ["GET /api/items/{id}: $.shard"]
    assert false_alarms(reading) == ["GET /api/items/{id} $.shard value (350)"]


def test_another_endpoint_that_became_slow_is_a_false_alarm() -> None:
    recorded = status()
    recorded["profiles"][0]["comparison"]["endpoints"][2]["shadow"] = {"p50": 60.0, "p99": 70.0}
    assert false_alarms(read(recorded, PROFILE)) == ["GET /api/stock/{id} slower"]


@pytest.mark.parametrize(("field", "missed"), [("price", 0), ("warranty", 1), ("results", 2), ("status", 4)])
def test_a_difference_that_was_not_reported_is_not_found(field: str, missed: int) -> None:
    findings = check_list(read(status(without=field), PROFILE))
    assert [number for number, finding in enumerate(findings) if not finding.found] == [missed]


def test_a_price_of_another_value_is_not_the_planted_bug_and_a_false_alarm() -> None:
    recorded = status()
    recorded["profiles"][0]["comparison"]["endpoints"][0]["differences"][0]["class"] = "value"
    reading = read(recorded, PROFILE)
    assert not check_list(reading)[0].found
    assert [difference.kind for _, difference in unexpected(reading)] == ["value"]


def test_what_is_taken_for_noise_is_no_finding_and_no_false_alarm() -> None:
    recorded = status()
    differences = recorded["profiles"][0]["comparison"]["endpoints"][0]["differences"]
    differences[0]["nature"] = "noise"
    differences.append({"field": "$.served_at", "class": "value", "count": 400, "nature": "recognised"})
    reading = read(recorded, PROFILE)
    assert not check_list(reading)[0].found
    assert list(unexpected(reading)) == []


def test_the_control_is_not_taken_for_the_shadow() -> None:
    recorded = status()
    wanted = read(recorded, PROFILE).shadow_id
    control = {"instanceID": "c", "variant": "control", "control": True, "status": "Stopped", "reason": "over"}
    recorded["profiles"][0]["instances"].append(control)
    reading = read(recorded, PROFILE)
    assert reading.shadow_id == wanted != "c"
    assert (reading.shadow_status, reading.control_status, reading.control_reason) == ("Running", "Stopped", "over")


def test_an_endpoint_that_is_as_fast_as_before_is_not_slower() -> None:
    recorded = status()
    slow = recorded["profiles"][0]["comparison"]["endpoints"][3]
    slow["shadow"] = slow["original"]
    assert not check_list(read(recorded, PROFILE))[3].found


def test_nothing_is_found_before_anything_was_compared() -> None:
    assert not any(finding.found for finding in check_list(Reading()))
    assert read({}, PROFILE) == Reading()
    assert read({"profiles": [{"profileID": PROFILE, "instances": [], "comparison": None}]}, PROFILE) == Reading()


@pytest.mark.parametrize("name", ["GET /api/items/{id}", "GET /api/items/{int}", "GET /api/items/*"])
def test_placeholders_of_any_spelling_are_one_endpoint(name: str) -> None:
    assert template(name) == "GET /api/items/{id}"


def test_in_a_version_without_bugs_each_difference_is_a_false_alarm() -> None:
    recorded = status()
    assert false_alarms(read(recorded, GOOD_PROFILE), planted=False) == []
    assert false_alarms(read(recorded, PROFILE)) == []
    told = false_alarms(read(recorded, PROFILE), planted=False)
    assert "GET /api/items/{id} $.price type (390)" in told
    assert "GET /api/recommendations/{id} slower" in told
