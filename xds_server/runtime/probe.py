"""Asking whether something answers, by TCP or HTTP.

Guarantees: one probe takes at most `timeout` and reads at most one line, whatever the other side sends.
Not guaranteed: that the answer makes sense beyond its status.
"""

import asyncio
import re
from contextlib import suppress

from xds_server.errors import cut
from xds_server.model.network import Address
from xds_server.model.profile import Readiness

PROBE_TIMEOUT = 2.0
"""Seconds for one attempt."""
CUT = ("no answer", "no connection")
"""What is said of an attempt that took too long, with and without a path."""
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r|$)")


async def until_ready(address: Address, readiness: Readiness) -> None:
    """Return when it answers as `readiness` says.

    Raises:
        TimeoutError: not within `readiness.timeout`; the text says what happened last.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + readiness.timeout
    last = ""
    while (left := end - loop.time()) > 0:
        found = await problem(address, readiness.path, timeout=min(left, PROBE_TIMEOUT))
        if not found:
            return
        if not last or left > PROBE_TIMEOUT or found not in CUT:  # an attempt that we cut short tells nothing
            last = found
        await asyncio.sleep(min(max(readiness.interval, 0.01), max(0.0, end - loop.time())))
    raise TimeoutError(last or "no attempt was made")


async def problem(address: Address, path: str = "", *, timeout: float = PROBE_TIMEOUT) -> str:  # noqa: ASYNC109 -- its result, not an error
    """Return why it is not ready, or nothing when it is.

    Args:
        address: where to ask.
        path: what to GET (200-399 is ready); empty: that a connection is accepted is enough.
        timeout: seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            return await _ask(address, path)
    except TimeoutError:
        return CUT[0] if path else CUT[1]
    except ConnectionRefusedError:
        return "connection refused"
    except (OSError, ValueError) as error:
        return cut(str(error), 100)


async def _ask(address: Address, path: str) -> str:
    reader, writer = await asyncio.open_connection(address.address, address.port)
    try:
        if not path:
            return ""
        host = f"[{address.address}]" if ":" in address.address else address.address
        head = (
            f"GET {path} HTTP/1.1\r\nhost: {host}:{address.port}\r\nuser-agent: shadowmesh\r\nconnection: close\r\n\r\n"
        )
        writer.write(head.encode("ascii", "replace"))
        line = await reader.readline()
        if not (match := _STATUS_LINE.match(line)):
            return (
                f"not an HTTP answer: {cut(repr(line), 60)}" if line else "the connection was closed without an answer"
            )
        status = int(match[1])
        return "" if 200 <= status < 400 else f"GET {path} answered {status}"  # noqa: PLR2004 -- HTTP's own numbers
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
