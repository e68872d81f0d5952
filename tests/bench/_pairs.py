"""Messages of the access log to feed an engine with: two kinds of JSON bodies, two legs or three.

The leg of a copy carries the request too, as the engine's own capture does: its headers, and a body with an order.
"""

import base64
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from envoy.service.accesslog.v3 import als_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from tests.unit.analysis.entries import INSTANCE, PROFILE
from xds_server.analysis.ingest.metrics import ALS_WRITTEN, Counters
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.analysis.record import Record
from xds_server.model.analysis import Analysis, ArrayKey, Ignore, Normalize, Tolerance
from xds_server.model.names import CAPTURE_METADATA, PAIR_HEADER, SHADOW_HEADER

RECORDED = Path(__file__).parents[1] / "unit" / "analysis" / "recorded"
CONTROL = "inst2"
PAIRS_IN_A_MESSAGE = 40
UNIQUE = f"{PROFILE}/00000000".encode()
ASKED = (
    b":authority: shop\naccept: application/json\naccept-encoding: gzip\nuser-agent: bench/1.0\n"
    b"x-forwarded-proto: http\nx-request-id: 1a7a4d6b-0d0c-4ef8-8a54-0d8e7b1dc0de\n"
)
"""Headers of each request."""
ORDERED = orjson.dumps({"customer": "n", "lines": [{"sku": f"A-{i}", "count": i % 3} for i in range(12)]})
Body = Callable[[int, int, random.Random], bytes]
"""Makes the body of a request: its number; 0 as the original says it, 1 with noise, 2 with noise and a bug."""

RULES = Analysis(
    ignore=(Ignore(path="$..debug"), Ignore(header="x-request-*"), Ignore(endpoint="GET /health")),
    normalize=(
        Normalize(path="$.took", regex=r"\d+ms", replace="ms"),
        Normalize(endpoint="GET /orders/*", path="$.note", ignore_case=True),
    ),
    tolerance=(Tolerance(path="$.score", relative=0.01),),
    array_keys=(ArrayKey("$.lines", "sku", "GET /orders/*"),),
    endpoints=("GET /items/{item}", "/orders/{order}"),
)
PLAIN = ProfileConfig(PROFILE, "shop", "catalog", shadows={INSTANCE: "v2"})
RULED = ProfileConfig(PROFILE, "shop", "catalog", shadows={INSTANCE: "v2"}, analysis=RULES)
WHOLE = replace(RULED, shadows={INSTANCE: "v2", CONTROL: "control"}, control=CONTROL)


def catalogue(number: int, said: int, chance: random.Random) -> bytes:
    """Return a catalogue page of about 1.4 KB; the bug is in each price."""
    price = 2.5 if said > 1 else 1.5
    items = [
        {"id": i, "name": f"item number {i}", "price": price * i, "tags": ["a", "b"], "stock": {"here": i, "there": 3}}
        for i in range(13)
    ]
    page: dict[str, Any] = {"id": number, "items": items, "next": None, "total": 13, "took": "3ms", "currency": "EUR"}
    return orjson.dumps(_stamped(page, said, chance))


def order(number: int, said: int, chance: random.Random) -> bytes:
    """Return an order of about 1.4 KB, with an array that has a key; the bug adds a line in front and is nested."""
    lines = [
        {"sku": f"A-{i}", "count": i % 3, "price": {"net": i * 1.5, "tax": {"rate": 0.19, "name": "VAT"}}}
        for i in range(12)
    ]
    if said > 1:
        lines.insert(0, {"sku": "B-1", "count": 1, "price": {"net": 0.0, "tax": {"rate": 0.19, "name": "VAT"}}})
    country = "FR" if said > 1 else "DE"
    return orjson.dumps(
        _stamped(
            {
                "order": number,
                "customer": {"name": "n", "address": {"street": "s", "country": {"code": country}}},
                "lines": lines,
                "note": "as ordered",
                "score": 0.75,
            },
            said,
            chance,
        )
    )


def _stamped(page: dict[str, Any], said: int, chance: random.Random) -> dict[str, Any]:
    noise = chance.getrandbits(32) if said else 0
    page["updatedAt"] = f"2026-11-25T12:{noise % 60:02d}:{noise // 60 % 60:02d}Z"
    page["request"] = f"0f7c2b9e-1111-4222-8333-{noise:012x}"
    return page


