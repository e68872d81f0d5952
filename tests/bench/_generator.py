"""The load generator: `python -m tests.bench._generator` takes an order a line (JSON) and answers each with a line.

Open loop: requests leave at the moments of a seeded Poisson process, whatever the answers do, and a latency counts
from the moment that was meant, so a generator that comes late makes itself visible instead of hiding the wait
("coordinated omission"). Closed loop: each connection sends the next request when it has its answer.
Connections are kept alive from order to order. Moments are kept by a timerfd: epoll and libuv wait in milliseconds.
Not guaranteed: anything of HTTP but answers with `content-length`.

Orders: `{"port", "seconds", "connections", "rate" (0: closed loop), "seed"}`. Answers: `{"seconds", "answered",
"failed", "latencies" [µs], "late" [µs, how late requests left], "cpu" [s]}`.
"""

import ctypes
import gc
import os
import random
import select
import socket
import sys
import time
from collections import deque
from typing import Any

import orjson

PATHS = 100
"""Items that are asked for in turn."""
GIVE_UP = 5.0
"""Seconds that answers are waited for after the last request."""
SECOND = 1_000_000_000
_LENGTH = b"content-length: "
_END = b"\r\n\r\n"


class _Timer:
    """A timerfd on the monotonic clock."""

    class _Spec(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.number = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.number < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._spec = self._Spec()

    def set(self, moment: int) -> None:
        """Fire at a moment of the monotonic clock, in ns."""
        self._spec.at_s, self._spec.at_ns = divmod(max(moment, 1), SECOND)
        self._libc.timerfd_settime(self.number, 1, ctypes.byref(self._spec), None)

    def close(self) -> None:
        os.close(self.number)


class _Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.meant = 0
        self._parts = b""

    def read(self) -> bool:
        """Return whether the whole answer is there. Raises: OSError, ValueError: it is not the one we want."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionResetError
        self._parts = data = self._parts + data if self._parts else data
        head = data.find(_END)
        if head < 0:
            return False
        if not data.startswith(b"HTTP/1.1 200"):
            raise ValueError("not 200")
        at = data.index(_LENGTH, 0, head) + len(_LENGTH)
        if len(data) < head + len(_END) + int(data[at : data.index(b"\r", at)]):
            return False
        self._parts = b""
        return True


class Generator:
    """Carries out orders, one after another."""

    def __init__(self) -> None:
        self._pools: dict[int, list[_Connection]] = {}
        self._requests = [
            b"GET /items/%d HTTP/1.1\r\nhost: shop.example\r\nuser-agent: bench\r\naccept: application/json\r\n\r\n" % n
            for n in range(PATHS)
        ]
        self._next = 0

    def close(self) -> None:
        """Drop all connections."""
        for pool in self._pools.values():
            for connection in pool:
                connection.socket.close()
        self._pools.clear()

    def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one order."""
        pool = self._pools.setdefault(order["port"], [])
        pool.extend(_Connection(order["port"]) for _ in range(order["connections"] - len(pool)))
        gc.collect()
        cpu = time.process_time()
        begun = time.monotonic_ns()
        with select.epoll() as poll:
            run = _Run(self, pool[: order["connections"]], poll)
            if order["rate"]:
                run.open_loop(begun, order["seconds"], order["rate"], random.Random(order["seed"]))
            else:
                run.closed_loop(begun + int(order["seconds"] * SECOND))
        return {
            "seconds": (time.monotonic_ns() - begun) / SECOND,
            "answered": len(run.latencies),
            "failed": run.failed,
            "latencies": run.latencies,
            "late": run.late,
            "cpu": time.process_time() - cpu,
        }

    def request(self) -> bytes:
        """Return the next request to send."""
        self._next = (self._next + 1) % PATHS
        return self._requests[self._next]


class _Run:
    def __init__(self, generator: Generator, pool: list[_Connection], poll: select.epoll) -> None:
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.failed = 0
        self._generator = generator
        self._poll = poll
        self._by_number: dict[int, _Connection] = {}
        self._free = list(pool)
        for connection in pool:
            self._watch(connection)

    def open_loop(self, begun: int, seconds: float, rate: float, chance: random.Random) -> None:
        moments: deque[int] = deque()
        moment = 0.0
        while (moment := moment + chance.expovariate(rate)) < seconds:
            moments.append(begun + int(moment * SECOND))
        end = begun + int((seconds + GIVE_UP) * SECOND)
        timer = _Timer()
        self._poll.register(timer.number, select.EPOLLIN)
        busy = len(self._free)
        while (moments or len(self._free) < busy) and time.monotonic_ns() < end:
            while moments and self._free and moments[0] <= time.monotonic_ns():
                self._send(self._free.pop(), moments.popleft())
            # With no connection free, an answer wakes us.
            timer.set(moments[0] if moments and self._free else end)
            for number, _ in self._poll.poll():
                if number != timer.number and (free := self._read(number)) is not None:
                    self._free.append(free)
        timer.close()
        self.failed += len(moments) + busy - len(self._free)
        self._renew()

    def closed_loop(self, end: int) -> None:
        for connection in self._free:
            self._send(connection, time.monotonic_ns())
        waiting = len(self._free)
        self._free = []
        last = end + int(GIVE_UP * SECOND)
        while waiting and time.monotonic_ns() < last:
            for number, _ in self._poll.poll(GIVE_UP):
                if (free := self._read(number)) is None:
                    continue
                if (now := time.monotonic_ns()) < end:
                    self._send(free, now)
                else:
                    waiting -= 1
                    self._free.append(free)
        self.failed += waiting
        self._renew()

    def _watch(self, connection: _Connection) -> None:
        self._by_number[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)

    def _send(self, connection: _Connection, meant: int) -> None:
        connection.meant = meant
        self.late.append((time.monotonic_ns() - meant) // 1000)
        try:
            connection.socket.send(self._generator.request())
        except OSError:
            # The read that follows sees the closed connection and counts it.
            return

    def _read(self, number: int) -> _Connection | None:
        """Return the connection that became free."""
        connection = self._by_number[number]
        try:
            if not connection.read():
                return None
        except (OSError, ValueError):
            self.failed += 1
            self._reopen(connection)
        else:
            self.latencies.append((time.monotonic_ns() - connection.meant) / 1000)
        return connection

    def _reopen(self, connection: _Connection) -> None:
        self._poll.unregister(connection.socket)
        del self._by_number[connection.socket.fileno()]
        connection.socket.close()
        connection.open()
        self._watch(connection)

    def _renew(self) -> None:
        """Give connections that still owe an answer a new start, so that it is not taken for one of the next order."""
        for connection in list(self._by_number.values()):
            if connection not in self._free:
                self._reopen(connection)


def main() -> None:
    """Carry out orders until standard input ends."""
    generator = Generator()
    gc.collect()
    gc.freeze()
    gc.disable()
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(orjson.dumps(generator.run(orjson.loads(line))) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
