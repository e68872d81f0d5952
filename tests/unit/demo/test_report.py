"""The report says in plain tables what differs, and never hides a hurt client or a bug that was not found."""

import io

from rich.console import Console

from tests.unit.demo.recorded import GOOD_PROFILE, PROFILE, status
from xds_server.demo.findings import check_list, false_alarms, noise_list
from xds_server.demo.load import Phase, Tally
from xds_server.demo.reading import read
from xds_server.demo.report import report, worst_fields
from xds_server.demo.scenario import Outcome


def printed(outcome: Outcome, *, encoding: str = "utf-8", width: int = 120) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    Console(file=file, width=width, highlight=False).print(*report(outcome, width=width))
    return raw.getvalue().decode()


def outcome(*, hurt: int = 0, without: str = "", **comparison: object) -> Outcome:
    phases = [Phase("version 1 alone", 100, 0, [0.001] * 100), Phase("mirrored", 300, hurt, [0.002] * 300)]
    tally = Tally(phases, ["GET /api/items/3 (mirrored): status 503 instead of 200"] * bool(hurt))
    found = status(without=without, **comparison)  # type: ignore[arg-type]  # what overrides is the test's to know
    reading, good_one = read(found, PROFILE), read(found, GOOD_PROFILE)
    return Outcome(tally, reading, check_list(reading), noise_list(reading), good_one, false_alarms(reading))


def line_of(text: str, start: str) -> str:
    return " ".join(next(line for line in text.splitlines() if line.strip().startswith(start)).split())


def test_the_tables_say_what_differs_with_an_example() -> None:
    text = printed(outcome())
    assert (
        line_of(text, "GET /api/items/{id}") == 'GET /api/items/{id} $.price another type 390 of 400 98% 85.13 "85.13"'
    )
    assert line_of(text, "GET /api/stock/{id}") == "GET /api/stock/{id} status another status 20 of 401 5% 200 500"
    assert line_of(text, "GET /api/export") == "GET /api/export none 0 of 388"
    times = text.split("Response times")[1]
    assert line_of(times, "GET /api/recommendations/{id}") == "GET /api/recommendations/{id} 1.1 81.2 4.8 89.4"
    assert line_of(text, "faults injected") == "faults injected 121 copies aborted and 300 delayed, no client's request"
    assert line_of(text, "clients hurt") == "clients hurt 0 of 400"
    assert line_of(text, "pairs lost") == "pairs lost none"
    assert (
        "5 of 5 planted bugs found, 7 of 7 noisy fields cancelled, false alarms: 0, clients hurt: 0 of 400"
        in text.splitlines()
    )


def test_noise_has_a_table_of_its_own_with_both_rates_and_why() -> None:
    text = printed(outcome())
    differs, noise = text.split("Response times")[0].split("Cancelled as noise")
    assert "$.shard" not in differs
    assert "$.price" not in noise
    assert line_of(noise, "GET /api/items ") == "GET /api/items $.servedAt another timestamp 100% 100% control, looks"
    assert line_of(noise, "$.shard") == "$.shard another value 86% 88% control"
    assert line_of(noise, "GET /api/stock/{id}") == "GET /api/stock/{id} header:x-cost another value 95% 100% control"
    numbers = text.split("In numbers")[1]
    told = "388 alike, 1260 differ by noise alone, 710 different"
    assert line_of(numbers, "pairs compared") == f"pairs compared 2358 ({told})"
    assert line_of(numbers, "noise") == "noise measured by a control, in 2300 requests that it answered too"


def test_what_only_its_looks_have_cancelled_says_so() -> None:
    recorded = status()
    found = recorded["profiles"][0]["comparison"]["endpoints"][-2]["differences"][0]
    found |= {"nature": "recognised", "noise": {"shadowRate": None, "controlRate": None, "evidence": 1.0}}
    text = printed(Outcome(reading=read(recorded, PROFILE))).split("Cancelled as noise")[1]
    assert line_of(text, "GET /api/items ") == "GET /api/items $.servedAt another timestamp looks"


