"""The demo's service: a small catalogue of a shop, in a version 1 and two that are to replace it.

Version 2 has bugs that teams really make; version 3 was rewritten without them.

Run as a file of its own, like any team's service: `python catalogue.py --port 9001 --version 2`. It imports the
standard library alone.

As any team's service it is noisy: answers carry a time, an id, an order of their own (`NOISE`), in all versions alike.

Guarantees: all noise in an answer follows from its time and its id (`Stamp`), and the rest of version 1's answer to a
request is the same bytes each time, so that a client can know each answer in advance. Version 2 differs in what `BUGS`
says and in nothing else that a user could see. Version 3 works in another way (an index made at the start, answers
compressed once and harder) and says what version 1 says. With `--plain` there is no noise.
Not guaranteed: that it is a web server for anything but this (no TLS, no pipelining, no limits on what a client sends).
"""

import argparse
import asyncio
import gzip
import json
import signal
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID, uuid4

BUGS = {
    "price-is-a-string": "GET /api/items/{id}: the price became a string",
    "field-missing": "GET /api/items/{id}: the warranty is missing for some items",
    "other-order": "GET /api/search: results come in another order",
    "slow": "GET /api/recommendations/{id}: answers 80 ms later",
    "occasional-500": "GET /api/stock/{id}: one request in 20 fails with 500",
}
"""What is wrong with version 2, by a short name."""

NOISE = {
    "GET /api/items": ("$.servedAt",),
    "GET /api/items/{id}": ("$.servedAt", "$.requestId", "$.shard"),
    "GET /api/recommendations/{id}": ("$.recommended",),
    "GET /api/search": ("$.took",),
    "GET /api/stock/{id}": ("header:x-cost",),
}
"""Where two answers of any version differ, always or at times, without a bug; written as differences are."""

BAD_VERSION = 2
GOOD_VERSION = 3
ITEMS = 60
PAGE = 12
SLOW_SECONDS = 0.08
FAILS_EVERY = 20
WITHOUT_WARRANTY = 6
"""Version 2 forgets the warranty of each item whose id is a multiple of this."""

_MATERIALS = ("Oak", "Steel", "Cotton", "Walnut", "Linen", "Copper", "Glass", "Ash", "Wool", "Brass")
_THINGS = ("Chair", "Lamp", "Table", "Stool", "Rug", "Mirror")
_JSON = ("content-type", "application/json")
REQUEST_ID, COST = "x-request-id", "x-cost"
"""Headers of noisy answers. The first is known to be other each time, by its name; nobody knows the second."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that the shop sells; `price` in euros."""

    id: int
    name: str
    category: str
    price: float
    stock: int
    warranty_months: int
    rating: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: `delay` in seconds before the first byte; `chunked` instead of a content-length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    delay: float = 0.0
    chunked: bool = False


@dataclass(frozen=True, slots=True)
class Stamp:
    """When an answer was made, and its id: all of its noise follows from them, and is as long each time."""

    at: datetime
    id: UUID

    @property
    def fields(self) -> dict[str, object]:
        """The noise in bodies, by name: a time and an id, which look like it, two numbers that could be anything."""
        at = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"servedAt": at, "requestId": str(self.id), "shard": self._chance(8), "took": 10 + self._chance(90)}

    @property
    def cost(self) -> str:
        """What the header `x-cost` says."""
        return f"{self._chance(997):03d}"

    @property
    def turns(self) -> bool:
        """Whether the first two recommendations change places: in one answer of four."""
        return self._chance(4) == 0

    def _chance(self, sides: int) -> int:
        return self.id.node % sides


def stamp() -> Stamp:
    """Return a new one."""
    return Stamp(datetime.now(UTC), uuid4())


def items() -> tuple[Item, ...]:
    """Return the stock of the shop, the same each time."""
    return tuple(
        Item(
            id=number,
            name=f"{_MATERIALS[number % len(_MATERIALS)]} {_THINGS[number % len(_THINGS)]}",
            category=_THINGS[number % len(_THINGS)].lower() + "s",
            price=round(9.99 + (number * 7919 % 20000) / 100, 2),
            stock=number * 31 % 17,
            warranty_months=12 * (1 + number % 3),
            rating=round(3 + number * 13 % 20 / 10, 1),
        )
        for number in range(1, ITEMS + 1)
    )


