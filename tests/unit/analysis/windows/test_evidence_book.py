"""What the book makes of windows."""

import numpy as np
import pytest

from xds_server.analysis.windows.evidence_book import EvidenceBook
from xds_server.analysis.windows.tally import EndpointTally, Tally

NOW = 1_750_000_000.0


def window(second: int, **pairs: int) -> Tally:
    """Return a window in which the shadow failed alone as often as said, by endpoint."""
    made = Tally("p", "i")
    made.seen(NOW + second)
    for name, count in pairs.items():
        endpoint = made.endpoints[name] = EndpointTally()
        endpoint.evidence.pairs = endpoint.evidence.error_up = count
    return made


@pytest.mark.parametrize(("one", "other", "stays"), [("many", "few", 8), ("few", "many", 8)])
def test_of_two_endpoints_that_become_one_the_blocks_of_that_with_more_of_them_stay(
    one: str, other: str, stays: int
) -> None:
    """They are of the same seconds: added up, one bad moment would count twice."""
    book, whole = EvidenceBook(np.random.default_rng(1)), Tally("p", "i")
    for second in range(0, 18, 2):
        made = window(second, many=1) if second < 12 else window(second, many=1, few=1)
        book.take(made, length=2.0, quantiles=(0.5,))
        whole.merge(made)
    book.moved({one: "merged"})
    book.moved({other: "merged"})
    whole.endpoints = {"merged": EndpointTally()}
    found = book.view([whole], {"i": "v2"}).versions["v2"].endpoints["merged"]
    assert found.error_blocks.seen == stays
