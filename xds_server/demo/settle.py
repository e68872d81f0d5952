"""Noise taken out of the catalogue's answers, as a client can: what is left is known in advance, bit for bit.

Guarantees: pure. Nothing is taken out unseen: an id and a time must have their form, the time must fit the moment of
the request, and all other noise must be what follows from the id (`catalogue.Stamp`). One bit that is changed anywhere,
other than from one id or time to another, raises or is left in.
Not guaranteed: that an id is new.
"""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from xds_server.demo.catalogue import COST, REQUEST_ID, Stamp, encoded, turned
from xds_server.stage.client import Reply

OUT = "*"
"""Stands where noise was."""
SLACK = 1.0
"""Seconds by which a clock may be set while an answer is under way."""
_RANDOM = 4
"""The version of a UUID that is made by chance."""


class UntrueError(Exception):
    """The noise of an answer is not what version 1 could have said."""


def settle(reply: Reply, *, within: tuple[float, float] | None = None) -> Reply:
    """Return an answer without its noise; one that has no id has none.

    Args:
        reply: as it came.
        within: when its request was sent and it came, in seconds since the epoch; not looked at when None.

    Raises:
        UntrueError: the noise is none.
    """
    text = reply.header(REQUEST_ID)
    if text is None:
        return reply
    document = _document(reply.body)
    made = Stamp(_time(document, within), _id(text))
    noise = made.fields
    for name in document.keys() & noise.keys():
        if encoded(document[name]) != encoded(noise[name]):
            raise UntrueError(f"{name} {document[name]!r} with the id {text}, which makes it {noise[name]!r}")
        document[name] = OUT
    if reply.header(COST) not in {None, made.cost}:
        raise UntrueError(f"{COST} {reply.header(COST)!r} with the id {text}, which makes it {made.cost!r}")
    headers = tuple((name, OUT if name in {REQUEST_ID, COST} else value) for name, value in reply.headers)
    return Reply(reply.status, headers, encoded(turned(document, made)))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise UntrueError(f"another body: {len(body)} bytes that are no JSON") from error
    # So that nothing is lost by having read it: white space, the way of writing a number, a key that is there twice.
    if type(document) is not dict or encoded(document) != body:
        raise UntrueError(f"another body: {len(body)} bytes, not as version 1 writes it")
    return document


def _id(text: str) -> UUID:
    try:
        found = UUID(text)
    except ValueError as error:
        raise UntrueError(f"{REQUEST_ID} {text!r}, which is no UUID") from error
    if str(found) != text or found.version != _RANDOM:
        raise UntrueError(f"{REQUEST_ID} {text!r}, which is no random UUID")
    return found


def _time(document: dict[str, Any], within: tuple[float, float] | None) -> datetime:
    """Return when an answer says it was made; some moment when it does not say."""
    if "servedAt" not in document:
        return datetime.fromtimestamp(0, UTC)
    try:
        at = datetime.fromisoformat(document["servedAt"])
        seconds = at.timestamp()
    except (TypeError, ValueError, OverflowError) as error:
        raise UntrueError(f"servedAt {document['servedAt']!r}, which is no time") from error
    if within is not None and not within[0] - SLACK <= seconds <= within[1] + SLACK:
        raise UntrueError(f"servedAt {document['servedAt']!r}, which is not when it was asked for")
    return at
