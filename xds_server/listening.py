"""Ports of this machine: one clear error when one is taken."""

import errno
import socket

from xds_server.errors import ConflictError, InvalidError


def bound(address: str, port: int, *, flag: str) -> socket.socket:
    """Return a TCP socket that is bound and not listening yet; port 0 is any free one.

    Args:
        address: IPv4 or IPv6 address.
        port: what the user chose.
        flag: the flag that chose it, `--http-port`.

    Raises:
        ConflictError: the port is taken.
        InvalidError: the address is none, or not of this machine.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            other = flag.removesuffix("port") + "address"
            raise InvalidError(
                f'cannot listen on "{address}": {error.strerror or error}',
                field=other.removeprefix("--").replace("-", "."),
                hint=f"give {other} an IP address of this machine",
            ) from error
        raise ConflictError(
            f"cannot listen on {address}:{port}: {error.strerror or error}",
            field=flag.removeprefix("--").replace("-", "."),
            hint=f"choose another with {flag}, or 0 for any free one",
        ) from error
    return sock
