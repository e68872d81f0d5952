"""How often a process of a container was killed because the container was at its memory limit.

Guarantees: each event is counted once; an engine is asked once every `EVERY` seconds for all containers, by its own
clock. Not guaranteed: events from before this manager started, or beyond the 256 last ones that an engine remembers.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime

import docker
from docker.errors import APIError

from xds_server.errors import UnavailableError
from xds_server.runtime.docker.engine import Engine

EVERY = 2.0
_NANO = 10**9
_FRACTION = re.compile(r"\.\d+")


class OomKills:
    """See the module.

    Args:
        engine: that is asked.
        label: of our containers.
        clock: monotonic seconds.
    """

    def __init__(self, engine: Engine, *, label: Callable[[], str], clock: Callable[[], float]) -> None:
        self._engine = engine
        self._label = label
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._ahead: float | None = None
        """What the engine's time is ahead of our monotonic one."""
        self._since = 0
        self._asked = float("-inf")
        self._lock = asyncio.Lock()

    async def of(self, container: str) -> int:
        """Return the number of kills in a container."""
        async with self._lock:
            if self._clock() - self._asked >= EVERY:
                self._asked = self._clock()
                try:
                    await self._engine.call(self._look)
                except (UnavailableError, APIError):
                    self._ahead = None  # its clock may be another one when it is back
        return self._counts[container]

    def _look(self, client: docker.APIClient) -> None:
        if self._ahead is None:
            told = str(client.info()["SystemTime"])
            self._ahead = datetime.fromisoformat(_FRACTION.sub("", told)).timestamp() - self._clock()
            self._since = self._since or int(self._ahead + self._clock() - 2 * EVERY)
        until = int(self._clock() + self._ahead)  # in the future it would be waited for
        filters = {"event": ["oom"], "label": [self._label()]}
        for event in client.events(since=self._since, until=until, filters=filters, decode=True):
            if event["timeNano"] >= self._since * _NANO:
                self._counts[event["id"]] += 1
        self._since = until
