"""One Docker engine: calls to it in threads of its own, each bounded in time, its errors in our words.

Guarantees: an engine that hangs holds at most `THREADS` threads and keeps no caller waiting beyond its timeout; while
it does not answer, calls fail at once but for one a `RETRY` that tries whether it is back. Other engines are untouched.
Not guaranteed: that a call which timed out had no effect.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException
from docker.tls import TLSConfig

from xds_server.errors import UnavailableError, cut
from xds_server.model.docker_host import DockerHost
from xds_server.runtime.docker.tunnel import Tunnel

THREADS = 8
"""Calls to one engine at once."""
LONG = 4
"""Calls that take minutes, beside them."""
CALL = 10.0
"""Seconds for a call that should be quick."""
CONNECT = 5.0
"""Seconds to connect, and for the first answer."""
RETRY = 1.0
"""Seconds between two tries of an engine that does not answer."""
_FULL = "no space left on device"

_T = TypeVar("_T")
Work = Callable[[docker.APIClient], _T]


class _Client(docker.APIClient):
    # The environment's REQUESTS_CA_BUNDLE would go before the engine's own authority.
    trust_env = property(lambda _: False, lambda _, __: None)

    # Credentials for registries are looked up for each pull (credentials.py): none is kept here, and what is wrong with
    # them is no fault of the engine.
    @property
    def _general_configs(self) -> dict[str, Any]:
        return self._shown

    @_general_configs.setter
    def _general_configs(self, found: Any) -> None:
        rest = found.items() if isinstance(found, dict) else ()
        self._shown = {"proxies": {}} | {k: v for k, v in rest if k in {"proxies", "HttpHeaders"}}


class Engine:
    """See the module.

    Args:
        host: where it is.
        node: name of its node, for the errors.
        clock: monotonic seconds.
    """

    def __init__(self, host: DockerHost, *, node: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.host = host
        self.node = node
        self._clock = clock
        self._tunnel = Tunnel(host.url) if host.url.startswith("ssh://") else None
        self._own = threading.local()
        self._long = asyncio.Semaphore(LONG)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=f"docker {node}")
        self._away_since: float | None = None
        self._tried = 0.0
        self._why = ""

    @property
    def away(self) -> str:
        """Say why it does not answer; empty when it does, as far as is known."""
        return self._why if self._away_since is not None else ""

    async def call(self, work: "Work[_T]", *, timeout: float = CALL) -> _T:  # noqa: ASYNC109 -- its result, not an error
        """Return what `work` returns, given a client.

        Raises:
            UnavailableError: the engine does not answer, or its disk is full.
            APIError: it answered that it will not; for the caller to put into words.
        """
        self._admit()
        run = asyncio.get_running_loop().run_in_executor(self._threads, self._run, work)
        return await self._answer(run, timeout)

    async def call_long(self, work: "Work[_T]") -> _T:
        """As `call`, for what takes minutes and bounds itself: in a thread beside the others, at most `LONG` at once.

        Cancelled, it leaves the thread to its end; that does not hold up the end of this process.

        Raises:
            UnavailableError: as `call`.
            APIError: as `call`.
        """
        async with self._long:
            self._admit()
            done: Future[_T] = Future()
            done.set_running_or_notify_cancel()

            def run() -> None:
                try:
                    with closing(self._connect()) as client:
                        done.set_result(work(client))
                except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                    done.set_exception(error)

            threading.Thread(target=run, name=f"docker {self.node}, long", daemon=True).start()
            return await self._answer(asyncio.wrap_future(done), None)

    def _admit(self) -> None:
        now = self._clock()
        if self._away_since is not None:
            if now - self._tried < RETRY:
                raise self._unavailable(self._why)
            self._tried = now

    async def _answer(self, run: "asyncio.Future[_T]", timeout: float | None) -> _T:  # noqa: ASYNC109 -- as `call`
        try:
            async with asyncio.timeout(timeout):
                result = await asyncio.shield(run)
        except TimeoutError as error:
            run.add_done_callback(_retrieve)
            raise self._gone(f"no answer within {timeout or 0.0:g} s") from error
        except asyncio.CancelledError:
            run.add_done_callback(_retrieve)
            raise
        except APIError as error:
            self._away_since = None
            if _FULL in str(error):
                raise UnavailableError(
                    f'the disk of node "{self.node}" is full: {reason_of(error)}', hint="make room there"
                ) from error
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError) as error:
            raise self._gone(_plain(error)) from error
        self._away_since = None
        return result

    def close(self) -> None:
        """Let go of the threads; what they are at ends by its own timeout."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._tunnel is not None:
            self._tunnel.close()

    def _run(self, work: "Work[_T]") -> _T:
        client = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = self._connect()
        try:
            return work(client)
        except APIError:
            raise
        except Exception:
            # A connection that broke is not used again.
            self._own.client = None
            client.close()
            raise

    def _connect(self) -> docker.APIClient:
        host, tls = self.host, self.host.tls
        config: TLSConfig | bool = False
        if tls is not None:
            for name, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
                if path and not Path(path).is_file():
                    raise OSError(f"docker.tls.{name} is no file: {path}")
            pair = (tls.cert, tls.key) if tls.cert else None
            config = TLSConfig(client_cert=pair, ca_cert=tls.ca or None, verify=True)
        return _Client(
            base_url=self._tunnel.open() if self._tunnel else host.url,
            version="auto",
            tls=config,
            timeout=int(CALL),
        )

    def _gone(self, why: str) -> UnavailableError:
        now = self._clock()
        if self._away_since is None:
            self._away_since = now
        self._tried, self._why = now, why
        return self._unavailable(why)

    def _unavailable(self, why: str) -> UnavailableError:
        return UnavailableError(
            f'the Docker engine of node "{self.node}" at {self.host.url} does not answer: {why}', hint=_hint(why)
        )


def reason_of(error: APIError) -> str:
    """Return what the engine said, cut."""
    said = error.explanation
    return cut(str(said or error).strip(), 300)


def _retrieve(run: "asyncio.Future[Any]") -> None:
    if not run.cancelled():
        run.exception()


def _plain(error: BaseException) -> str:
    """Return the innermost reason of a nest of errors: `Connection refused` of six lines."""
    inner: BaseException | None = error
    text = str(error)
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            text = inner.strerror
        inner = inner.__cause__ or inner.__context__
    return cut(text.strip() or type(error).__name__, 300)


_HINTS: Mapping[str, str] = {
    "certificate": "docker.tls.ca must hold the authority that signed the engine's certificate",
    "ssl": "docker.tls.ca must hold the authority that signed the engine's certificate",
    "bad_certificate": "docker.tls.cert and key must be those that the engine trusts",
    "no such file": "is the engine running, and is docker.host its socket?",
    "publickey": "the manager's user needs a key that the host knows, without a passphrase or in an agent",
    "permission denied": "the manager's user must be allowed to use the socket",
    "host key": "put the host's key into known_hosts first (ssh to it once)",
    "refused": "is the engine running, and is docker.host where it listens?",
    "name or service not known": "docker.host names no host that is known here",
}


def _hint(why: str) -> str:
    low = why.lower()
    return next((hint for part, hint in _HINTS.items() if part in low), "is the engine running?")
