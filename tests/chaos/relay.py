"""A wire that can be cut or made to stand still: TCP from a port of ours to one of somebody else's.

Guarantees: a thread and a loop of its own, so that it goes on while the rest waits for something; `cut` resets what is
connected and refuses what comes, `freeze` keeps connections and carries nothing, `mend` ends both.
"""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

CHUNK = 65536
ADDRESS = "127.0.0.1"


class Relay:
    """Carries bytes from `port` to `target`, both on loopback."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self._target = port, target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"relay {port}", daemon=True)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow: asyncio.Event

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        """End all connections and the thread."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def carries(self) -> bool:
        """Whether anything is connected."""
        return bool(self._open)

    def cut(self) -> None:
        """Reset every connection; refuse new ones."""
        self._call(self._close())

    def freeze(self) -> None:
        """Carry nothing any more, and close nothing: as when packets are dropped."""
        self._loop.call_soon_threadsafe(self._flow.clear)

    def mend(self) -> None:
        """Carry again."""
        self._loop.call_soon_threadsafe(self._flow.set)
        self._call(self._listen())

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if not hasattr(self, "_flow"):
            self._flow = asyncio.Event()
            self._flow.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, ADDRESS, self.port)

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        await self._close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._flow.wait()
                there, back = await asyncio.open_connection(ADDRESS, self._target)
                self._open.add(back)
                try:
                    pumps = (self._pump(reader, back), self._pump(there, writer))
                    await asyncio.wait([asyncio.create_task(each) for each in pumps])
                finally:
                    self._open.discard(back)
                    back.transport.abort()
        finally:
            self._open.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flow.wait()
                writer.write(data)
                await writer.drain()
        # The other direction has nobody to talk to any more: gRPC closes no half.
        writer.transport.abort()
