"""The original as its own control."""

import asyncio
from datetime import UTC, datetime

import pytest

from xds_server.errors import InvalidError
from xds_server.model.ids import InstanceID
from xds_server.model.profile import EndpointSpec, SelfSpec
from xds_server.runtime.base import Life
from xds_server.runtime.original import NOWHERE, OriginalRuntime

SOON = datetime(2026, 1, 1, tzinfo=UTC)


async def test_it_lives_from_its_start_and_has_no_end_of_its_own() -> None:
    runtime = OriginalRuntime()
    started = await runtime.start(InstanceID("i"), SelfSpec(), deadline=SOON)
    assert started.address == NOWHERE
    await runtime.ready(started, SelfSpec())
    assert (await runtime.adopt(started.handle)).alive
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(runtime.wait(started.handle), 0.05)
    await runtime.extend(started.handle, SOON)
    await runtime.stop(started.handle, SelfSpec())
    await runtime.stop(started.handle, SelfSpec())
    assert (await runtime.usage(started.handle), await runtime.sweep([])) == (None, [])


async def test_without_a_handle_there_is_none() -> None:
    assert (await OriginalRuntime().inspect({})).life is Life.UNKNOWN
    assert (await OriginalRuntime().wait({})).life is Life.UNKNOWN


def test_it_runs_nothing_else() -> None:
    with pytest.raises(InvalidError):
        OriginalRuntime().check(EndpointSpec("x", 1))
