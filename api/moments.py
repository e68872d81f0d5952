"""Moments in queries: `2026-01-31T12:00:00Z`, or a time ago like `10m`."""

from datetime import UTC, datetime

from api.schemas.base import shown
from api.schemas.values import parse_duration
from xds_server.errors import InvalidError

HINT = 'a time with its zone, like "2026-01-31T12:00:00Z", or how long ago it was, like "10m"'


def moment(text: str | None, field: str, *, now: datetime) -> float | None:
    """Return the seconds since the epoch of a query's moment (0 for what was before it), or None for None.

    Raises:
        InvalidError: it is none; a bare time without a zone is refused, nobody knows whose it is.
    """
    if text is None:
        return None
    ago = parse_duration(text)
    if ago is not None:
        return max(now.timestamp() - ago, 0.0)
    try:
        # A "+" that nobody escaped has become a space.
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        seconds = max(found.timestamp(), 0.0)
    except (ValueError, OverflowError) as error:
        raise InvalidError(f"{shown(text)} is not a moment", field=field, hint=HINT) from error
    if found.tzinfo is None:
        raise InvalidError(f"{shown(text)} has no time zone", field=field, hint=HINT)
    return seconds


def stretch(since: str | None, until: str | None) -> tuple[float | None, float | None]:
    """Return a stretch of time. Raises: InvalidError (one of them is no moment, or it ends before it begins)."""
    now = datetime.now(UTC)
    begin, end = moment(since, "since", now=now), moment(until, "until", now=now)
    if begin is not None and end is not None and end < begin:
        raise InvalidError(f"{shown(until)} is before since", field="until", hint="a moment after since")
    return begin, end
