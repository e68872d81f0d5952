"""The service behind Envoy: 1.4 KB of JSON a request, as cheaply as Python can, so that Envoy is what is measured.

`python -m tests.bench._backend --port 0 [--differ]` prints its port as the first line. With `--differ`, items whose
number ends in 0 have another price: a tenth of the load generator's requests. `GET /-/count` returns how many requests
were answered (itself not counted).
Not guaranteed: anything of HTTP but GET without a body, one at a time on a connection.
"""

import argparse
import asyncio
import gc
import json

import uvloop

BODY_BYTES = 1400
COUNT = b"GET /-/count "


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
        self._transport.write(self.other if data[data.index(b" HTTP/") - 1] == ord("0") else self.usual)


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
    arguments = parser.parse_args()
    if arguments.differ:
        Backend.other = answer(item(21.5))
    uvloop.run(_serve(arguments.port))


if __name__ == "__main__":
    main()
