"""From the windows of an engine to a verdict, by way of the manager's book of evidence."""

import re
from dataclasses import replace

import numpy as np

from tests.unit.analysis.verdict.cases import ERRORS, NOW, P50, case
from xds_server.analysis.verdict.case import State
from xds_server.analysis.verdict.judge import judge
from xds_server.analysis.verdict.verdict import Decision, Verdict
from xds_server.analysis.windows.evidence_book import EvidenceBook
from xds_server.analysis.windows.tally import EndpointTally, Tally

ENDPOINT = "GET /items/{id}"


def window(rng: np.random.Generator, moment: float, *, slower: float, failing: float) -> Tally:
    found = Tally("p", "v2-1")
    found.seen(moment)
    found.seen(moment + 0.9)
    evidence = found.endpoints.setdefault(ENDPOINT, EndpointTally()).evidence
    for original, shadow, fails in zip(
        rng.lognormal(-4, 0.4, 40), slower * rng.lognormal(-4, 0.4, 40), rng.random(40) < failing, strict=True
    ):
        evidence.pairs += 1
        evidence.error_up += int(fails)
        evidence.times.add(original, shadow)
    return found


def verdict_after(seconds: int, *, slower: float = 1.0, failing: float = 0.0, length: float = 5.0) -> Verdict:
    rng, book, whole = np.random.default_rng(4), EvidenceBook(np.random.default_rng(1)), Tally("p", "v2-1")
    for second in range(seconds):
        found = window(rng, NOW + second, slower=slower, failing=failing)
        book.take(found, length=length, quantiles=(0.5, 0.99))
        whole.merge(found)
        book.number({ENDPOINT: ()}, whole, [whole])
    evidence = book.view([whole], {"v2-1": "v2"})
    return judge(case(evidence=evidence, checks=(ERRORS, P50)), State())[0]


def test_a_version_like_the_original_passes() -> None:
    verdict = verdict_after(200)
    assert verdict.decision is Decision.PASS
    assert verdict.pairs == 8000


def test_a_slow_version_fails_by_its_time() -> None:
    verdict = verdict_after(200, slower=1.6)
    assert verdict.decision is Decision.FAIL
    assert "response_time p50" in verdict.reasons[0]


def test_a_failing_version_fails_by_its_errors_and_at_its_endpoint() -> None:
    verdict = verdict_after(60, failing=0.1)
    assert verdict.decision is Decision.FAIL
    assert {r.endpoint for r in verdict.checks if r.decision is Decision.FAIL} == {"", ENDPOINT}


def test_a_version_that_always_fails_does_so_after_a_dozen_blocks_and_says_what_it_waits_for() -> None:
    early = verdict_after(14, failing=1.0, length=2.0)
    assert early.decision is Decision.INCONCLUSIVE
    assert re.search(r"; FAIL needs about \d+ more blocks of 2 s$", early.reasons[0])
    assert verdict_after(28, failing=1.0, length=2.0).decision is Decision.FAIL


def test_a_version_like_the_original_hardly_ever_fails_by_outages_of_its_own() -> None:
    # Each leg has outages ten pairs long; by pairs alone, watched, half of the runs fail at this limit.
    rng, failed = np.random.default_rng(8), 0
    for _ in range(40):
        book, whole = EvidenceBook(np.random.default_rng(1)), Tally("p", "v2-1")
        for second in range(60):
            found = window(rng, NOW + second, slower=1.0, failing=0.0)
            evidence = found.endpoints[ENDPOINT].evidence
            evidence.error_up, evidence.error_down = (10 * int(rng.random() < 0.05) for _ in range(2))
            book.take(found, length=2.0, quantiles=(0.5,))
            whole.merge(found)
            book.number({ENDPOINT: ()}, whole, [whole])
        checks = (replace(ERRORS, max_increase=0.0),)
        verdict = judge(case(evidence=book.view([whole], {"v2-1": "v2"}), checks=checks), State())[0]
        failed += verdict.decision is Decision.FAIL
    assert failed <= 1


def test_little_is_not_enough() -> None:
    assert verdict_after(4).decision is Decision.INCONCLUSIVE
