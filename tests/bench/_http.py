"""Plain HTTP to loopback: no proxy of the environment gets in between, and a call is one connection."""

import http.client
from typing import Any

import orjson


class AnswerError(Exception):
    """An answer that is not a success."""


def call(address: str, method: str, path: str, body: Any = None, *, timeout: float = 30.0) -> bytes:
    """Return the body of the answer of `host:port`.

    Raises:
        AnswerError: the answer is not a success.
        OSError: there is no answer.
    """
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        data = None if body is None else orjson.dumps(body)
        connection.request(method, path, data, {"content-type": "application/json"} if data else {})
        reply = connection.getresponse()
        content = reply.read()
    except http.client.HTTPException as error:
        raise OSError(f"{method} {path}: {error}") from error
    finally:
        connection.close()
    if not 200 <= reply.status < 300:
        raise AnswerError(f"{method} {path}: {reply.status} {content[:1000].decode(errors='replace')}")
    return content


def call_json(address: str, method: str, path: str, body: Any = None) -> Any:
    """Return the answer as JSON; None when it is empty."""
    content = call(address, method, path, body)
    return orjson.loads(content) if content else None
