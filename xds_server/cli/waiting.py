"""Waiting until shadows run."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from api.schemas.values import DURATION_HINT, parse_duration
from xds_server.cli.applying import Applied
from xds_server.cli.client import JSON, Client
from xds_server.errors import InvalidError, RuntimeFailedError, UnavailableError

POLL = 0.2


def seconds(text: str, field: str) -> float:
    """Return the seconds of a duration that was given as an option.

    Raises:
        InvalidError: it is none.
    """
    found = parse_duration(text)
    if found is None:
        raise InvalidError(f'"{text}" is not a duration', field=field, hint=DURATION_HINT)
    return found


def wait_until_running(client: Client, applied: Sequence[Applied], *, timeout: str, say: Callable[[str], Any]) -> None:
    """Wait until the newest instances of every profile are Running.

    Raises:
        RuntimeFailedError: one failed; with its last log lines.
        UnavailableError: not in time.
    """
    limit = seconds(timeout, "--timeout")
    deadline = time.monotonic() + limit
    for one in applied:
        while waiting := pending(_read(client, one), one.label):
            if time.monotonic() > deadline:
                raise UnavailableError(f"{one.label}: {', '.join(waiting)} still Pending after {timeout}")
            time.sleep(min(POLL, limit))
        say(f"{one.label} is running")


def _read(client: Client, one: Applied) -> JSON:
    return client.get("networks", one.network, "shadowing", "profiles", one.profile)


def pending(profile: JSON, label: str) -> list[str]:
    """Return the versions that are not up yet. Raises RuntimeFailedError: one has ended, with its last log lines."""
    newest = {instance["variant"]: instance for instance in profile["instances"]}
    for variant, instance in newest.items():
        if instance.get("control") and instance["status"] == "Stopped":
            continue  # its duration is over; the shadows go on
        if instance["status"] in {"Failed", "Stopped"}:
            told = f"{label}: {variant} is {instance['status']}: {instance['reason'] or 'no reason known'}"
            raise RuntimeFailedError(told, log=tuple(instance["logTail"]))
    return [variant for variant, instance in newest.items() if instance["status"] == "Pending"]
