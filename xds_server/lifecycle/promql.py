"""One number from a Prometheus: a query that a user wrote, with its placeholders filled in.

Through `prometheus-api-client`, which is loaded with the first query: its own start takes a fifth of a second.

Guarantees: at most `AT_ONCE` queries are under way, each in a thread of ours and bounded in time and in the bytes of
its answer; the loop never waits. Whatever is not exactly one number at or above 0 is a `QueryError`, whose text is
Prometheus' own where there is one, cut.
Not guaranteed: that Prometheus has scraped what happened a moment ago.
"""

import asyncio
import math
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import orjson

from xds_server.config import PrometheusSettings
from xds_server.errors import InvalidError, cut

AT_ONCE = 4
"""Queries under way."""
MOST_BYTES = 1024 * 1024
"""Of an answer; one number takes a hundred."""
NOT_CONFIGURED = "no Prometheus is configured: --prometheus-url (SHADOWMESH_PROMETHEUS_URL)"
SEVERAL = "the query gives several series: give an aggregation, like sum(...)"
_SERIES_ASKED = 2
_HTTP_OK = 200
_PLACEHOLDER = re.compile(r"\{(network|component|variant|window)\}")


class QueryError(Exception):
    """There is no number; the text says why."""


def filled(query: str, *, network: str, component: str, variant: str, window: float) -> str:
    """Return a query with its placeholders filled in; what they become is quoted as inside of a PromQL string.

    Braces of PromQL itself (`{job="x"}`) are left alone.
    """
    values = {"network": network, "component": component, "variant": variant}
    safe = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in values.items()}
    safe["window"] = f"{math.ceil(window)}s"
    return _PLACEHOLDER.sub(lambda found: safe[found[1]], query)


class Prometheus:
    """Asks one Prometheus.

    Raises:
        InvalidError: the settings cannot be right.
    """

    def __init__(self, settings: PrometheusSettings) -> None:
        self._settings = settings
        self._threads: ThreadPoolExecutor | None = None
        self._closed = False
        if settings.url:
            _check_url(settings.url)

    @property
    def configured(self) -> bool:
        """Tell whether there is one to ask."""
        return bool(self._settings.url)

    async def number(self, query: str) -> float:
        """Return what an instant query gives. Raises: QueryError."""
        if not self._settings.url:
            raise QueryError(NOT_CONFIGURED)
        if self._closed:
            raise QueryError("the manager is stopping")
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="promql")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, query)

    async def close(self) -> None:
        """Let what is under way end, which is bounded, and take nothing more."""
        self._closed = True
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown, wait=True, cancel_futures=True)

    def _ask(self, query: str) -> float:
        from prometheus_api_client import PrometheusConnect  # noqa: PLC0415 - see the module
        from requests import RequestException, Session  # noqa: PLC0415
        from urllib3 import Retry  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        settings = self._settings
        headers = dict(_header(each) for each in settings.headers)
        if (token := _token(settings)) is not None:
            headers["Authorization"] = f"Bearer {token}"
        session = Session()
        session.stream = True  # the hook below reads, as much as it likes
        session.hooks["response"].append(_bounded(time.monotonic() + settings.timeout))
        if settings.ca_file is not None:
            session.verify = str(settings.ca_file)
        with PrometheusConnect(
            settings.url.rstrip("/"), headers=headers, retry=Retry(total=0), session=session, timeout=settings.timeout
        ) as client:
            try:
                # More than one series is an error, however many more.
                result = client.custom_query(query, params={"limit": _SERIES_ASKED})
            except (ValueError, KeyError, TypeError) as error:
                raise QueryError("what is asked does not answer like a Prometheus") from error
            except (RequestException, HTTPError, OSError) as error:
                raise QueryError(f"Prometheus was not reached: {_why(error)}") from error
        return number_of(result)


def number_of(result: Any) -> float:
    """Return the number of a query's result. Raises: QueryError."""
    try:
        if result and not isinstance(result[0], Mapping):  # a scalar: [time, "1"]
            return _checked(result[1])
        if not result:
            raise QueryError(
                "the query returned nothing: are its labels those of this variant, and two scrapes within {window}?"
            )
        if "values" in result[0]:
            raise QueryError("the query gives a range, not one number: put rate(...) or the like around it")
        if len(result) > 1:
            raise QueryError(SEVERAL)
        if "value" not in result[0]:
            raise QueryError("the query gives a histogram, not a number")
        return _checked(result[0]["value"][1])
    except (LookupError, TypeError) as error:
        raise QueryError("what is asked does not answer like a Prometheus") from error


def _checked(text: Any) -> float:
    try:
        value = float(text)
    except (TypeError, ValueError) as error:
        raise QueryError("the query gives no number") from error
    if not math.isfinite(value):
        raise QueryError(f"the query gives {text}, which is no number (a division by 0?)")
    if value < 0:
        raise QueryError(f"the query gives {value:g}: a ratio needs numbers from 0 on")
    return value


def _bounded(deadline: float) -> Callable[..., None]:
    """Return what reads an answer, bounded, and raises the error that it tells."""

    def read(response: Any, *_: Any, **__: Any) -> None:
        body = b""
        # What has come at once: a `read` would wait for all of it, however slowly it comes.
        while chunk := response.raw.read1(64 * 1024, decode_content=True):
            body += chunk
            if len(body) > MOST_BYTES or time.monotonic() > deadline:
                response.close()
                raise QueryError(SEVERAL if len(body) > MOST_BYTES else "Prometheus answers too slowly")
        response._content = body  # noqa: SLF001 - requests has no other way to hand on what was read
        if response.status_code != _HTTP_OK:
            # Redirects too: a token goes where it was meant to.
            raise QueryError(_told(response.status_code, body))

    return read


def _told(status: int, body: bytes) -> str:
    try:
        said = orjson.loads(body)
        return cut(f"{said['errorType']}: {said['error']}")
    except (ValueError, KeyError, TypeError):
        return f"Prometheus answered {status}"


def _why(error: Exception) -> str:
    """Return the innermost reason: the outer ones are urllib's objects."""
    inner: Any = error
    while True:
        reason = getattr(inner, "reason", None) or next((a for a in inner.args if isinstance(a, Exception)), None)
        if not isinstance(reason, Exception):
            return (
                cut(re.sub(r"^.*?object at 0x[0-9a-f]+>: |^HTTP\S+\(.*?\): ", "", str(inner))) or type(inner).__name__
            )
        inner = reason


def _token(settings: PrometheusSettings) -> str | None:
    if settings.token is not None:
        return settings.token.get_secret_value()
    if settings.token_file is None:
        return None
    try:
        return settings.token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise QueryError(f"the token's file cannot be read: {getattr(error, 'strerror', None) or 'no text'}") from error


def _header(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name, value.strip()


def _check_url(url: str) -> None:
    hint = "like http://127.0.0.1:9090"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidError("is not a URL", field="prometheus.url", hint=hint) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise InvalidError("is not an http or https URL with a host", field="prometheus.url", hint=hint)
