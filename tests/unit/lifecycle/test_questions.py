"""Metrics of the user's own: when they are asked, and what becomes of the answers."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from tests.unit.lifecycle.fakes import FakeClock, settle
from xds_server.analysis.verdict.readings import Reading
from xds_server.lifecycle.promql import QueryError
from xds_server.lifecycle.questions import MISSES, NOT_ASKED, NOTHING, SAME, Question, Questions
from xds_server.model.ids import ProfileID
from xds_server.model.judging import Check, Metric

P = ProfileID("p")
CHECK = Check(Metric.PROMETHEUS, max_ratio=1.1, name="errors", query='sum(rate(e{v="{variant}"}[{window}]))')
QUESTION = Question(
    check=CHECK, network="shop", component="catalog", reference="original", variants=("v2",), waiting={}, window=30.0
)


class FakePrometheus:
    """Knows the answer for each version."""

    def __init__(self) -> None:
        self.answers: dict[str, float | Exception] = {"original": 10.0, "v2": 13.0}
        self.asked: list[str] = []
        self.hangs = asyncio.Event()
        self.hangs.set()

    async def number(self, query: str) -> float:
        self.asked.append(query)
        await self.hangs.wait()
        answer = next(value for name, value in self.answers.items() if f'"{name}"' in query)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.prometheus = FakePrometheus()
        self.questions = Questions(self.prometheus, clock=self.clock)

    async def ask(self, question: Question = QUESTION, *, seconds: float = 0.0) -> Reading:
        """Look once a second."""
        for second in range(int(seconds) + 1):
            if second:
                await self.clock.advance(1)
            self.questions.ask(P, question)
            await settle()
        return self.questions.readings(P)["errors", "v2"]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.questions.close()


async def test_each_window_is_a_block_and_windows_do_not_overlap(bench: Bench) -> None:
    found = await bench.ask()
    assert set(bench.prometheus.asked) == {
        'sum(rate(e{v="original"}[30s]))',
        'sum(rate(e{v="v2"}[30s]))',
    }
    assert (found.reference, found.candidate, found.blocks, found.of) == (10.0, 13.0, 1, "original")
    assert (await bench.ask(seconds=29)).blocks == 1
    assert (await bench.ask(seconds=1)).blocks == 2
    found = await bench.ask(seconds=30 * 30)
    assert found.blocks == 32
    assert found.evidence.log_evidence_above(1.1) > math.log(100)
    assert found.reason == ""


async def test_the_control_is_the_reference_where_it_is_said(bench: Bench) -> None:
    bench.prometheus.answers["control"] = 13.0
    found = await bench.ask(replace(QUESTION, reference="control"))
    assert (found.reference, found.of) == (13.0, "control")
    assert not any('"original"' in query for query in bench.prometheus.asked)


async def test_a_reference_is_asked_once_for_all_versions(bench: Bench) -> None:
    bench.prometheus.answers["v3"] = 5.0
    await bench.ask(replace(QUESTION, variants=("v2", "v3")))
    assert len(bench.prometheus.asked) == 3
    assert bench.questions.readings(P)["errors", "v3"].candidate == 5.0


async def test_what_fails_says_why_and_is_asked_again_with_the_next_window(bench: Bench) -> None:
    bench.prometheus.answers["v2"] = QueryError("bad_data: parse error")
    found = await bench.ask()
    assert (found.candidate, found.reason, found.blocks) == (None, "bad_data: parse error", 0)
    bench.prometheus.answers |= {"original": QueryError("it returned nothing"), "v2": 1.0}
    assert (await bench.ask(seconds=30)).reason == "original: it returned nothing"
    bench.prometheus.answers["original"] = 1.0
    found = await bench.ask(seconds=30)
    assert (found.reason, found.blocks) == ("", 1)


async def test_old_values_are_not_shown_for_ever(bench: Bench) -> None:
    await bench.ask()
    bench.prometheus.answers["v2"] = QueryError("gone")
    assert (await bench.ask(seconds=30)).candidate == 13.0
    found = await bench.ask(seconds=30 * (MISSES - 1))
    assert (found.candidate, found.reference, found.reason, found.blocks) == (None, None, "gone", 1)


async def test_zero_for_both_tells_nothing_and_zero_for_one_does(bench: Bench) -> None:
    bench.prometheus.answers |= {"original": 0.0, "v2": 0.0}
    found = await bench.ask()
    assert (found.reason, found.blocks, found.candidate) == (NOTHING, 0, None)
    bench.prometheus.answers["v2"] = 1.0
    found = await bench.ask(seconds=30 * 20)
    assert found.evidence.log_evidence_above(1.1) > math.log(100)


async def test_a_query_that_is_the_same_for_both_is_not_asked(bench: Bench) -> None:
    found = await bench.ask(replace(QUESTION, check=replace(CHECK, query="sum(up)")))
    assert (found.reason, bench.prometheus.asked) == (SAME, [])


async def test_a_slow_answer_holds_nothing_up_and_is_waited_for(bench: Bench) -> None:
    bench.prometheus.hangs.clear()
    bench.questions.ask(P, QUESTION)
    await bench.clock.advance(100)
    bench.questions.ask(P, QUESTION)
    await settle()
    assert len(bench.prometheus.asked) == 2
    bench.prometheus.hangs.set()
    await settle()
    assert (await bench.ask(seconds=29)).blocks == 1


async def test_those_that_wait_say_why(bench: Bench) -> None:
    found = await bench.ask(replace(QUESTION, variants=(), waiting={"v2": "it is warming up"}))
    assert (found.reason, bench.prometheus.asked) == ("it is warming up", [])
    assert found.reason != NOT_ASKED


async def test_an_unexpected_error_is_a_reason_too(bench: Bench) -> None:
    bench.prometheus.answers["v2"] = RuntimeError("planted")
    assert "log says why" in (await bench.ask()).reason


async def test_a_new_step_begins_anew_and_what_ended_is_dropped(bench: Bench) -> None:
    await bench.ask()
    bench.questions.restart(P)
    assert bench.questions.readings(P) == {}
    assert (await bench.ask()).blocks == 1
    bench.questions.keep([])
    assert bench.questions.readings(P) == {}
