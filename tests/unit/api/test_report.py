"""Histograms over REST."""

import httpx

from tests.unit.analysis.differing import a_tally, judged, versions
from tests.unit.api.fake import FakeController


async def test_the_response_times_of_a_profile_are_histograms(
    client: httpx.AsyncClient, desk: FakeController, shop: str
) -> None:
    tally = a_tally()
    judged(tally, 1)
    tally.endpoints["GET /items/{id}"].shadow.response.add(0.012)
    desk.sources = versions(tally)
    answer = await client.get(f"/networks/{shop}/shadowing/profiles/p1/report")
    assert answer.status_code == 200, answer.text
    assert [each["endpoint"] for each in answer.json()["responseTimes"]["endpoints"]] == ["", "GET /items/{id}"]
    assert (await client.get(f"/networks/{shop}/shadowing/profiles/nope/report")).status_code == 404
