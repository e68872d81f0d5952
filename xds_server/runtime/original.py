"""The original as its own control: nothing is started, stopped or asked; its copies go to the component's own cluster.

Guarantees: always ready, alive until it is taken away. Not guaranteed: that the original answers; its clients know.
"""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime

from xds_server.model.ids import InstanceID
from xds_server.model.network import Address
from xds_server.model.profile import SelfSpec, VariantSpec
from xds_server.runtime.base import Condition, Life, Started, Usage, expect

NOWHERE = Address("", 0)
"""It has no address of its own: it is wherever the component's endpoints are."""


class OriginalRuntime:
    """Serves `self` controls."""

    kind = "self"

    def check(self, spec: VariantSpec) -> None:
        """See `Runtime.check`."""
        expect(spec, SelfSpec)

    async def start(self, instance_id: InstanceID, spec: VariantSpec, *, deadline: datetime) -> Started:  # noqa: ARG002 -- nothing is started, so nothing ends
        """See `Runtime.start`."""
        self.check(spec)
        return Started(NOWHERE, {"runtime": self.kind, "instance": instance_id})

    async def ready(self, started: Started, spec: VariantSpec) -> None:
        """See `Runtime.ready`: it serves clients already."""

    async def inspect(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.inspect`."""
        return Condition(Life.ALIVE if handle else Life.UNKNOWN)

    async def wait(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.wait`: it has no end of its own."""
        if handle:
            await asyncio.Event().wait()
        return await self.inspect(handle)

    async def adopt(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.adopt`."""
        return await self.inspect(handle)

    async def stop(self, handle: Mapping[str, str], spec: VariantSpec) -> None:
        """Leave it running: it is not ours."""

    async def usage(self, handle: Mapping[str, str]) -> Usage | None:  # noqa: ARG002 -- nothing is known of it
        """See `Runtime.usage`."""
        return None

    async def extend(self, handle: Mapping[str, str], deadline: datetime) -> None:
        """Nothing to do: it has no deadline of ours."""

    async def sweep(self, known: Collection[InstanceID]) -> list[InstanceID]:  # noqa: ARG002 -- none of them is ours
        """See `Runtime.sweep`."""
        return []
