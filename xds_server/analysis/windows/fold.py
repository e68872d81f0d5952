"""Keeps merged tallies of one profile within bounds: what is beyond them goes into `other`.

Engines bound what they send, and learn templates of what they see; this does the same with the union of many engines,
which may have learnt different things.
Guarantees: totals are kept. Which names stay never depends on what differs, only on what came first and how often.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from xds_server.analysis.endpoints.endpoints import Endpoints, Names
from xds_server.analysis.kinds import OTHER
from xds_server.analysis.windows.tally import EndpointTally, Field, FieldTally, Tally


class Folding:
    """The names of one profile; `patterns` are those of the user."""

    def __init__(self, max_endpoints: int, max_differences: int, patterns: Iterable[str] = ()) -> None:
        self._endpoints = Endpoints(max_endpoints, patterns)
        self._fields = Names(max_differences)

    def use(self, patterns: Iterable[str]) -> None:
        """Take these for the patterns of the user."""
        self._endpoints.use(patterns)

    def fold(
        self,
        tally: Tally,
        others: Iterable[Tally] = (),
        *,
        follow: Callable[[Mapping[str, str]], None] | None = None,
    ) -> Tally:
        """Return a tally with the same counts and no names beyond the bounds; it may be the same object, changed.

        Args:
            tally: what came in.
            others: what was folded before: where it taught that names are one endpoint, they are moved there too.
            follow: told of the same, by old name.
        """
        self._endpoints.add((name, _hits(endpoint)) for name, endpoint in tally.endpoints.items())
        if moved := self._endpoints.moved:
            self._endpoints.moved = {}
            self._fields.move(moved)
            for other in others:
                move(other, moved)
            if follow is not None:
                follow(moved)
        folded: dict[str, EndpointTally] = {}
        for name, endpoint in tally.endpoints.items():
            kept = self._endpoints.current(name)
            if kept not in {name, OTHER}:
                _rename(endpoint, kept)
            fields: dict[Field, FieldTally] = {}
            for field, found in endpoint.fields.items():
                fields.setdefault(self._fold(kept, field), FieldTally()).merge(found, tally.keep)
            endpoint.fields = fields
            signatures, endpoint.signatures = endpoint.signatures, {}
            for signature, count in signatures.items():
                endpoint.sign(tuple(sorted({self._fold(kept, field) for field in signature})), count)
            if kept in folded:
                folded[kept].merge(endpoint, tally.keep)
            else:
                folded[kept] = endpoint
        tally.endpoints = folded
        return tally

    def _fold(self, endpoint: str, field: Field) -> Field:
        name, kind = field
        return (name if self._fields.admit(f"{endpoint}\0{kind}\0{name}") != OTHER else OTHER, kind)


def move(tally: Tally, moved: Mapping[str, str]) -> None:
    """Call endpoints by their new names; those that get the same one are added up."""
    for old in [name for name in tally.endpoints if name in moved]:
        endpoint = tally.endpoints.pop(old)
        _rename(endpoint, moved[old])
        there = tally.endpoints.setdefault(moved[old], endpoint)
        if there is not endpoint:
            there.merge(endpoint, tally.keep)


def _rename(endpoint: EndpointTally, name: str) -> None:
    for field in endpoint.fields.values():
        field.examples = [replace(e, data={**e.data, "endpoint": name}) for e in field.examples]


def _hits(endpoint: EndpointTally) -> int:
    return endpoint.pairs + sum(endpoint.not_judged.values())
