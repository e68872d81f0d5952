"""Shadows that already run somewhere: nothing is started or stopped, only asked.

Guarantees: we never do more to it than connect (and GET its readiness path, before the first copy is sent).
Not guaranteed: that we notice a restart between two looks; that its resources are known: they are those of what listens
there, if that is on this machine (`neighbours.py`).
"""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime

from xds_server.errors import InvalidError, RuntimeFailedError
from xds_server.model.ids import InstanceID
from xds_server.model.network import Address
from xds_server.model.profile import EndpointSpec, VariantSpec
from xds_server.runtime.base import Condition, Ending, Life, Started, Usage, expect
from xds_server.runtime.command import check_readiness
from xds_server.runtime.neighbours import Neighbours
from xds_server.runtime.probe import problem, until_ready

LOOK = 1.0
"""Seconds between two looks of `wait`."""
MISSES = 3
"""Looks in a row without a connection after which it counts as ended."""
MAX_PORT = 65535


class EndpointRuntime:
    """Serves `endpoint` variants."""

    kind = "endpoint"

    def __init__(self, *, look: float = LOOK, neighbours: Neighbours | None = None) -> None:
        """Look every `look` seconds while waiting for an end; measure what `neighbours` finds."""
        self._look = look
        self._neighbours = neighbours or Neighbours()

    def check(self, spec: VariantSpec) -> None:
        """See `Runtime.check`."""
        own = expect(spec, EndpointSpec)
        if not own.address or any(c.isspace() or c in "/@" for c in own.address):
            raise InvalidError(f"{own.address!r}", field="endpoint.address", hint="an IP address or a DNS name")
        if not 0 < own.port <= MAX_PORT:
            raise InvalidError(f"{own.port} is not a port", field="endpoint.port", hint="1 to 65535")
        check_readiness(own.readiness, kind="endpoint")

    async def start(self, instance_id: InstanceID, spec: VariantSpec, *, deadline: datetime) -> Started:  # noqa: ARG002 -- nothing is started, so nothing ends
        """See `Runtime.start`."""
        own = expect(spec, EndpointSpec)
        self.check(own)
        handle = {"runtime": self.kind, "instance": instance_id, "address": own.address, "port": str(own.port)}
        return Started(Address(own.address, own.port), handle)

    async def ready(self, started: Started, spec: VariantSpec) -> None:
        """See `Runtime.ready`."""
        own = expect(spec, EndpointSpec)
        try:
            await until_ready(started.address, own.readiness)
        except TimeoutError as error:
            raise RuntimeFailedError(
                f"{own.address}:{own.port} was not ready after {own.readiness.timeout:g} s: {error}",
                field="endpoint",
                hint="start that version first, or correct its address",
            ) from error

    async def inspect(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.inspect`: alive when it accepts a connection."""
        if not handle.get("address"):
            return Condition(Life.UNKNOWN)
        why = await problem(Address(handle["address"], int(handle["port"])))
        return Condition(Life.EXITED, Ending.OWN, detail=f"does not answer: {why}") if why else Condition(Life.ALIVE)

    async def wait(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.wait`: ended when it did not accept a connection `MISSES` times in a row."""
        misses = 0
        while True:
            now = await self.inspect(handle)
            misses = 0 if now.alive else misses + 1
            if misses >= MISSES or now.life is Life.UNKNOWN:
                return now
            await asyncio.sleep(self._look)

    async def adopt(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.adopt`."""
        return await self.inspect(handle)

    async def stop(self, handle: Mapping[str, str], spec: VariantSpec) -> None:
        """Leave it running: it is not ours."""

    async def usage(self, handle: Mapping[str, str]) -> Usage | None:
        """See `Runtime.usage`. Of another machine's nothing is known. A process that began anew begins at 0 again."""
        if not handle.get("address"):
            return None
        return (await self._neighbours.at(Address(handle["address"], int(handle["port"])))).usage

    async def extend(self, handle: Mapping[str, str], deadline: datetime) -> None:
        """Nothing to do: it has no deadline of ours."""

    async def sweep(self, known: Collection[InstanceID]) -> list[InstanceID]:  # noqa: ARG002 -- none of them is ours
        """See `Runtime.sweep`."""
        return []
