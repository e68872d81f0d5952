"""The ports that process shadows are given.

Guarantees: no port is given twice while it is held; a port that anything listens on is not given; one that was given
back rests as long as there are others (an Envoy may still send to it). Nothing is ever listened on for the check.
Not guaranteed: that nobody outside takes a port between the check and the shadow's own bind; readiness notices.
"""

import errno
import socket
from collections.abc import Callable
from contextlib import ExitStack

from xds_server.errors import UnavailableError


class Ports:
    """A range of ports and who holds them."""

    def __init__(self, first: int, last: int, *, start: int = 0, free: Callable[[int], bool] | None = None) -> None:
        """Take the range.

        Args:
            first: lowest port.
            last: highest port, included.
            start: where in the range to begin; chance, so that two managers on a machine rarely meet.
            free: tells whether nobody else uses a port; asks the kernel unless given.
        """
        self._first, self._count = first, last - first + 1
        self._next = start % self._count
        self._free = free or is_free
        self._held: dict[int, str] = {}

    def take(self, owner: str) -> int:
        """Return a free port, held for `owner` from now on.

        Raises:
            UnavailableError: none is left.
        """
        for _ in range(self._count):
            port = self._first + self._next
            self._next = (self._next + 1) % self._count
            if port not in self._held and self._free(port):
                self._held[port] = owner
                return port
        raise UnavailableError(
            f"all ports from {self._first} to {self._first + self._count - 1} are in use",
            hint="widen the node's range of ports, or end some shadows",
        )

    def hold(self, port: int, owner: str) -> None:
        """Hold the port of a shadow that runs already."""
        self._held[port] = owner

    def release(self, port: int, owner: str) -> None:
        """Give a port back. Nothing happens when `owner` does not hold it."""
        if self._held.get(port) == owner:
            del self._held[port]

    def held(self) -> dict[int, str]:
        """Return the ports held and by whom."""
        return dict(self._held)


def is_free(port: int) -> bool:
    """Tell whether a server could bind `port` on any address, IPv4 and IPv6. Binds for a moment, never listens."""
    with ExitStack() as stack:
        for family in (socket.AF_INET, socket.AF_INET6):
            try:
                probe = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            except OSError:  # a machine without IPv6
                continue
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(("", port))
            except OSError as error:
                if family == socket.AF_INET6 and error.errno != errno.EADDRINUSE:
                    continue
                return False
    return True
