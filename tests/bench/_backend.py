"""The service behind Envoy: 1.4 KB of JSON a request, as cheaply as Python can, so that Envoy is what is measured.

`python -m tests.bench._backend --port 0 [--differ]` prints its port as the first line. With `--differ`, items whose
number ends in 0 have another price: a tenth of the load generator's requests. `GET /-/count` returns how many requests
were answered (itself not counted).

With `--work` it computes for so many ms before each answer, and with `--wait` it also waits for about so many (as for a
database), for some items longer than for others; with `--serial` one request waits for the other. All of it follows
from the item's number, so what two such services differ in is not their own doing.
Not guaranteed: anything of HTTP but GET without a body, one at a time on a connection.
"""

import argparse
import asyncio
import gc
import json
import math
import time
from statistics import NormalDist

import uvloop

BODY_BYTES = 1400
COUNT = b"GET /-/count "
SPREAD = 0.3
"""Of the logarithms of waits."""
ITEMS = 100


def item(price: float) -> bytes:
    """Return an answer as a catalogue would give it, of BODY_BYTES bytes."""
    document = {
        "id": 1234567,
        "name": "a lamp of brass",
        "price": price,
        "currency": "EUR",
        "stock": {"berlin": 4, "madrid": 0, "oslo": 17},
        "tags": ["lamp", "brass", "indoor", "warm", "dimmable"],
        "reviews": [{"user": f"user{n}", "stars": 1 + n % 5, "text": "as described, came in time"} for n in range(12)],
        "description": "",
    }
    short = BODY_BYTES - len(json.dumps(document))
    document["description"] = "x" * short
    return json.dumps(document).encode()


def answer(body: bytes) -> bytes:
    """Return the bytes of a whole answer."""
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Backend(asyncio.Protocol):
    """One connection. The count is the class's: one backend a process."""

    answered = 0
    usual = answer(item(19.5))
    other = usual
    work = 0.0
    waits: tuple[float, ...] = ()
    """Seconds, by the item's number."""
    serial = False
    _free_at = 0.0

    def __init__(self) -> None:
        self._rest = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not data.endswith(b"\r\n\r\n"):
            self._rest = data
            return
        self._rest = b""
        if data.startswith(COUNT):
            self._transport.write(answer(json.dumps({"answered": Backend.answered}).encode()))
            return
        Backend.answered += 1
        # The request line is short and comes first: "GET /items/120 HTTP/1.1".
        end = data.index(b" HTTP/")
        reply = self.other if data[end - 1] == ord("0") else self.usual
        if not self.work:
            self._transport.write(reply)
            return
        until = time.perf_counter() + self.work
        while time.perf_counter() < until:
            pass
        number = data[data.rindex(b"/", 0, end) + 1 : end]
        wait = self.waits[int(number) % ITEMS] if self.waits and number.isdigit() else 0.0
        if not wait:
            self._transport.write(reply)
            return
        loop = asyncio.get_running_loop()
        if self.serial:
            Backend._free_at = max(Backend._free_at, loop.time()) + wait
            loop.call_at(Backend._free_at, self._write, reply)
        else:
            loop.call_later(wait, self._write, reply)

    def _write(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


def waits(median: float) -> tuple[float, ...]:
    """Return how long each item waits, in no order: log-normal around a median."""
    spread = NormalDist(0, SPREAD)
    return tuple(median * math.exp(spread.inv_cdf((n * 37 % ITEMS + 0.5) / ITEMS)) for n in range(ITEMS))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.collect()
    gc.freeze()
    gc.disable()
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--differ", action="store_true")
    parser.add_argument("--work", type=float, default=0.0, help="ms")
    parser.add_argument("--wait", type=float, default=0.0, help="ms, the median")
    parser.add_argument("--serial", action="store_true")
    arguments = parser.parse_args()
    if arguments.differ:
        Backend.other = answer(item(21.5))
    Backend.work, Backend.serial = arguments.work / 1000, arguments.serial
    if arguments.wait:
        Backend.waits = waits(arguments.wait / 1000)
    uvloop.run(_serve(arguments.port))


if __name__ == "__main__":
    main()
