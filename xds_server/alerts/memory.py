"""What fires, on disk: so that a manager that starts again neither tells twice nor forgets to tell of the end.

Guarantees: the file is replaced as a whole, and only its owner reads it (`private_files`); one
that cannot be read is left out, said in the log, and written anew.
Not guaranteed: the last look before a crash. An alert is then told again, or its beginning is a look later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import structlog

from xds_server.alerts.alert import Alert, Labels
from xds_server.private_files import tighten, write_private

log = structlog.get_logger(__name__)

VERSION = 1


@dataclass(frozen=True, slots=True)
class Remembered:
    """What fired, and by sink, the labels of those that it was told of."""

    firing: tuple[Alert, ...] = ()
    told: Mapping[str, Sequence[Labels]] = field(default_factory=dict)


def pack(remembered: Remembered) -> bytes:
    """Return it for the disk."""
    return orjson.dumps(
        {
            "version": VERSION,
            "firing": [
                [alert.labels, dict(alert.annotations), alert.starts_at.timestamp()] for alert in remembered.firing
            ],
            "told": remembered.told,
        }
    )


def unpack(data: bytes) -> Remembered:
    """Return what `pack` described. Raises: ValueError when it is something else."""
    try:
        found = orjson.loads(data)
        if found["version"] != VERSION:
            raise ValueError(f"version {found['version']} is not known, {VERSION} is")
        firing = tuple(
            Alert(_labels(labels), dict(annotations), datetime.fromtimestamp(started, UTC))
            for labels, annotations, started in found["firing"]
        )
        told = {str(sink): tuple(map(_labels, labels)) for sink, labels in found["told"].items()}
    except (KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        raise ValueError(f"no alerts: {type(error).__name__} at {error}") from error
    return Remembered(firing, told)


def read(path: Path) -> Remembered:
    """Return what the file holds; nothing when there is none, or one that cannot be read."""
    tighten(path)
    try:
        return unpack(path.read_bytes())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.warning("what fired before could not be read; alerts are told anew", path=str(path), error=str(error))
    return Remembered()


def write(path: Path, data: bytes) -> None:
    """Replace the file. Raises: OSError."""
    write_private(path, data)


def _labels(given: Any) -> Labels:
    return tuple((str(name), str(value)) for name, value in given)