class Catalogue:
    """The service without its sockets.

    Args:
        version: 1, 2 for the one with `BUGS`, 3 for the one that does the same in another way.
        stamps: makes the stamp of each answer; None for answers without noise.
    """

    def __init__(self, version: int, *, stamps: Callable[[], Stamp] | None = stamp) -> None:
        self._bad = version == BAD_VERSION
        self._stamps = stamps
        self._items = {item.id: item for item in items()}
        self._index = _Index(items()) if version == GOOD_VERSION else None
        self._level = 1 if version == 1 else 9
        self._stock_requests = 0

    def answer(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Return the answer to one request; `target` as on the request line."""
        url = urlsplit(target)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if (method, parts) == ("POST", ["api", "orders"]):
            return self._order(body)
        found: Answer | None = None
        match parts if method in {"GET", "HEAD"} else []:
            case ["healthz"]:
                found = Answer(200, (("content-type", "text/plain"),), b"ok\n")
            case ["api", ("items" | "search" | "export") as view]:
                found = {"items": self._list, "search": self._search, "export": self._export}[view](query)
            case ["api", ("items" | "recommendations" | "stock") as view, number]:
                found = self._of_one(view, number)
        return found or _json(404, {"error": f"nothing here: {url.path}"})

    def _of_one(self, view: str, number: str) -> Answer | None:
        item = self._items.get(int(number)) if number.isdecimal() else None
        views = {"items": self._detail, "recommendations": self._recommendations, "stock": self._stock}
        return views[view](item) if item else None

    def _list(self, query: dict[str, str]) -> Answer:
        page = int(query.get("page", "1")) if query.get("page", "1").isdecimal() else 1
        chosen = self._index.page(page) if self._index else [*self._items.values()][(page - 1) * PAGE : page * PAGE]
        document = {"page": page, "total": ITEMS, "items": [_short(item) for item in chosen]}
        return self._noisy(document, "servedAt")

    def _detail(self, item: Item) -> Answer:
        document: dict[str, object] = {
            **_short(item),
            "currency": "EUR",
            "rating": item.rating,
            "description": f"{item.name}, made to last. " * 8,
            "tags": [item.category, "new" if item.id % 4 == 0 else "classic", f"w{item.warranty_months}"],
            "warranty": {"months": item.warranty_months, "kind": "maker"},
        }
        if self._bad:
            document["price"] = str(item.price)
            if item.id % WITHOUT_WARRANTY == 0:
                del document["warranty"]
        return self._noisy(document, "servedAt", "requestId", "shard")

    def _search(self, query: dict[str, str]) -> Answer:
        wanted = query.get("q", "").lower()
        if self._index:
            found = self._index.search(wanted)
        else:
            found = [item for item in self._items.values() if wanted in item.name.lower()]
        if self._bad:
            found.sort(key=lambda item: item.price)
        document = {"query": wanted, "count": len(found), "results": [_short(item) for item in found]}
        return self._noisy(document, "took")

    def _recommendations(self, item: Item) -> Answer:
        others = [self._items[(item.id * step) % ITEMS + 1] for step in (3, 5, 7, 11)]
        document = {"for": item.id, "recommended": [{"id": o.id, "name": o.name} for o in others]}
        return self._noisy(document, delay=SLOW_SECONDS if self._bad else 0.0)

    def _stock(self, item: Item) -> Answer:
        self._stock_requests += 1
        if self._bad and self._stock_requests % FAILS_EVERY == 0:
            return _json(500, {"error": "deadlock detected, please try again"})
        return self._noisy({"id": item.id, "stock": item.stock, "warehouse": f"W{item.id % 4}"}, costs=True)

    def _export(self, _query: dict[str, str]) -> Answer:
        """Compress, harder from version 2 on: other bytes that mean the same are not a difference."""
        body = self._index.export if self._index else _compressed(self._items.values(), self._level)
        return Answer(200, (_JSON, ("content-encoding", "gzip"), ("vary", "accept-encoding")), body, chunked=True)

    def _order(self, body: bytes) -> Answer:
        """Take an order. A write: by default it is not mirrored, so version 2 never sees one."""
        try:
            order = json.loads(body)
            item, count = self._items[int(order["item"])], int(order["count"])
        except (ValueError, KeyError, TypeError):
            return _json(400, {"error": "an order needs item and count"})
        return _json(201, {"item": item.id, "count": count, "total": round(item.price * count, 2)})

    def _noisy(self, document: dict[str, object], *names: str, costs: bool = False, delay: float = 0.0) -> Answer:
        """Add a stamp, and the noise that follows from it: the fields `names`, the cost, an order."""
        if self._stamps is None:
            return _json(200, document, delay=delay)
        made = self._stamps()
        noise = made.fields
        headers = ((REQUEST_ID, str(made.id)), *(((COST, made.cost),) if costs else ()))
        noisy = {**turned(document, made), **{name: noise[name] for name in names}}
        return _json(200, noisy, headers=headers, delay=delay)


class _Index:
    """What version 3 knows about its items from the start, so that it need not look through them for each request."""

    def __init__(self, known: Sequence[Item]) -> None:
        self.export = _compressed(known, 9)
        self._pages = {1 + first // PAGE: known[first : first + PAGE] for first in range(0, len(known), PAGE)}
        self._parts: dict[str, list[Item]] = {}
        for item in known:
            name = item.name.lower()
            ends = range(len(name) + 1)
            for part in {name[first:last] for first in ends for last in ends[first:]}:
                self._parts.setdefault(part, []).append(item)

    def page(self, number: int) -> Sequence[Item]:
        """Return the items of a page."""
        return self._pages.get(number, ())

    def search(self, wanted: str) -> list[Item]:
        """Return the items with this in their name."""
        return self._parts.get(wanted, [])


def _compressed(known: Iterable[Item], level: int) -> bytes:
    return gzip.compress(json.dumps([_short(item) for item in known]).encode(), compresslevel=level, mtime=0)


def turned(document: dict[str, object], made: Stamp) -> dict[str, object]:
    """Return a document of recommendations as its stamp orders them; done twice, it is as it was."""
    match document:
        case {"recommended": [first, second, *others]} if made.turns:
            return {**document, "recommended": [second, first, *others]}
    return document


def _short(item: Item) -> dict[str, object]:
    return {"id": item.id, "name": item.name, "category": item.category, "price": item.price}


def _json(status: int, document: object, *, headers: tuple[tuple[str, str], ...] = (), delay: float = 0.0) -> Answer:
    return Answer(status, (_JSON, ("cache-control", "no-store"), *headers), encoded(document), delay=delay)


def encoded(document: object) -> bytes:
    """Return the bytes of a document, the same each time."""
    return json.dumps(document).encode()


class _Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection; requests one after the other."""

    def __init__(self, answer: Callable[[str, str, bytes], Answer]) -> None:
        self._answer = answer
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP server's transports are Transports

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            size = int(headers.get("content-length", "0"))
            if len(self._buffer) < end + 4 + size:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + size], self._buffer[end + 4 + size :]
            method, target, _ = head[0].split(" ", 2)
            answer = self._answer(method, target, body)
            asyncio.get_running_loop().call_later(answer.delay, self._write, answer, method != "HEAD")

    def _write(self, answer: Answer, with_body: bool) -> None:  # noqa: FBT001 - call_later passes no keywords
        if self._transport is None or self._transport.is_closing():
            return
        lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {value}" for name, value in answer.headers)]
        body = answer.body
        if answer.chunked:
            lines.append("transfer-encoding: chunked")
            middle = len(body) // 2
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:middle], body[middle:], b""))
        else:
            lines.append(f"content-length: {len(body)}")
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self._transport.write(head + body if with_body else head)


async def serve(*, host: str, port: int, catalogue: Catalogue, name: str) -> None:
    """Answer on `host`:`port` until TERM or INT."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: _Connection(catalogue.answer), host, port, backlog=512)
    print(f"catalogue version {name} answers on {host}:{port}", flush=True)  # noqa: T201 - its log
    await stop.wait()
    server.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="a small catalogue service")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 in a container")
    parser.add_argument("--plain", action="store_true", help="no noise: the same answer each time")
    parser.add_argument("--version", type=int, choices=(1, BAD_VERSION, GOOD_VERSION), default=1)
    given = parser.parse_args()
    catalogue = Catalogue(given.version, stamps=None if given.plain else stamp)
    asyncio.run(serve(host=given.host, port=given.port, catalogue=catalogue, name=str(given.version)))


if __name__ == "__main__":
    main()
