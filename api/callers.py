"""Who a request comes from, for the audit trail.

Guarantees: what is kept is printable and bounded; nothing that a caller says of itself makes a request fail.
Not guaranteed: that a name is true. There is one token for all, so a name is a claim; the address is that of whoever
holds the connection, a proxy for one.
"""

import re
from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.types import Scope

from xds_server.model.audit import Who

NAME = "X-Shadowmesh-User"
"""Header in which a caller says who they are: percent-encoded UTF-8, at most `LONGEST_NAME` characters of it."""
REASON = "X-Shadowmesh-Reason"
"""Header in which a caller says why, in the same form, at most `LONGEST_REASON` characters."""
LONGEST_NAME = 128
LONGEST_REASON = 500
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""Control characters, and those that turn the direction of what stands beside them."""


def caller(scope: Scope, headers: Headers, *, token: bool) -> tuple[Who, str]:
    """Return who asks, and the reason that they give.

    Args:
        scope: of the request.
        headers: its headers.
        token: it bore the manager's token.
    """
    client = scope.get("client")
    who = Who(
        name=_text(headers.get(NAME, ""), LONGEST_NAME),
        address=str(client[0]) if client else "",
        agent=_text(headers.get("user-agent", ""), LONGEST_NAME),
        token=token,
    )
    return who, _text(headers.get(REASON, ""), LONGEST_REASON)


def _text(header: str, longest: int) -> str:
    # As many bytes as it may take, before anything is done with it.
    text = unquote(header[: 12 * longest], errors="replace")
    return _UNSEEN.sub(" ", text).strip()[:longest]
