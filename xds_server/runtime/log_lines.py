"""The last lines of what a shadow wrote.

Guarantees: no control characters, so that a shadow cannot play with the terminal of whoever reads its status; bounded.
"""

import re

from xds_server.runtime.base import LOG_LINE_LIMIT, LOG_LINES

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[^\t\x20-\x7e\xa0-\U0010ffff]")


def last_lines(data: bytes) -> tuple[str, ...]:
    """Return the last `LOG_LINES` lines of `data`, oldest first, each cut to `LOG_LINE_LIMIT` characters."""
    lines = [_ESCAPES.sub("", line).rstrip() for line in data.decode("utf-8", "replace").splitlines()]
    return tuple(_cut(line) for line in lines if line)[-LOG_LINES:]


def _cut(line: str) -> str:
    return line if len(line) <= LOG_LINE_LIMIT else f"{line[:LOG_LINE_LIMIT]}…"
