"""The analysis engine alone, on one core: compared pairs a second, its memory, and how long the worst takes.

What is measured is all the engine does with what Envoy sends: parsing the messages of the access log, pairing,
comparing, counting, the books of losses; not the socket. Time is the process's own CPU time, so a busy machine
disturbs less.

Beside it, in turns in the same run: a bare loop that parses, pairs and compares the same messages and does nothing
else (what the machine can do at all); and deepdiff on the same bodies, which has no messages to parse, nothing to
pair and nothing to count. All on is a profile with rules, recognisers, patterns of endpoints and a control: three
legs a request, so two pairs; without the control a pair costs more, since it has the original's record for itself.
Copies carry their requests, as captured.
"""

import gc
import gzip
import os
import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, product
from typing import Any

import orjson
import psutil
from deepdiff import DeepDiff
from envoy.service.accesslog.v3 import als_pb2

from tests.bench._pairs import PLAIN, RULED, UNIQUE, WHOLE, Body, Pushes, catalogue, messages, order
from tests.bench._scale import quick
from tests.bench._table import show
from tests.unit.analysis.diff.test_markup import PIECES
from tests.unit.analysis.entries import JSON_HEADERS, PROFILE, pair
from tests.unit.analysis.examples.test_redact import SLOW
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.diff.compare import compare
from xds_server.analysis.diff.decode import unbase64
from xds_server.analysis.diff.markup import LONGEST, markup_differences
from xds_server.analysis.diff.rules import DEFAULT_RULES, RuleBook
from xds_server.analysis.endpoints.endpoints import Endpoints
from xds_server.analysis.examples.example import make_example
from xds_server.analysis.examples.quota import A_WINDOW
from xds_server.analysis.examples.redact import Redactor
from xds_server.analysis.ingest.ledger import Ledger
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.config import EngineSettings
from xds_server.model.names import CAPTURE_METADATA, PAIR_HEADER

REQUESTS = 4_000
ROUNDS = 5
GOALS = {0.1: 20_000, 1.0: 5_000}
"""Pairs a second by the share of bodies that differ."""
_DEEPDIFF = 400
"""Pairs that deepdiff compares in a turn."""
_PAIRS_A_SECOND = 20_000
"""Pairs that are fed between two pushes of the Envoy, when memory is measured; the goal."""


def engine(config: ProfileConfig = PLAIN) -> tuple[Analyser, Ledger]:
    """Return an engine without its sockets."""
    analyser = Analyser(EngineSettings(), wall=time.time)
    analyser.configure([config])
    return analyser, Ledger(lambda *_: None)


def unique(lap: int) -> bytes:
    """Return how pair ids of a lap begin, or all would be duplicates; they stand in the messages as plain text."""
    return f"{PROFILE}/{lap:08x}".encode()


def analysed(data: list[bytes], config: ProfileConfig = PLAIN) -> int:
    """Run the engine over the messages, some laps, one window of summaries; return the pairs it compared.

    A window is a second, so at the goal it has more pairs than these, and its examples cost each pair less.
    """
    analyser, ledger = engine(config)
    for lap in range(10 if quick() else 3):
        fresh = unique(lap)
        for message in data:
            ledger.arrived("node-1", analyser.feed(message.replace(UNIQUE, fresh), 0.0).records)
    analyser.expire(0.0)
    analyser.take()
    assert not analyser.pairing.waiting
    return analyser.pairs


def bare(data: list[bytes]) -> int:
    """Parse, pair and compare, nothing else."""
    pairs = 0
    for message in data:
        originals: dict[str, str] = {}
        for key, head in _heads(message):
            other = originals.setdefault(key, head)
            if other is not head:
                pairs += 1
                if other != head:
                    assert orjson.loads(unbase64(other)) != orjson.loads(unbase64(head))
    return pairs


def _heads(message: bytes) -> Iterator[tuple[str, str]]:
    for one in als_pb2.StreamAccessLogsMessage.FromString(message).http_logs.log_entry:
        key = one.request.request_headers[PAIR_HEADER]
        yield key, one.common_properties.metadata.filter_metadata[CAPTURE_METADATA].fields["b"].string_value


def bodies(data: list[bytes], most: int) -> list[tuple[bytes, bytes]]:
    """Return the bodies of the first pairs, original first."""
    found: list[tuple[bytes, bytes]] = []
    originals: dict[str, bytes] = {}
    for message in data:
        for key, head in _heads(message):
            content = unbase64(head)
            if key in originals:
                found.append((originals[key], content))
            originals.setdefault(key, content)
        if len(found) >= most:
            break
    return found[:most]


def deepdiff(pairs: list[tuple[bytes, bytes]]) -> int:
    """Parse and compare the bodies with deepdiff, equal ones too: the engine's shortcut for those is its own merit."""
    for one, other in pairs:
        DeepDiff(orjson.loads(one), orjson.loads(other), ignore_order=False)
    return len(pairs)


