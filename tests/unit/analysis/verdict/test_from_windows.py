"""From the windows of an engine to a verdict, by way of the manager's book of evidence."""

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


def verdict_after(seconds: int, *, slower: float = 1.0, failing: float = 0.0) -> Verdict:
    rng, book, whole = np.random.default_rng(4), EvidenceBook(np.random.default_rng(1)), Tally("p", "v2-1")
    for second in range(seconds):
        found = window(rng, NOW + second, slower=slower, failing=failing)
        book.take(found, length=5.0, quantiles=(0.5, 0.99))
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


def test_little_is_not_enough() -> None:
    assert verdict_after(4).decision is Decision.INCONCLUSIVE
