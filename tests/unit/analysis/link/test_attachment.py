"""The manager's side of one engine's stream, without a socket."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from grpc.aio import EOF  # type: ignore[attr-defined]  # grpc-stubs leave it out

from tests.unit.analysis.conftest import until
from xds_server.analysis.link import attachment as module
from xds_server.analysis.link.attachment import Attachment
from xds_server.lifecycle.clock import SystemClock


class Stream:
    """What the attachment reads from and writes to, and what it tells its collector."""

    def __init__(self, *, ended: bool = False) -> None:
        self._coming: asyncio.Queue[Any] = asyncio.Queue()
        self.answers: list[dict[str, Any]] = []
        self.taken: list[tuple[list[int], int | None]] = []
        self.hurried = 0
        self._ended = ended
        self.attachment = Attachment(
            self,
            clock=SystemClock(),
            take=self._take,
            configs=lambda: (),
            last_good=lambda: None,
            changed=lambda _: None,
            hurry=self._hurry,
        )

    def _take(self, _engine: str, windows: Any, closing: int | None) -> bool:
        self.taken.append(([number for number, *_ in windows], closing))
        return not self._ended

    def _hurry(self) -> None:
        self.hurried += 1

    async def read(self) -> Any:
        return await self._coming.get()

    async def write(self, data: bytes) -> None:
        self.answers.append(orjson.loads(data))

    async def send(self, *messages: Mapping[str, Any]) -> None:
        for message in messages:
            self._coming.put_nowait(orjson.dumps(message))
        await until(self._coming.empty)
        await asyncio.sleep(0.01)

    def end(self) -> None:
        self._coming.put_nowait(EOF)


@asynccontextmanager
async def attached(stream: Stream, **hello: Any) -> AsyncIterator[Stream]:
    running = asyncio.create_task(stream.attachment.run())
    await stream.send({"hello": {"engine": "e", **hello}})
    yield stream
    stream.end()
    await running


def window(number: int) -> dict[str, Any]:
    return {"window": {}, "seq": number, "before": 0}


async def test_windows_are_handed_over_with_the_marker_of_their_closing_all_at_once() -> None:
    async with attached(Stream()) as stream:
        await stream.send(window(1), window(2))
        assert (stream.taken, stream.attachment.taken) == ([], 0)
        await stream.send({"closing": 5, "seq": 3}, window(4), {"closing": 6, "seq": 5}, window(6))
    assert (stream.taken, stream.attachment.taken) == ([([1, 2], 5), ([4], 6)], 5)


async def test_a_closing_that_grows_too_large_is_handed_over_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BUFFERED", 1)
    async with attached(Stream()) as stream:
        await stream.send(window(1), {"closing": 1, "seq": 2})
    assert stream.taken == [([1], None), ([], 1)]


async def test_the_stream_of_an_engine_that_has_a_successor_is_ended() -> None:
    stream = Stream(ended=True)
    async with attached(stream):
        await stream.send(window(1), {"closing": 1, "seq": 2})
    assert stream.attachment.taken == 0


@pytest.mark.parametrize("message", [{"flush": True}, {"hello": {"engine": "e", "predecessor": "d"}}])
async def test_an_engine_that_waits_for_what_is_kept_makes_the_manager_hurry(message: dict[str, Any]) -> None:
    async with attached(Stream()) as stream:
        assert stream.hurried == 0
        await stream.send(message)
        assert stream.hurried == 1


async def test_an_engine_is_told_of_its_predecessor_once_and_of_no_other() -> None:
    async with attached(Stream(), predecessor="d") as stream:
        stream.attachment.succeed("another", 3)
        stream.attachment.succeed("d", 7)
        stream.attachment.succeed("d", 8)
        await until(lambda: any("predecessor" in answer for answer in stream.answers))
    told = [answer["predecessor"] for answer in stream.answers if "predecessor" in answer]
    assert told == [{"engine": "d", "closing": 7}]
