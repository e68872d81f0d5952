"""How busy the machine of a far engine is: a tiny container there that writes it down every few seconds.

An engine tells its machine's size and not its load. `/proc/stat` and `/proc/meminfo` of a container are the machine's.

Guarantees: one container a manager and engine, of the guards' image, without network or rights; it ends and is removed
within `LIVES` seconds after the last look. Not guaranteed: anything where `/proc` is not the machine's (lxcfs).
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import docker
from docker.errors import APIError, NotFound
from docker.types import LogConfig

from xds_server.runtime.docker import images
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.guard_image import REPOSITORY, guard_image

LABEL = "io.shadowmesh.pulse"
EVERY = 5
"""Seconds between two lines."""
LIVES = 60
_SCRIPT = f"""
trap 'left={LIVES // EVERY}' HUP
trap 'exit 0' TERM INT
left={LIVES // EVERY}
while [ $left -gt 0 ]; do
  left=$((left - 1))
  read -r cpu < /proc/stat
  while read -r name value unit; do [ $name = MemAvailable: ] && echo "$cpu $value"; done < /proc/meminfo
  sleep {EVERY} & wait $!
done
"""
_MEMORY = 16 * 1024 * 1024
_FIELDS = 10
"""Numbers of the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice."""


@dataclass(frozen=True, slots=True)
class Load:
    """Busy share of all processors, 0.0-1.0, and bytes of memory that are there to be had."""

    cpu: float
    memory_free: int


class Pulse:
    """See the module.

    Args:
        engine: of the machine.
        manager: gives the id of this manager.
    """

    def __init__(self, engine: Engine, *, manager: Callable[[], str]) -> None:
        self._engine = engine
        self._manager = manager
        self._there = False
        self._asked = False

    @property
    def _name(self) -> str:
        return f"shadowmesh-pulse-{self._manager()}"

    async def load(self) -> Load | None:
        """Return the load of the last seconds; None until there are two lines. Raises: UnavailableError, APIError."""
        if not self._there:
            await images.ensure_guard(self._engine, guard_image()[0])
        self._asked = True
        lines = await self._engine.call(self._look)
        self._there = bool(lines)
        return parse(lines)

    async def close(self) -> None:
        """End it at once, if that can be done at once. Raises: UnavailableError, APIError."""
        if self._asked:
            await self._engine.call(lambda client: client.remove_container(self._name, force=True), timeout=2.0)

    def _look(self, client: docker.APIClient) -> list[str]:
        try:
            client.kill(self._name, "HUP")
            return bytes(client.logs(self._name, tail=2)).decode("ascii", "replace").splitlines()
        except APIError:  # it is not there, or has just ended
            with suppress(NotFound):  # or was made and never started, by a manager that was killed
                client.remove_container(self._name, force=True)
        container = client.create_container(
            image=f"{REPOSITORY}:{guard_image()[0]}",
            name=self._name,
            command=["/bin/sh", "-c", _SCRIPT],
            user="65533:65533",
            labels={LABEL: "yes"},
            host_config=client.create_host_config(
                network_mode="none",
                auto_remove=True,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges:true"],
                read_only=True,
                mem_limit=_MEMORY,
                pids_limit=8,
                log_config=LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"}),
            ),
        )["Id"]
        client.start(container)
        return []


def parse(lines: list[str]) -> Load | None:
    """Return the load between two lines; None when they are not there."""
    found = [[int(word) for word in line.split()[1:]] for line in lines if line.startswith("cpu ")]
    if len(found) < 2 or any(len(numbers) != _FIELDS + 1 for numbers in found):  # noqa: PLR2004 - from one to the other
        return None
    before, after = found[-2:]
    # Guest time is in user and nice already (proc(5)).
    total = sum(after[: _FIELDS - 2]) - sum(before[: _FIELDS - 2])
    idle = sum(after[3:5]) - sum(before[3:5])
    busy = (total - idle) / total if total > 0 else 0.0
    return Load(cpu=min(1.0, max(0.0, busy)), memory_free=after[_FIELDS] * 1024)
