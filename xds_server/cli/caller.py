"""Who the command line says that it is, for the manager's audit trail: a claim, which nobody proves.

`SHADOWMESH_USER` is the name (else the login and the host), `SHADOWMESH_REASON` is why, a ticket for one.
"""

import getpass
import os
import socket
from importlib import metadata
from urllib.parse import quote

USER, REASON = "SHADOWMESH_USER", "SHADOWMESH_REASON"
"""Environment variables."""


def headers() -> dict[str, str]:
    """Return what each request carries."""
    told = {"User-Agent": f"shadowmesh/{metadata.version('shadowmesh')}", "X-Shadowmesh-User": quote(name(), safe="@")}
    if given := reason():
        told["X-Shadowmesh-Reason"] = quote(given)
    return told


def reason() -> str:
    """Return why the command line is used; empty: nothing was said."""
    return _printable(os.environ.get(REASON, ""))


def name() -> str:
    """Return who the command line says that it is."""
    named = os.environ.get(USER)
    if named:
        return _printable(named)
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry
        login = f"uid {os.getuid()}"
    return _printable(f"{login}@{socket.gethostname()}")


def _printable(text: str) -> str:
    """Return a text of the environment that can be encoded."""
    return text.encode("utf-8", "replace").decode()
