"""Waiting for a verdict.

Guarantees: ends with a decision, or at the time that was set, or at once when no decision can come any more; never
PASS without having read it. A manager that goes away meanwhile is waited for, until the time is over.
Not guaranteed: that a PASS is still one a moment later; it holds at the error rate that the verdict names.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from xds_server.cli.client import JSON
from xds_server.errors import NotFoundError, UnavailableError
from xds_server.report.subject import Subject, listed
from xds_server.report.words import FAIL, INCONCLUSIVE, PASS

START = 10.0
"""Seconds in which a manager that was never reached may come up."""
EXIT_CODES = {PASS: 0, FAIL: 1, INCONCLUSIVE: 2}
_LIVING = {"Pending", "Running"}


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at one moment: None until a manager was reached. `away`: why it is not reached now.

    `requests`: how many clients have sent, where that is known; `hint`: what the user may do meanwhile.
    """

    subject: Subject | None
    left: float
    away: str = ""
    requests: int | None = None
    hint: str = ""


def wait(
    read: Callable[[], JSON],
    *,
    network: str,
    variant: str,
    timeout: float,
    interval: float,
    show: Callable[[Look], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Subject:
    """Return the profile with its verdict; `note` says why it is INCONCLUSIVE, if it is.

    Args:
        read: returns the profile as REST answers it.
        network: its network.
        variant: the version that is meant; empty: the whole.
        timeout: seconds to wait.
        interval: seconds between two looks.
        show: told of each look that does not end it.
        clock: tells the time, in seconds.
        sleep: waits.

    Raises:
        UnavailableError: no manager was reached at first, or none when the time was over.
        NotFoundError: there is no such profile, or variant, (any more).
    """
    begin = clock()
    seen: Subject | None = None
    while True:
        away: UnavailableError | None = None
        try:
            profile = read()
        except UnavailableError as error:
            away = error
        else:
            check_variant(profile, variant)
            seen = Subject.now(network, profile, variant=variant)
            note = settled(seen)
            if note is not None:
                return replace(seen, note=note)
        passed = clock() - begin
        if away and (passed >= timeout or (seen is None and passed >= START)):
            raise away
        if passed >= timeout and seen is not None:
            return replace(seen, note=f"no decision within {_seconds(timeout)}")
        show(Look(seen, timeout - passed, str(away or "")))
        sleep(max(0.0, min(interval, timeout - passed)))


def check_variant(profile: JSON, variant: str) -> None:
    """Look whether a profile has a variant; an empty name is none in particular.

    Raises:
        NotFoundError: it has not.
    """
    names = [str(each["name"] if isinstance(each, dict) else each) for each in profile.get("variants") or ()]
    if variant and variant not in names:
        told = f'profile "{profile.get("name") or profile.get("profileID")}" has no variant "{variant}"'
        raise NotFoundError(told, field="--variant", hint=f"one of {', '.join(names)}")


def settled(subject: Subject) -> str | None:
    """Return None while it is worth to wait; else what is to be said (nothing, when there is a decision)."""
    if subject.decision == FAIL:
        return ""
    found = subject.profile.get("rollout")
    rollout = found if isinstance(found, Mapping) else {}
    state = rollout.get("state")
    if state == "aborted":
        return f"the rollout was aborted{_because(rollout)}"
    if subject.decision == PASS and (state in {None, "done"} or _of_the_last_step(subject, rollout)):
        return ""
    if state == "done":
        return f"the rollout is done, without a verdict of its last step{_because(rollout)}"
    return _ended(subject)


def _ended(subject: Subject) -> str | None:
    """Return why nothing more can be judged; None: it can."""
    profile = subject.profile
    mine = [
        each
        for each in listed(profile.get("instances"))
        if not each.get("control") and subject.variant in {"", each.get("variant")}
    ]
    if any(each.get("status") in _LIVING for each in mine) or (not mine and not profile.get("ended")):
        return None
    if not mine:
        return "no shadow is running, so nothing more can be judged"
    ended = ", ".join(dict.fromkeys(_end(each) for each in mine))
    return f"no shadow is running, so nothing more can be judged: {ended}"


def _of_the_last_step(subject: Subject, rollout: Mapping[str, Any]) -> bool:
    """Tell whether a decision is about the last step, and not one that was reached before that began."""
    step, steps = rollout.get("step"), rollout.get("steps")
    if not isinstance(step, int) or not isinstance(steps, int) or step < steps:
        return False
    try:
        since, began = (
            datetime.fromisoformat(str(each["since"])).astimezone(UTC) for each in (subject.verdict, rollout)
        )
    except (KeyError, ValueError):
        return False
    return since >= began


def _because(rollout: Mapping[str, Any]) -> str:
    return f": {rollout['reason']}" if rollout.get("reason") else ""


def _end(instance: JSON) -> str:
    reason = instance.get("reason")
    return f"{instance.get('variant')} is {instance.get('status')}" + (f" ({reason})" if reason else "")


def span(seconds: float) -> str:
    """Return how long: `9m 05s`, `42s`."""
    whole = max(0, round(seconds))
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole}s"  # noqa: PLR2004 - a minute


def _seconds(seconds: float) -> str:
    return span(seconds) if seconds >= 1 else f"{seconds:g}s"


def needed(subject: Subject) -> int:
    """Return how many more pairs the most demanding open critical check takes; 0: not known, or none."""
    return max((int(each.get("pairsNeeded") or 0) for each in critical(subject)), default=0)


def critical(subject: Subject) -> Iterator[JSON]:
    """Yield the checks that decide."""
    for check in subject.checks:
        if check.get("critical") and not check.get("muted") and check.get("judged") is not False:
            yield check