def rate(work: Callable[[], int]) -> float:
    """Return pairs a second of CPU time."""
    gc.collect()
    begin = time.process_time()
    pairs = work()
    return pairs / (time.process_time() - begin)


def rates(chance: random.Random, *, body: Body, config: ProfileConfig) -> Iterator[dict[str, Any]]:
    """Measure each share of differing pairs: the engine, the bare loop and deepdiff in turns."""
    control, ruled = bool(config.control), config is not PLAIN
    for differing in (0.0, 0.1, 1.0):
        data = messages(
            REQUESTS // 10 if quick() else REQUESTS, differing=differing, chance=chance, body=body, control=control
        )
        parsed = bodies(data, _DEEPDIFF // 10 if quick() else _DEEPDIFF)
        turns = [
            (rate(partial(analysed, data, config)), rate(partial(bare, data)), rate(partial(deepdiff, parsed)))
            for _ in range(1 if quick() else ROUNDS)
        ]
        yield {
            "bodies": "catalogue" if body is catalogue else "order",
            "on": ("rules, recognisers" + ", control" * control) if ruled else "nothing",
            "differing": differing,
            "pairs_per_s": _median([e for e, _, _ in turns]),
            "requests_per_s": _median([e for e, _, _ in turns]) / len(config.shadows),
            "slowest_pairs_per_s": min(e for e, _, _ in turns),
            "bare_loop_pairs_per_s": _median([b for _, b, _ in turns]),
            "deepdiff_pairs_per_s": _median([d for _, _, d in turns]),
            "times_bare_loop": _median([e / b for e, b, _ in turns]),
            "times_deepdiff": _median([e / d for e, _, d in turns]),
            "goal_pairs_per_s": GOALS.get(differing) if ruled and body is catalogue else None,
        }


def memory(chance: random.Random) -> list[dict[str, float]]:
    """Feed more and more pairs to one engine, a second's worth at a time, as its process does.

    Each second the Envoy pushes its counters, the books are settled and packed, and the window is taken and dropped,
    as when the manager has it.
    """
    marks = [6_000, 30_000] if quick() else _marks()
    data = messages(REQUESTS // 2, differing=0.1, chance=chance, control=True)
    analyser, ledger = engine(WHOLE)
    process, found, envoy, lap = psutil.Process(), [], Pushes(data), 0
    for second in count():
        while analyser.pairs < (second + 1) * _PAIRS_A_SECOND:
            lap += 1
            fresh, ended = unique(lap), envoy.in_second(second)
            for message in data:
                batch = analyser.feed(message.replace(UNIQUE, fresh).replace(*ended), second)
                ledger.arrived("node-1", batch.records)
                envoy.logged(batch.records)
        ledger.pushed("node-1", envoy.counters(second + 1), second + 1)
        ledger.settle(second + 1)
        ledger.pack(analyser.pairing.waiting_copies())
        analyser.expire(second + 1)
        analyser.take()
        if analyser.pairs >= marks[0]:
            gc.collect()
            found.append({"pairs": marks.pop(0), "rss_mb": round(process.memory_info().rss / 2**20, 1)})
            if not marks:
                break
    assert ledger.missing() == {"node-1": 0}
    return found


def _marks() -> list[int]:
    most = int(os.environ.get("SHADOWMESH_BENCH_PAIRS", "10_000_000"))
    return [mark for mark in (100_000, 1_000_000, 10_000_000) if mark <= most]


def extremes() -> Iterator[dict[str, Any]]:
    """Compare single pairs of bodies at the limits of what arrives; and names for very many paths."""
    scale = 20 if quick() else 1
    many = 1_000_000 // scale
    deep = 1_000
    large = [catalogue(n, 0, random.Random(n)) for n in range(1_000_000 // scale // 1_400)]
    other = [catalogue(n, 2, random.Random(n)) for n in range(1_000_000 // scale // 1_400)]
    cases = {
        f"a body of {sum(map(len, large)) / 1e6:.2f} MB, all of it other": tuple(
            b"[" + b",".join(parts) + b"]" for parts in (large, other)
        ),
        f"arrays {deep:,} deep": tuple(b"[" * deep + value + b"]" * deep for value in (b"1", b"2")),
        f"{many:,} keys, each with another value": tuple(
            orjson.dumps({f"k{i}": i + more for i in range(many)}) for more in (0, 1)
        ),
        f"{many:,} keys on either side, none of them common": tuple(
            orjson.dumps({f"{side}{i}": i for i in range(many)}) for side in "ab"
        ),
    }
    bomb = gzip.compress(b"[" + b"0," * (1_000_000_000 // scale // 2) + b"0]", 9)
    cases |= {f"a gzip bomb of {len(bomb) / 1e6:.2f} MB beside JSON": (bomb, b"[0]")}
    rules, redactor = RuleBook(WHOLE.analysis).of("GET /items/{item}"), Redactor(key=b"k" * 16)
    for name, (one, two) in cases.items():
        packed = JSON_HEADERS | ({"content-encoding": "gzip"} if one is bomb else {})
        legs = pair({"body": one, "head": len(one), "headers": packed}, {"body": two, "head": len(two)})
        begin = time.process_time()
        outcome = compare(*legs, rules)
        took = time.process_time() - begin
        make_example(*legs, endpoint="GET /items/{item}", differences=outcome.differences, redactor=redactor)
        example = time.process_time() - begin - took
        kinds = sorted({str(difference.kind) for difference in outcome.differences})
        found = f"{', '.join(kinds)}; example in {example * 1000:.1f} ms"
        yield {"what": name, "ms": took * 1000, "example_ms": example * 1000, "found": found}
    legs = pair(*({"body": catalogue(1, said, random.Random(1)), "headers": JSON_HEADERS} for said in (0, 2)))
    outcome = compare(*legs, rules)
    begin = time.process_time()
    for _ in range(A_WINDOW):
        make_example(*legs, endpoint="GET /items/{item}", differences=outcome.differences, redactor=redactor)
    took = time.process_time() - begin
    yield {"what": f"the {A_WINDOW} examples of a window", "ms": took * 1000, "found": "at most, with 1.4 KB bodies"}
    yield from slow_texts(redactor)
    for shape in ("/users/u{0:x}x/orders", "/{0:x}z/{1:x}z/{2:x}z/{3:x}z"):
        endpoints, chance = Endpoints(200), random.Random(1)
        begin = time.process_time()
        for number in range(many):
            endpoints.of("GET", shape.format(number, *(chance.getrandbits(20) for _ in range(3))))
            endpoints.moved = {}
        took = time.process_time() - begin
        found = endpoints.of("GET", shape.format(many, 1, 2, 3))
        yield {"what": f"{many:,} paths like {shape.format(10, 20, 30, 40)}", "ms": took / many * 1000, "found": found}


def slow_texts(redactor: Redactor) -> Iterator[dict[str, Any]]:
    """Read texts made to keep expressions busy; the slowest of each sort counts."""
    markup = [one + other for one, other in product(PIECES, PIECES)]
    made = {piece: piece * ((LONGEST - 1) // len(piece)) for piece in (markup[:20] if quick() else markup)}
    long = {kind: make(1_000_000) for kind, make in SLOW.items()}
    sorts: dict[str, dict[str, Callable[[], object]]] = {
        "broken HTML, 0.5 MB": {
            name: partial(markup_differences, text, f"{text}x", DEFAULT_RULES, is_html=True)
            for name, text in made.items()
        },
        "texts full of what may be secrets, 1 MB": {name: partial(redactor.text, text) for name, text in long.items()},
    }
    for sort, works in sorts.items():
        times = {}
        for name, work in works.items():
            begin = time.process_time()
            work()
            times[name] = time.process_time() - begin
        slowest = max(times, key=times.__getitem__)
        yield {"what": f"{sort}, {len(times)} kinds", "ms": times[slowest] * 1000, "found": f"slowest: {slowest!r}"}


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def run() -> dict[str, object]:
    """Measure, print the tables, return the figures."""
    chance = random.Random(1)
    # As the engine's process does when it has started.
    gc.collect()
    gc.freeze()
    throughput = [
        *rates(chance, body=catalogue, config=PLAIN),
        *rates(chance, body=catalogue, config=RULED),
        *rates(chance, body=catalogue, config=WHOLE),
        *rates(chance, body=order, config=WHOLE),
    ]
    show(
        "the engine alone on one core, 1.4 KB JSON bodies",
        (
            "bodies",
            "on",
            "differ",
            "requests/s",
            "pairs/s",
            "slowest",
            "goal",
            "bare loop",
            "ratio",
            "deepdiff",
            "times",
        ),
        [
            (
                r["bodies"],
                r["on"],
                f"{r['differing']:.0%}",
                *(f"{r[name]:,.0f}" for name in ("requests_per_s", "pairs_per_s", "slowest_pairs_per_s")),
                f"{r['goal_pairs_per_s']:,}" if r["goal_pairs_per_s"] else "",
                f"{r['bare_loop_pairs_per_s']:,.0f}",
                f"{r['times_bare_loop']:.2f}",
                f"{r['deepdiff_pairs_per_s']:,.0f}",
                f"{r['times_deepdiff']:,.0f}",
            )
            for r in throughput
        ],
        notes=("With a control each request is two pairs; the control's bodies differ as often, in noise alone.",),
    )
    worst = list(extremes())
    show(
        "the worst that arrives",
        ("pair, or path", "ms", "what was found"),
        [(r["what"], f"{r['ms']:,.3f}", r["found"]) for r in worst],
    )
    resident = memory(chance)
    show(
        "its memory, with the messages it is fed",
        ("pairs", "resident"),
        [(f"{r['pairs']:,}", f"{r['rss_mb']} MB") for r in resident],
    )
    return {"throughput": throughput, "worst": worst, "memory": resident}


if __name__ == "__main__":
    run()