def messages(
    pairs: int, *, differing: float, chance: random.Random, body: Body = catalogue, control: bool = False
) -> list[bytes]:
    """Return encoded messages; entries are those that a real Envoy wrote, with other bodies, times and pair ids.

    The legs of a request stand next to each other, as one worker of Envoy sends them. With `control` there is a third,
    whose body differs from the original's as often as the shadow's does, in noise alone.
    """
    real = als_pb2.StreamAccessLogsMessage.FromString((RECORDED / "ok.pb").read_bytes()).http_logs.log_entry
    first_leg, copy = sorted(real, key=lambda one: SHADOW_HEADER in one.request.request_headers)
    made = []
    for first in range(0, pairs, PAIRS_IN_A_MESSAGE):
        message = als_pb2.StreamAccessLogsMessage()
        for number in range(first, min(first + PAIRS_IN_A_MESSAGE, pairs)):
            pair = f"{PROFILE}/00000000{chance.getrandbits(96):024x}"
            original = body(number, 0, chance)
            legs = [(first_leg, original, "")]
            legs.append((copy, body(number, 2, chance) if chance.random() < differing else original, INSTANCE))
            if control:
                legs.append((copy, body(number, 1, chance) if chance.random() < differing else original, CONTROL))
            for leg, content, instance in legs:
                entry = message.http_logs.log_entry.add()
                _fill(entry, leg, content, pair=pair, path=_path(body, number), chance=chance)
                if instance:
                    _ask(entry, instance, b"" if body is catalogue else ORDERED)
        made.append(message.SerializeToString())
    return made


class Pushes:
    """The counters of the Envoy that logged the messages; each says when its requests ended, so time moves on there."""

    def __init__(self, data: list[bytes]) -> None:
        first = als_pb2.StreamAccessLogsMessage.FromString(data[0]).http_logs.log_entry[0]
        self._began = first.common_properties.start_time.seconds
        self._totals: Counter[str] = Counter()

    def in_second(self, second: int) -> tuple[bytes, bytes]:
        """Return what to replace in a message by what, so that its requests end in that second."""
        moments = (Timestamp(seconds=self._began + more).SerializeToString() for more in (0, second))
        return next(moments), next(moments)

    def logged(self, records: Sequence[Record]) -> None:
        """Count entries, as the Envoy did when it logged them."""
        self._totals.update(record.shadow for record in records)

    def counters(self, second: int) -> Counters:
        """Return what is pushed at the beginning of a second."""
        values: dict[str, float] = {
            f"http.shadow-{instance}.downstream_rq_total": total for instance, total in self._totals.items() if instance
        }
        return Counters("node-1", self._began + second, second, values | {ALS_WRITTEN: self._totals.total()})


def _path(body: Body, number: int) -> str:
    return f"/items/{number % 500}?page=2" if body is catalogue else f"/orders/{number % 500}"


def _ask(entry: Any, instance: str, sent: bytes) -> None:
    entry.request.request_headers[SHADOW_HEADER] = instance
    capture = entry.common_properties.metadata.filter_metadata[CAPTURE_METADATA]
    capture["rh"] = base64.b64encode(ASKED).decode()
    if sent:
        capture["rb"], capture["rn"] = base64.b64encode(sent).decode(), len(sent)


def _fill(entry: Any, real: Any, content: bytes, *, pair: str, path: str, chance: random.Random) -> None:
    entry.CopyFrom(real)
    entry.request.request_headers[PAIR_HEADER] = pair
    entry.request.path = path
    entry.common_properties.time_to_first_upstream_rx_byte.FromNanoseconds(chance.randrange(2_000_000, 30_000_000))
    entry.common_properties.time_to_last_upstream_rx_byte.FromNanoseconds(chance.randrange(30_000_000, 40_000_000))
    headers = (
        ":status: 200\ncontent-type: application/json\ndate: Tue, 24 Nov 2026 03:37:14 GMT\nserver: python\n"
        f"content-length: {len(content)}\nx-envoy-upstream-service-time: {chance.randrange(30)}\n"
        "cache-control: no-cache\n"
    )
    capture = entry.common_properties.metadata.filter_metadata[CAPTURE_METADATA]
    capture["h"], capture["b"] = (base64.b64encode(data).decode() for data in (headers.encode(), content))
    capture["n"] = len(content)
    capture["t"] = False
