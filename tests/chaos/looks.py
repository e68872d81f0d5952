"""What a point looks at, and its books: of the profile that is there, of the one that was struck, and the trail."""

from contextlib import suppress
from typing import Any

import httpx
import psutil

from tests.chaos.books import Counters, accounted, balance
from tests.chaos.callers import Callers
from tests.chaos.desk import Desk
from tests.chaos.invariants import ADDED_UP, FLUSH, RATE, RESUMED, RUNNING, WINDOW, Result
from tests.chaos.points import Blow, Point
from tests.chaos.story import broken
from tests.chaos.theatre import Theatre
from tests.envoy.stack import JSON, NETWORK, until

LOSES_WINDOW = frozenset({Blow.KILL_ENGINE, Blow.KILL_ENVOY, Blow.MANAGER_THEN_ENVOY, Blow.ENGINE_AND_MANAGER})
"""What no manager has yet is gone with the process that has it, and with it what Envoy counted since its last push."""
ARCHIVE = f"/networks/{NETWORK}/shadowing/archive"


class Looks:
    """The state of one point, and what can be seen of it."""

    def __init__(self, theatre: Theatre, callers: Callers, counters: Counters, desk: Desk, point: Point) -> None:
        self._theatre, self._callers, self._counters, self._desk = theatre, callers, counters, desk
        self._point = point
        self.result = Result(point)
        self._profile = ""
        self._deleted: list[str] = []
        self._struck: list[str] = []
        """Instances of the profile that was struck."""
        self._born = (0.0, 0.0)
        """When the profile that is looked at was asked for, and answered."""
        self._process: psutil.Process | None = None

    async def _judge_books(self) -> None:
        """Each copy is in a pair, not judged for a reason, or counted lost: once."""
        await self._callers.pause()
        instances = [each["instanceID"] for each in await self._instances()]
        _, exact = await self._counters.sent(instances)

        async def look() -> tuple[int, int]:
            found = (await self._desk.profiles())[self._profile]["comparison"] or {}
            self.result.lost = {name: count for name, count in found.get("lost", {}).items() if count}
            sent = (await self._counters.sent(instances))[0]
            return sent, accounted(found)

        slack = 0 if exact else round(FLUSH * RATE)
        sent, known, even = await balance(look, slack=slack, seconds=ADDED_UP)
        self.result.sent, self.result.accounted, self.result.exact = sent, known, exact
        self.result.must(even, f"{sent} copies sent, {known} accounted for ({'exact' if exact else f'within {slack}'})")
        self._callers.go_on()

    async def _judge_struck_books(self) -> None:
        """The same of the profile that was struck and whose shadow is gone: in the status, or in the archive.

        Its counter went with its cluster, so this is exact within a flush; what an engine or an Envoy that died had of
        the last window, and no Envoy counts any more, is added to that.
        """
        deleted = self._profile in self._deleted

        async def look() -> tuple[int, int]:
            if deleted:
                answer = await self._desk.insist("GET", f"{ARCHIVE}/{self._profile}")
                found = answer.json()["comparison"] if answer.is_success else {}
            else:
                found = (await self._desk.profiles())[self._profile]["comparison"] or {}
            return sum(map(self._copies_of, self._struck)), accounted(found)

        slack = round((FLUSH + (WINDOW if self._point.blow in LOSES_WINDOW else 0.0)) * RATE)
        sent, known, even = await balance(look, slack=slack, seconds=ADDED_UP)
        self.result.struck_sent, self.result.struck_accounted = sent, known
        self.result.must(sent > 0, "nothing was mirrored before the blow")
        self.result.must(even, f"of the profile that was struck: {sent} sent, {known} accounted for (within {slack})")

    async def _judge_trail(self, begun: str) -> None:
        """What has been done since is told, from each instance's creation to its end."""
        events = await self._desk.trail(begun)
        wrong = broken(events, {})
        told = {each["profileID"] for each in events if each["kind"] == "profile" and each["event"] == "gone"}
        wrong += [f"the end of {each} is not in the trail" for each in set(self._deleted) - told]
        self.result.must(not wrong, f"the trail is no story: {'; '.join(wrong[:5])}")

    async def _instances(self) -> list[JSON]:
        """Return the instances of the profile that have not been replaced, newest last."""
        return list((await self._desk.profiles())[self._profile]["instances"])

    async def _copies(self) -> int:
        with suppress(httpx.HTTPError, ValueError, KeyError):
            await self._counters.look()
        return sum(self._theatre.counted(each)[0] for each in self._counters.seen)

    def _copies_of(self, instance: str) -> int:
        """Return how many copies were seen of an instance: by Envoy's counter, or by its own if that got further."""
        return max(sum(self._counters.seen.get(instance, {}).values()), self._theatre.counted(instance)[0])

    async def _pairs(self) -> int:
        found: JSON = (await self._desk.profiles())[self._profile]["comparison"] or {}
        return int(found.get("pairs", 0))

    async def _until_pairs(self, count: int) -> None:
        async def enough() -> bool:
            return await self._pairs() >= count

        await until(enough, f"{count} pairs are compared", seconds=RESUMED + 5.0)

    async def _until_running(self) -> None:
        async def running() -> Any:
            return [each for each in await self._instances() if each["status"] == "Running"]

        (instance,) = await until(running, "the shadow runs", seconds=RUNNING + 5.0)
        self._struck = [each["instanceID"] for each in await self._instances()]
        processes = self._theatre.processes().get(instance["instanceID"], [])
        self._process = processes[0] if processes else None
