"""Outcomes put together to blocks of time: by how much was the one leg worse in each? One bad moment counts once.

Pairs are not independent when one leg has an outage of its own: ten errors in a row are one event, not ten. A block is
longer than what one bad moment lasts; if the legs are equally good, its sum is as likely positive as negative, whatever
happened inside it (`statistics.symmetric`).

Guarantees: where a block ends depends on time alone: as soon as its seconds are over, if it has had a request. What was
packed goes on as if nothing had been. Bounded by the endpoints and fields.
Not guaranteed: that blocks are as good as independent when bad moments of one leg last longer than them.
Units: seconds.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from xds_server.analysis.statistics.symmetric import Symmetric
from xds_server.analysis.windows.tally import Field


class Outcomes:
    """What each block of one endpoint came to: the shadow's bad answers less the reference's."""

    __slots__ = ("_begun", "_errors", "_fields", "_quiet", "errors", "fields", "quiet")

    def __init__(self) -> None:
        self.errors = Symmetric()
        self.quiet = Symmetric()
        """Differences in quiet fields: of the shadow, less those of the control."""
        self.fields: dict[Field, Symmetric] = {}
        """By field; blocks in which neither differed more often than the other are not counted."""
        self._begun: float | None = None
        self._errors = 0
        self._quiet = 0
        self._fields: dict[Field, int] = {}

    def add(
        self, since: float, *, length: float, errors: int, quiet: int = 0, fields: Iterable[tuple[Field, int]] = ()
    ) -> None:
        """Take in what a window came to that began at `since` and had a request; a block that is over by then ends."""
        self.close(since, length=length)
        self._add(since, errors, quiet, fields)

    def _add(self, since: float, errors: int, quiet: int, fields: Iterable[tuple[Field, int]]) -> None:
        self._begun = since if self._begun is None else min(self._begun, since)
        self._errors += errors
        self._quiet += quiet
        for field, more in fields:
            self._fields[field] = self._fields.get(field, 0) + more

    def close(self, until: float, *, length: float) -> None:
        """End the block if its seconds are over by `until`."""
        if self._begun is None or until - self._begun < length:
            return
        self.errors.add(self._errors)
        self.quiet.add(self._quiet)
        for field, more in self._fields.items():
            if more:
                self.fields.setdefault(field, Symmetric()).add(more)
        self._begun, self._errors, self._quiet, self._fields = None, 0, 0, {}

    def merge(self, other: "Outcomes") -> None:
        """Go on with the other's too: its blocks, and what waits for one."""
        self.errors.merge(other.errors)
        self.quiet.merge(other.quiet)
        for field, sums in other.fields.items():
            self.fields.setdefault(field, Symmetric()).merge(sums)
        if other._begun is not None:  # noqa: SLF001 - its class
            self._add(other._begun, other._errors, other._quiet, other._fields.items())  # noqa: SLF001 - its class

    def pack(self) -> list[Any]:
        """Return it for the disk."""
        waiting = [[*field, more] for field, more in self._fields.items()]
        closed = [[*field, sums.as_json()] for field, sums in self.fields.items()]
        return [
            [self._begun, self._errors, self._quiet, waiting],
            [self.errors.as_json(), self.quiet.as_json(), closed],
        ]

    @classmethod
    def unpack(cls, packed: Sequence[Any]) -> "Outcomes":
        """Return what `pack` described. Raises: TypeError, ValueError when it is something else."""
        outcomes = cls()
        (outcomes._begun, outcomes._errors, outcomes._quiet, waiting), (errors, quiet, closed) = packed
        outcomes._fields = {(name, kind): int(more) for name, kind, more in waiting}
        outcomes.errors, outcomes.quiet = Symmetric.from_json(errors), Symmetric.from_json(quiet)
        outcomes.fields = {(name, kind): Symmetric.from_json(sums) for name, kind, sums in closed}
        return outcomes


def together(parts: Sequence[Outcomes]) -> Outcomes:
    """Return the blocks of several instances of one version, of different times; none of them is changed."""
    if len(parts) == 1:
        return parts[0]
    whole = Outcomes()
    for part in parts:
        whole.merge(part)
    return whole
