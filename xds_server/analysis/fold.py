"""Keeps merged tallies of one profile within bounds: what is beyond them goes into `other`.

Engines bound what they send; this bounds the union of many engines.
Guarantees: totals are kept. Which names stay never depends on what differs, only on what came first.
"""

from xds_server.analysis.endpoints import Names
from xds_server.analysis.kinds import OTHER
from xds_server.analysis.tally import EndpointTally, Field, FieldTally, Tally


class Folding:
    """The names of one profile."""

    def __init__(self, max_endpoints: int, max_differences: int) -> None:
        self._endpoints = Names(max_endpoints)
        self._fields = Names(max_differences)

    def fold(self, tally: Tally) -> Tally:
        """Return a tally with the same counts and no names beyond the bounds; it may be the same object, changed."""
        folded: dict[str, EndpointTally] = {}
        for name, endpoint in tally.endpoints.items():
            kept = self._endpoints.admit(name)
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
