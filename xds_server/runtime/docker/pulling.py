"""One pull while it is under way: how far it is, whether it moves, and how it is given up.

Guarantees: it ends: `STALL` seconds without a step, or `PULL` in all, are too long. A step is more bytes or a layer's
next state, so an engine that says each second when it tries again does not move.
Not guaranteed: that a total is known before each layer has begun.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
import requests
import urllib3
from docker.errors import create_api_error_from_http_exception

PULL = 600.0
"""Seconds that a pull may take."""
STALL = 60.0
"""Seconds without a step."""
QUIET = 5.0
"""Seconds without a step that are told."""
_CONNECT = 5.0
_STATES: Mapping[str, int] = {
    "Pulling fs layer": 0,
    "Waiting": 0,
    "Downloading": 1,
    "Verifying Checksum": 2,
    "Download complete": 3,
    "Extracting": 4,
    "Pull complete": 5,
    "Already exists": 5,
}
"""What an engine says of a layer, in order."""
_DOWNLOADING, _DONE = 1, 5
_MIB = 1024 * 1024


class StalledError(Exception):
    """The pull does not move, or takes too long; the text says which."""


class FailedError(Exception):
    """The engine says that it failed; the text is its own."""


@dataclass(slots=True)
class _Layer:
    state: int = 0
    current: int = 0
    total: int = 0

    def got(self) -> int:
        return self.current if self.state <= _DOWNLOADING else self.total


class Pulling:
    """See the module. Written by the thread that pulls, read by others.

    Args:
        clock: monotonic seconds.
        stall: seconds without a step.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, stall: float = STALL) -> None:
        self.image = ""
        self.stall = stall
        self._clock = clock
        self._began = self._moved = clock()
        self._layers: dict[str, _Layer] = {}
        self._lock = threading.Lock()
        self.unwanted = asyncio.Event()
        """Set by `give_up`."""
        self._answer: requests.Response | None = None

    def begin(self, image: str) -> None:
        """Say that an image is pulled from now on."""
        self._began = self._moved = self._clock()
        self.image = image

    def give_up(self) -> None:
        """Have the thread end; the engine ends the pull when it has the next step to tell."""
        self.unwanted.set()
        if (answer := self._answer) is not None:
            with suppress(OSError, ValueError, RuntimeError):
                answer.raw.shutdown()  # the thread may be reading; what it has open, it closes

    def describe(self) -> str:
        """Say how far it is; empty when nothing is pulled."""
        if not self.image:
            return ""
        with self._lock:
            layers = list(self._layers.values())
            moved = self._moved
        text = f"pulling {self.image}"
        if layers:
            done = sum(layer.state == _DONE for layer in layers)
            text += f", {done} of {len(layers)} layers"
        if total := sum(layer.total for layer in layers):
            got = sum(layer.got() for layer in layers)
            whole = all(layer.total or layer.state == _DONE for layer in layers)
            text += f", {got / _MIB:.0f} of {total / _MIB:.0f} MiB" if whole else f", {got / _MIB:.0f} MiB so far"
        still = self._clock() - moved
        return f"{text}, nothing new for {still:.0f} s" if still >= QUIET else text

    def note(self, line: Mapping[str, Any]) -> None:
        """Take a line of the engine's.

        Raises:
            FailedError: it is an error.
            StalledError: no step for too long.
        """
        if "error" in line:
            raise FailedError(str(line["error"]))
        state = _STATES.get(str(line.get("status", "")))
        if state is not None and line.get("id"):
            detail = line.get("progressDetail") or {}
            self._step(str(line["id"]), state, int(detail.get("current") or 0), int(detail.get("total") or 0))
        now = self._clock()
        if now - self._moved > self.stall:
            raise self.stalled()
        if now - self._began > PULL:
            raise StalledError(f"not done after {PULL:g} s")

    def stalled(self) -> StalledError:
        """Return the error of a pull that does not move."""
        return StalledError(f"it has not moved for {self.stall:g} s")

    def _step(self, name: str, state: int, current: int, total: int) -> None:
        with self._lock:
            layer = self._layers.setdefault(name, _Layer(state=-1))
            if (state, current) > (layer.state, layer.current if state == layer.state else -1):
                self._moved = self._clock()
                layer.state, layer.current = state, current
            if state == _DOWNLOADING and total > 0:
                layer.total = total

    def pull(self, client: docker.APIClient, repository: str, tag: str, header: bytes | None) -> None:
        """Pull an image; return when it is there, or the pull is not wanted any more.

        Raises:
            FailedError: the engine says so.
            APIError: the engine says so, at once.
            StalledError: it does not move.
            requests.RequestException: the engine does not answer.
        """
        try:
            # Not `client.pull`, which waits for a line for ever.
            with client.post(
                f"{client.base_url}/v{client.api_version}/images/create",
                params={"fromImage": repository, "tag": tag},
                headers={"X-Registry-Auth": header} if header else {},
                stream=True,
                timeout=(_CONNECT, self.stall),
            ) as response:
                try:
                    response.raise_for_status()
                except requests.HTTPError as error:
                    create_api_error_from_http_exception(error)
                self._answer = response
                self._follow(response.iter_lines())
        except requests.RequestException as error:
            if self.unwanted.is_set():
                return
            if _timed_out(error):
                raise self.stalled() from error
            raise
        finally:
            self._answer = None

    def _follow(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if self.unwanted.is_set():
                return  # closing the answer makes the engine end the pull, too
            if line.strip():
                self.note(json.loads(line))


def _timed_out(error: requests.RequestException) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return False
    inner = error.args[0] if error.args else None
    return isinstance(error, requests.ReadTimeout) or isinstance(inner, urllib3.exceptions.ReadTimeoutError)
