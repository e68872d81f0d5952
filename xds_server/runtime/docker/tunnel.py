"""An SSH tunnel to the socket of an engine on another machine, by the `ssh` command and the user's own configuration.

Guarantees: it ends with this process, however that ends: the far side waits for the end of our pipe. It asks for no
password and no host key (BatchMode); an error is in the words of `ssh`. A tunnel that broke is made anew when it is
opened the next time. What a killed process left of it in the temporary folder goes with the next tunnel that is opened.
"""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

REMOTE_SOCKET = "/var/run/docker.sock"
OPEN = 8.0
"""Seconds that it may take."""
_POLL = 0.02
_PREFIX = "shadowmesh-ssh-"
_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=5",
    "ControlMaster=no",
    "ControlPath=none",
    "ExitOnForwardFailure=yes",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=2",
)


class Tunnel:
    """See the module. All methods may be called from any thread.

    Args:
        url: `ssh://[user@]host[:port][/path of the socket]`.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._user, self._port = parts.username, parts.port
        self._remote = parts.path if parts.path not in {"", "/"} else REMOTE_SOCKET
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> str:
        """Return the URL of the near end. Blocks until it is there.

        Raises:
            OSError: it could not be made; the text is what `ssh` said.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is None and self._folder is not None:
                return f"unix://{self._folder / 'engine'}"
            self._end()
            return self._begin()

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._end()

    def _begin(self) -> str:
        if shutil.which("ssh") is None:
            raise OSError("there is no ssh command on this machine")
        _forget_the_dead()
        self._folder = folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))  # 0700
        socket, told = folder / "engine", folder / "told"
        options = [word for option in _OPTIONS for word in ("-o", option)]
        user = ["-l", self._user] if self._user else []
        port = ["-p", str(self._port)] if self._port else []
        command = ["ssh", "-T", *options, *user, *port, "-L", f"{socket}:{self._remote}", "--", self._host, "cat"]
        with told.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own host
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True
            )
        end = time.monotonic() + OPEN
        while not socket.exists():
            code = self._process.poll()
            if code is not None or time.monotonic() > end:
                why = told.read_text("utf-8", "replace").strip().splitlines()
                self._end()
                silent = f"no tunnel within {OPEN:g} s" if code is None else f"ssh ended with {code}"
                raise OSError(why[-1] if why else silent)
            time.sleep(_POLL)
        return f"unix://{socket}"

    def _end(self) -> None:
        process, self._process = self._process, None
        folder, self._folder = self._folder, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        if folder is not None:
            _remove(folder)


def _forget_the_dead() -> None:
    """Remove the folders of processes that were killed; their tunnels ended with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):  # another user's
            if pid.isdecimal() and folder.stat().st_uid == os.geteuid() and not Path(f"/proc/{pid}").exists():
                _remove(folder)


def _remove(folder: Path) -> None:
    for name in ("engine", "told"):
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()
