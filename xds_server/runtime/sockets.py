"""Who listens where, from /proc/net.

Guarantees: only this network namespace is read. Not guaranteed: completeness; the sockets of another user's processes
have no visible owner, so "nobody" may mean "cannot be known".
"""

import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from xds_server.runtime.supervisor import all_pids

_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening TCP socket."""

    address: str
    port: int
    inode: str


def listeners() -> list[Listener]:
    """Return all listening TCP sockets."""
    found = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN:
                    address, port = fields[1].split(":")
                    found.append(Listener(_address(address), int(port, 16), fields[9]))
    return found


def sockets_of(pids: Iterable[int]) -> set[str]:
    """Return the inodes of the sockets that these processes hold."""
    found = set()
    for pid in pids:
        with suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with suppress(OSError):
                    target = str(Path(entry.path).readlink())
                    if target.startswith("socket:["):
                        found.add(target[8:-1])
    return found


def listening(pids: Iterable[int]) -> list[Listener]:
    """Return the listening sockets of these processes."""
    held = sockets_of(pids)
    return [listener for listener in listeners() if listener.inode in held]


def stranger_on(port: int, pids: Iterable[int]) -> int | None:
    """Return the process that listens on `port`, if there is one and none of `pids` does."""
    inodes = {listener.inode for listener in listeners() if listener.port == port}
    ours = set(pids)
    if not inodes or inodes & sockets_of(ours):
        return None
    return next((pid for pid in all_pids() if pid not in ours and inodes & sockets_of([pid])), None)


def _address(text: str) -> str:
    """Decode the kernel's hexadecimal words (of the machine's byte order)."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, packed)
