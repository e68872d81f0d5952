"""Everything known of a profile as bytes for the disk, and back.

Guarantees: at most about `MAX_DUMP` bytes whatever was seen: beyond it, examples are left out before counts are.
Not guaranteed: that bytes of another version can be read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from xds_server.analysis.windows.tally import Tally

DUMP_VERSION = 8
MAX_DUMP = 32 * 1024 * 1024
"""Bytes beyond which examples are left out."""
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_KEPT = (1, 0)
"""Examples of each class and field that are tried when all of them are too many."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the manager got with each engine, by the engine's id."""

    applied: Mapping[str, int] = field(default_factory=dict)
    """Number of the last window of the profile that was taken in."""
    reached: Mapping[str, int] = field(default_factory=dict)
    """Number of the last closing that was taken in, whatever profiles it was about."""


class Dumped(NamedTuple):
    """What is read of a dump. `evidence` is what an `EvidenceBook` packed, `config` a `ProfileConfig`; may be empty."""

    progress: Progress
    tallies: list[Tally]
    evidence: dict[str, Any]
    config: dict[str, Any]


def pack_dump(
    progress: Progress,
    tallies: Iterable[Tally],
    *,
    evidence: Mapping[str, Any] = _NOTHING,
    config: Mapping[str, Any] = _NOTHING,
    most: int = MAX_DUMP,
) -> bytes:
    """Return what `read_dump` reads, of the parts of a `Dumped`."""
    tallies = list(tallies)
    rest = {"evidence": dict(evidence), "config": dict(config)}
    data = _dumped(progress, tallies, rest)
    for keep in _KEPT:
        if len(data) <= most:
            break
        data = _dumped(progress, [_with_fewer(tally, keep) for tally in tallies], rest)
    return data


def read_dump(data: bytes) -> Dumped:
    """Return what was packed. Raises: ValueError when it is something else."""
    try:
        parsed = orjson.loads(data)
        if parsed["version"] != DUMP_VERSION:
            raise ValueError(f"version {parsed['version']} of a comparison is not known, {DUMP_VERSION} is")
        tallies = [Tally.unpack(packed) for packed in parsed["tallies"]]
        progress = Progress(_numbers(parsed["applied"]), _numbers(parsed["reached"]))
        return Dumped(progress, tallies, dict(parsed["evidence"]), dict(parsed.get("config", {})))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"not a comparison: {type(error).__name__} at {error}") from error


def _numbers(parsed: Mapping[str, int]) -> dict[str, int]:
    return {str(engine): int(number) for engine, number in parsed.items()}


def _dumped(progress: Progress, tallies: Iterable[Tally], rest: Mapping[str, Any]) -> bytes:
    return orjson.dumps(
        {
            "version": DUMP_VERSION,
            "applied": dict(progress.applied),
            "reached": dict(progress.reached),
            "tallies": [tally.pack() for tally in tallies],
            **rest,
        }
    )


def _with_fewer(tally: Tally, keep: int) -> Tally:
    fewer = Tally(tally.profile, tally.instance, keep=keep, control=tally.control)
    fewer.merge(tally)
    fewer.keep = tally.keep
    return fewer
