"""Which examples of a profile are kept when there are too many: at least one for as many fields as possible.

Guarantees: at most `COUNT` examples of about `BYTES` bytes in all; every field gets its newest example before any gets
a second one, fields that were seen first last come first (what is new is what a user looks for). An example that shows
several fields counts once.
"""

from collections.abc import Iterable, Iterator

import orjson

from xds_server.analysis.examples.example import Example
from xds_server.analysis.windows.tally import FieldTally, Tally

COUNT = 400
BYTES = 4 * 1024 * 1024


class Ration:
    """The examples of one profile."""

    def __init__(self, *, count: int = COUNT, size: int = BYTES) -> None:
        self._count = count
        self._size = size
        self._sizes: dict[str, int] = {}

    def apply(self, tallies: Iterable[Tally]) -> None:
        """Drop examples from the tallies until they fit."""
        fields = [field for tally in tallies for each in tally.endpoints.values() for field in each.fields.values()]
        examples = {example.id: example for field in fields for example in field.examples}
        known = self._sizes
        self._sizes = {name: known.get(name) or _size(example) for name, example in examples.items()}
        if len(examples) <= self._count and sum(self._sizes.values()) <= self._size:
            return
        kept: set[str] = set()
        left = self._size
        for example in _in_turns(sorted(fields, key=lambda field: -field.first)):
            if example.id not in kept and len(kept) < self._count and self._sizes[example.id] <= left:
                kept.add(example.id)
                left -= self._sizes[example.id]
        for field in fields:
            field.examples = [example for example in field.examples if example.id in kept]
        self._sizes = {name: size for name, size in self._sizes.items() if name in kept}


def _in_turns(fields: list[FieldTally]) -> Iterator[Example]:
    """Give the newest example of each field, then the second newest of each, and so on."""
    for turn in range(max((len(field.examples) for field in fields), default=0)):
        for field in fields:
            if turn < len(field.examples):
                yield sorted(field.examples, reverse=True)[turn]


def _size(example: Example) -> int:
    return len(orjson.dumps(example.pack()))
