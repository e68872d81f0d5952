"""The analysis engine alone, on one core: compared pairs a second, and its memory.

What is measured is all the engine does with what Envoy sends: parsing the messages of the access log, pairing,
comparing, counting, the books of losses; not the socket. Time is the process's own CPU time, so a busy machine
disturbs less. The bare loop beside it parses, pairs and compares the same messages and does nothing else: no endings,
no headers, no endpoints, no statistics, no bounds. It says what the machine can do at all.
"""

import base64
import gc
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
from envoy.service.accesslog.v3 import als_pb2

from tests.bench._scale import quick
from tests.bench._table import show
from tests.unit.analysis.entries import INSTANCE, PROFILE
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.decode import unbase64
from xds_server.analysis.ledger import Ledger
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.config import EngineSettings
from xds_server.model.names import CAPTURE_METADATA, PAIR_HEADER, SHADOW_HEADER

RECORDED = Path(__file__).parents[1] / "unit" / "analysis" / "recorded"
PAIRS = 6_000
ROUNDS = 5
PAIRS_IN_A_MESSAGE = 40
GOAL = 20_000
UNIQUE = f"{PROFILE}/00000000".encode()


def body(number: int, price: float) -> bytes:
    """Return a catalogue page of about 1.4 KB."""
    items = [
        {"id": i, "name": f"item number {i}", "price": price * i, "tags": ["a", "b"], "stock": {"here": i, "there": 3}}
        for i in range(14)
    ]
    return orjson.dumps({"id": number, "items": items, "next": None, "total": 14, "currency": "EUR", "took": "3ms"})


def messages(pairs: int, *, differing: float, chance: random.Random) -> list[bytes]:
    """Return encoded messages; entries are those that a real Envoy wrote, with other bodies, times and pair ids.

    The legs of a pair stand next to each other, as one worker of Envoy sends them.
    """
    real = als_pb2.StreamAccessLogsMessage.FromString((RECORDED / "ok.pb").read_bytes()).http_logs.log_entry
    legs = sorted(real, key=lambda one: SHADOW_HEADER in one.request.request_headers)
    made = []
    for first in range(0, pairs, PAIRS_IN_A_MESSAGE):
        message = als_pb2.StreamAccessLogsMessage()
        for number in range(first, min(first + PAIRS_IN_A_MESSAGE, pairs)):
            pair = f"{PROFILE}/00000000{chance.getrandbits(96):024x}"
            original = body(number, 1.5)
            shadow = body(number, 2.5) if chance.random() < differing else original
            for leg, content in zip(legs, (original, shadow), strict=True):
                _fill(message.http_logs.log_entry.add(), leg, content, pair=pair, number=number, chance=chance)
        made.append(message.SerializeToString())
    return made


def _fill(entry: Any, real: Any, content: bytes, *, pair: str, number: int, chance: random.Random) -> None:
    entry.CopyFrom(real)
    entry.request.request_headers[PAIR_HEADER] = pair
    entry.request.path = f"/items/{number % 500}?page=2"
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


def engine() -> tuple[Analyser, Ledger]:
    """Return an engine without its sockets."""
    analyser = Analyser(EngineSettings(), wall=time.time)
    analyser.configure([ProfileConfig(PROFILE, "shop", "catalog", shadows={INSTANCE: "v2"})])
    return analyser, Ledger(lambda *_: None)


def analysed(data: list[bytes]) -> int:
    """Run the engine over the messages; return the pairs it compared."""
    analyser, ledger = engine()
    for number, message in enumerate(data):
        ledger.arrived("node-1", analyser.feed(message, 0.0).records)
        if number % 300 == 0:
            analyser.expire(0.0)
            analyser.take()
    assert not analyser.pairing.waiting
    return analyser.pairs


def bare(data: list[bytes]) -> int:
    """Parse, pair and compare, nothing else."""
    waiting: dict[str, str] = {}
    pairs = 0
    for message in data:
        for one in als_pb2.StreamAccessLogsMessage.FromString(message).http_logs.log_entry:
            key = one.request.request_headers[PAIR_HEADER]
            head = one.common_properties.metadata.filter_metadata[CAPTURE_METADATA].fields["b"].string_value
            other = waiting.pop(key, None)
            if other is None:
                waiting[key] = head
            else:
                pairs += 1
                if other != head:
                    assert orjson.loads(unbase64(other)) != orjson.loads(unbase64(head))
    return pairs


def rate(work: Callable[[list[bytes]], int], data: list[bytes]) -> float:
    """Return pairs a second of CPU time."""
    gc.collect()
    begin = time.process_time()
    pairs = work(data)
    return pairs / (time.process_time() - begin)


def rates(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Measure each share of differing pairs, the engine and the bare loop in turns."""
    for differing in (0.0, 0.1, 1.0):
        data = messages(PAIRS, differing=differing, chance=chance)
        turns = [(rate(bare, data), rate(analysed, data)) for _ in range(1 if quick() else ROUNDS)]
        yield {
            "differing": differing,
            "pairs_per_s": round(sorted(e for _, e in turns)[len(turns) // 2]),
            "bare_loop_pairs_per_s": round(sorted(b for b, _ in turns)[len(turns) // 2]),
            "ratio": round(sorted(e / b for b, e in turns)[len(turns) // 2], 3),
        }


def memory(chance: random.Random) -> list[dict[str, float]]:
    """Feed more and more pairs to one engine; windows are taken and dropped, as when the manager has them."""
    marks = [6_000, 30_000] if quick() else [100_000, 1_000_000]
    data = messages(PAIRS, differing=0.1, chance=chance)
    analyser, ledger = engine()
    process, found = psutil.Process(), []
    for lap in range(marks[-1] // PAIRS + 1):
        now = lap * PAIRS / 20_000
        # Other pair ids each lap, or all would be duplicates: ids stand in the messages as plain text.
        fresh = f"{PROFILE}/{lap + 1:08x}".encode()
        for message in data:
            ledger.arrived("node-1", analyser.feed(message.replace(UNIQUE, fresh), now).records)
        analyser.expire(now)
        analyser.take()
        for mark in marks:
            if analyser.pairs - PAIRS < mark <= analyser.pairs:
                gc.collect()
                found.append({"pairs": mark, "rss_mb": round(process.memory_info().rss / 2**20, 1)})
    return found


def run() -> dict[str, object]:
    """Measure, print the tables, return the figures."""
    chance = random.Random(1)
    throughput = list(rates(chance))
    show(
        "the engine alone on one core, 1.4 KB JSON bodies",
        ("bodies that differ", "pairs/s", "bare loop, pairs/s", "ratio"),
        [
            (f"{r['differing']:.0%}", f"{r['pairs_per_s']:,}", f"{r['bare_loop_pairs_per_s']:,}", f"{r['ratio']:.2f}")
            for r in throughput
        ],
    )
    resident = memory(chance)
    show(
        "its memory, with the messages it is fed",
        ("pairs", "resident"),
        [(f"{r['pairs']:,}", f"{r['rss_mb']} MB") for r in resident],
    )
    return {"throughput": throughput, "memory": resident, "goal_pairs_per_s": GOAL}


if __name__ == "__main__":
    run()
