"""The books: what the comparison knows the fate of, against what Envoy sent."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from tests.chaos.theatre import Theatre
from tests.envoy.stack import JSON

SENT = re.compile(r"cluster\.shadow-in-(.+)\.upstream_rq_total")
LOOK = 0.1
"""Seconds between two looks at Envoy's counters."""


OF_COPIES = frozenset({"als_gap", "unpaired_shadow", "late", "overflow"})
"""Kinds of loss of which each counts a copy that is in no other."""
OF_OTHERS = frozenset({"unpaired_original", "late_original", "engine_windows_dropped"})
"""Kinds that say something of originals (whose copies are in a kind above) or of windows."""


def accounted(found: JSON) -> int:
    """Return how many copies the comparison knows the fate of: pairs, not judged, and each kind of loss, once.

    Raises: AssertionError for a kind that is in neither list, as it cannot be told whether it is of a copy.
    """
    lost = {kind: count for kind, count in found.get("lost", {}).items() if count and kind not in OF_OTHERS}
    assert lost.keys() <= OF_COPIES, f"kinds of loss that no blow explains: {lost}"
    return int(found.get("pairs", 0)) + sum(found.get("notJudged", {}).values()) + sum(lost.values())


@dataclass
class Counters:
    """Looks at how many copies the Envoys have sent, again and again: a counter goes with its Envoy or its cluster."""

    theatre: Theatre
    seen: dict[str, dict[int, int]] = field(default_factory=dict)
    """By instance, by how many Envoys there were before."""
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with suppress(httpx.HTTPError, ValueError, KeyError):
                await self.look()
            await asyncio.sleep(LOOK)

    async def look(self) -> dict[str, int]:
        """Look now; return the instances that the Envoy has a counter of."""
        life, url = self.theatre.envoys, f"http://127.0.0.1:{self.theatre.proxy.admin}"
        async with httpx.AsyncClient(base_url=url, timeout=2.0, trust_env=False) as client:
            path = "/stats?format=json&filter=^cluster.shadow-in-.*upstream_rq_total$"
            stats = (await client.get(path)).json()["stats"]
        now = {}
        for stat in stats:
            if "value" in stat and (match := SENT.fullmatch(stat["name"])) and life == self.theatre.envoys:
                now[match[1]] = stat["value"]
                lives = self.seen.setdefault(match[1], {})
                lives[life] = max(lives.get(life, 0), stat["value"])
        return now

    async def sent(self, instances: list[str]) -> tuple[int, bool]:
        """Return how many copies went to instances, and whether that is known exactly."""
        now = await self.look()
        total = sum(sum(self.seen.get(each, {}).values()) for each in instances)
        exact = all(each in now and len(self.seen[each]) == 1 for each in instances)
        return total, exact


async def balance(
    look: Callable[[], Awaitable[tuple[int, int]]], *, slack: int, seconds: float, still: float = 1.5
) -> tuple[int, int, bool]:
    """Wait until sent and accounted are at most `slack` apart, and stay so; return them and whether they came to it."""
    deadline = time.monotonic() + seconds
    since: float | None = None
    while True:
        sent, known = await look()
        if abs(sent - known) > slack:
            since = None
        elif since is None:
            since = time.monotonic()
        elif time.monotonic() - since >= still:
            return sent, known, True
        if time.monotonic() > deadline:
            return sent, known, False
        await asyncio.sleep(0.2)
