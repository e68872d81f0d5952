"""Processes of a bench: started from the main thread, ended for certain when their `with` ends."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import orjson

from tests.bench._http import call_json

ROOT = Path(__file__).parents[2]
_GRACE = 10.0


@contextlib.contextmanager
def child(command: Sequence[str], *, log: Path | None = None, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command for the length of a `with`: TERM at the end, then KILL."""
    with contextlib.ExitStack() as stack:
        if log is not None:
            options |= {"stderr": stack.enter_context(log.open("ab"))}
            options.setdefault("stdout", options["stderr"])
        process = subprocess.Popen(command, cwd=ROOT, **options)
        try:
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process: TERM, then KILL."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@dataclass(frozen=True, slots=True)
class Service:
    """A backend that runs."""

    pid: int
    port: int

    def answered(self) -> int:
        """Return how many requests it has answered."""
        return int(call_json(f"127.0.0.1:{self.port}", "GET", "/-/count")["answered"])


@contextlib.contextmanager
def backend(*flags: str) -> Iterator[Service]:
    """Run a backend (see `_backend`) for the length of a `with`."""
    with child([sys.executable, "-m", "tests.bench._backend", *flags], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Service(process.pid, int(process.stdout.readline()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the load generator saw in one order. Latencies and `late` in µs."""

    seconds: float
    answered: int
    failed: int
    latencies: list[float]
    late: list[float]
    cpu: float


class Load:
    """A load generator (see `_generator`) in a process of its own, for the length of a `with`."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.bench._generator"]
        self._process = self._stack.enter_context(
            child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE),
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, port: int, *, seconds: float, connections: int, rate: float = 0, seed: int = 0) -> Outcome:
        """Send requests to a port: `rate` a second (open loop), or with 0 as many as get answered (closed loop)."""
        order = {"port": port, "seconds": seconds, "connections": connections, "rate": rate, "seed": seed}
        self.begin(order)
        return self.finish()

    def begin(self, order: dict[str, Any]) -> None:
        """Send an order and come back at once."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(order) + b"\n")
        self._process.stdin.flush()

    def finish(self) -> Outcome:
        """Wait for the outcome of the order under way."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the load generator ended: {self._process.wait()}")
        return Outcome(**orjson.loads(line))
