"""What the desks for networks, profiles and faults share. Nothing is decided here."""

from dataclasses import dataclass
from typing import Any

from xds_server.errors import NotFoundError, StaleError
from xds_server.lifecycle.archive import Archive
from xds_server.lifecycle.faults import Faults
from xds_server.lifecycle.measures import Measures
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.shadows import Parts, Shadows
from xds_server.lifecycle.summaries import Summaries
from xds_server.lifecycle.sweeper import Sweeper
from xds_server.lifecycle.verdicts import Verdicts


@dataclass(frozen=True, slots=True)
class Context:
    """The parts, put together once by the controller."""

    parts: Parts
    shadows: Shadows
    faults: Faults
    summaries: Summaries
    archive: Archive
    verdicts: Verdicts[Any]
    measures: Measures
    sweeper: Sweeper


def check_revision(revision: int, if_match: int | None, *, what: str) -> None:
    """Refuse a change that was made looking at something older. Raises: StaleError."""
    if if_match is not None and if_match != revision:
        raise StaleError(
            f"{what} has revision {revision}, and the change was made to revision {if_match}",
            field="If-Match",
            hint="read it again and repeat the change",
        )


def check_open(record: NetworkRecord) -> None:
    """Refuse a change of a network that was deleted while the change waited for its turn. Raises: NotFoundError."""
    if record.ending:
        raise NotFoundError(f'network "{record.network.name}" was deleted meanwhile')