def test_false_alarms_and_noise_that_was_not_cancelled_stand_out_on_lines_of_their_own() -> None:
    recorded = status()
    for number in (0, 1):
        recorded["profiles"][0]["comparison"]["endpoints"][number]["differences"][-1]["nature"] = "difference"
    reading = read(recorded, PROFILE)
    good_one = read(recorded, GOOD_PROFILE)
    bad = Outcome(outcome().tally, reading, check_list(reading), noise_list(reading), good_one, false_alarms(reading))
    text = printed(bad)
    assert not bad.good
    assert "not planted: GET /api/items/{id} $.shard value (350)" in text.splitlines()
    assert "not planted: GET /api/search $.took value (350)" in text.splitlines()
    assert "noise not cancelled: GET /api/search: $.took" in text.splitlines()
    assert "5 of 7 noisy fields cancelled, false alarms: 2" in text


def test_a_hurt_client_is_counted_and_described() -> None:
    text = printed(outcome(hurt=2))
    assert line_of(text, "clients hurt") == "clients hurt 2 of 400"
    assert "GET /api/items/3 (mirrored): status 503 instead of 200" in text


def test_a_bug_that_was_not_found_stands_out() -> None:
    text = printed(outcome(without="price"))
    assert line_of(text, "NOT FOUND") == "NOT FOUND GET /api/items/{id}: the price became a string"
    assert "4 of 5 planted bugs found" in text


def test_each_version_has_its_verdict_with_its_reasons_and_how_it_degrades() -> None:
    text = printed(outcome()).split("May it be shipped?")[1]
    assert line_of(text, "version 2").startswith(
        "version 2 FAIL 2100 GET /api/items/{id}: difference_rate is 100 percentage"
    )
    assert line_of(text, "version 3") == "version 3 PASS 4500 every critical check passes"
    assert "under the injected faults v2 answers 100 % of the copies as well" in text
    assert text.splitlines()[-2] == "version 2: FAIL, version 3: PASS"


def test_a_fail_names_endpoints_and_fields_once() -> None:
    made = outcome()
    text = " ".join(printed(made).split("May it be shipped?")[1].split())
    assert "what differs most: $.price of GET /api/items/{id}, $.results of GET /api/search, $.warranty of GET" in text
    assert text.count("what differs most") == 1
    named = ["GET /api/items/{id}: difference_rate is 98 %, the limit is 1 %: $.price (type) differs in 98 %"]
    assert worst_fields(made.reading, named) == ""


def test_a_wrong_verdict_stands_out_and_makes_the_outcome_bad() -> None:
    for verdicts in (("PASS", "PASS"), ("FAIL", "INCONCLUSIVE"), ("FAIL", "")):
        wrong = outcome(verdicts=verdicts)
        assert not wrong.good
        assert "WRONG: it should be" in printed(wrong)
    assert outcome().good


def test_losses_are_named() -> None:
    text = printed(outcome(lost={"unpaired_original": 3, "late": 1}))
    assert line_of(text, "pairs lost") == "pairs lost unpaired_original 3, late 1"


def test_no_line_is_wider_than_the_console_and_ascii_is_enough() -> None:
    text = printed(outcome(hurt=1), encoding="ascii")
    assert max(map(len, text.splitlines())) <= 120


def test_a_narrow_terminal_has_the_examples_below_the_table() -> None:
    text = printed(outcome(), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert line_of(text, "GET /api/search") == "GET /api/search $.results another order 300 of 380 79%"
    assert line_of(text.split("Cancelled")[1], "GET /api/stock/{id}") == (
        "GET /api/stock/{id} header:x-cost 95% 100% control"
    )
    assert ' e.g. $.price: 85.13 -> "85.13"' in text
    assert " e.g. $.warranty: " in text
