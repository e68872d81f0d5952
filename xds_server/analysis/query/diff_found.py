"""The differences of versions, one by one: each field and class of each endpoint with its counts, nature and bits.

Guarantees: pure; reads tallies and changes none.
Not guaranteed: with a stretch of time, counts finer than the buckets of the timelines (`resolution`); what is noise is
always decided by everything that was seen, since trios are not counted over time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from xds_server.analysis.examples.example import Example
from xds_server.analysis.query.diff_query import DiffQuery, Source
from xds_server.analysis.query.surprise import pairs_before, surprise
from xds_server.analysis.windows.noise import Judgement, judgements
from xds_server.analysis.windows.tally import EndpointTally, Field, FieldTally


@dataclass(frozen=True, slots=True)
class Found:
    """One class of difference of one field of one endpoint, of one version."""

    source: Source
    endpoint: str
    field: Field
    of: EndpointTally
    tally: FieldTally
    judgement: Judgement
    count: int
    pairs: int
    bits: float

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is told apart by, but for the profile."""
        return (self.source.variant, self.endpoint, *self.field)

    @property
    def examples(self) -> list[Example]:
        """Its pairs, newest first."""
        return sorted(self.tally.examples, key=lambda example: (example.time, example.id), reverse=True)


def find(sources: Iterable[Source], query: DiffQuery) -> Iterator[Found]:
    """Yield what a query takes, whatever its nature."""
    for source in sources:
        for name, endpoint in source.tally.endpoints.items():
            if query.endpoint is None or name == query.endpoint:
                yield from _of(source, name, endpoint, query)


def _of(source: Source, name: str, endpoint: EndpointTally, query: DiffQuery) -> Iterator[Found]:
    taken = {field: tally for field, tally in endpoint.fields.items() if tally.count and query.takes(field)}
    if not taken:
        return
    natures = judgements(endpoint)
    pairs = endpoint.timeline.count(query.since, query.until) if query.timed else endpoint.pairs
    for field, tally in taken.items():
        count = tally.timeline.count(query.since, query.until) if query.timed else tally.count
        if not count:
            continue
        whole = max(pairs, count)
        judgement = natures[field]
        before = pairs_before(endpoint.timeline, tally)
        bits = 0.0 if judgement.explained else surprise(count, whole, before=before)
        yield Found(source, name, field, endpoint, tally, judgement, count, whole, bits)


def resolution(found: Iterable[Found]) -> int:
    """Return the width in seconds of the widest bucket that counts of a stretch of time come from; 0 without any."""
    return max((max(one.tally.timeline.width, one.of.timeline.width) for one in found), default=0)
