"""Moments as text: ISO 8601 with microseconds, in UTC, so that they sort as text."""

from datetime import UTC, datetime
from typing import overload


@overload
def time_to(when: datetime) -> str: ...
@overload
def time_to(when: None) -> None: ...
def time_to(when: datetime | None) -> str | None:
    """Return the text of an aware moment."""
    return None if when is None else when.astimezone(UTC).isoformat(timespec="microseconds")


@overload
def time_from(text: str) -> datetime: ...
@overload
def time_from(text: None) -> None: ...
def time_from(text: str | None) -> datetime | None:
    """Return the moment of a text, aware, in UTC. Raises: ValueError."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
