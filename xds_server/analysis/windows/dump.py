"""Everything known of a profile as bytes for the disk, and back.

Guarantees: at most about `MAX_DUMP` bytes whatever was seen: beyond it, examples are left out before counts are.
Not guaranteed: that bytes of another version can be read.
"""

from collections.abc import Iterable, Mapping

import orjson

from xds_server.analysis.windows.tally import Tally

DUMP_VERSION = 2
MAX_DUMP = 32 * 1024 * 1024
"""Bytes beyond which examples are left out."""
_KEPT = (1, 0)
"""Examples of each class and field that are tried when all of them are too many."""


def pack_dump(applied: Mapping[str, int], tallies: Iterable[Tally], *, most: int = MAX_DUMP) -> bytes:
    """Return what `read_dump` reads; `applied` is the number of the last window of each engine."""
    tallies = list(tallies)
    data = _dumped(applied, tallies)
    for keep in _KEPT:
        if len(data) <= most:
            break
        data = _dumped(applied, [_with_fewer(tally, keep) for tally in tallies])
    return data


def read_dump(data: bytes) -> tuple[dict[str, int], list[Tally]]:
    """Return the windows applied by engine, and the tallies. Raises: ValueError when it is something else."""
    try:
        parsed = orjson.loads(data)
        if parsed["version"] != DUMP_VERSION:
            raise ValueError(f"version {parsed['version']} of a comparison is not known, {DUMP_VERSION} is")
        tallies = [Tally.unpack(packed) for packed in parsed["tallies"]]
        return {str(engine): int(number) for engine, number in parsed["applied"].items()}, tallies
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"not a comparison: {type(error).__name__} at {error}") from error


def _dumped(applied: Mapping[str, int], tallies: Iterable[Tally]) -> bytes:
    packed = [tally.pack() for tally in tallies]
    return orjson.dumps({"version": DUMP_VERSION, "applied": dict(applied), "tallies": packed})


def _with_fewer(tally: Tally, keep: int) -> Tally:
    fewer = Tally(tally.profile, tally.instance, keep=keep, control=tally.control)
    fewer.merge(tally)
    fewer.keep = tally.keep
    return fewer
