"""The head of a JSON text that was cut: read as far as it goes.

Guarantees: what comes back holds only values that stand complete in the head; each container whose end was cut
carries the mark `CUT` (as a key, or as the last element), so that a comparison does not take for missing what was not
seen.
"""

import re
from typing import Any

import orjson

from xds_server.analysis.diff.json_diff import CUT

# A string, perhaps without its end; or structure. Possessive: nothing to backtrack into.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}\[\],]', re.DOTALL)
_MARK = orjson.dumps(CUT)


def parse_json_head(head: bytes) -> Any:
    """Return what stands complete in `head`.

    Raises:
        orjson.JSONDecodeError: it is no JSON, also before the cut.
    """
    stack: list[bytes] = []
    safe = 0
    for found in _TOKEN.finditer(head):
        token = found[0]
        if token in {b"{", b"["}:
            stack.append(token)
            safe = found.end()
        elif token in {b"}", b"]"}:
            del stack[-1:]
            safe = found.end()
        elif token == b",":
            safe = found.start()
    closed = bytearray(head[:safe])
    for opened in reversed(stack):
        comma = b"" if closed.endswith((b"{", b"[")) else b","
        closed += comma + _MARK + (b":0}" if opened == b"{" else b"]")
    return orjson.loads(closed)
