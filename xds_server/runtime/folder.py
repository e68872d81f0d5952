"""The folder of one process shadow: what its supervisor reads and writes.

Guarantees: what is written here replaces atomically; a broken or half-written file reads as absent. Files are ours
alone (0700/0600): a log or an environment may hold secrets. Log lines come out without control characters, so that
a shadow cannot play with the terminal of whoever reads its status.
"""

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xds_server.model.ids import InstanceID
from xds_server.private_files import make_folder
from xds_server.runtime.base import LOG_LINES, Condition, Ending, Life
from xds_server.runtime.log_lines import last_lines
from xds_server.runtime.processes import Identity
from xds_server.runtime.supervisor import boot_id

TAIL_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Status:
    """What the supervisor last said. Identities are None when not known, or of an earlier start of the machine."""

    state: str
    supervisor: Identity | None
    child: Identity | None
    ending: str
    exit: int | None
    deadline: float
    detail: str
    same_boot: bool

    @property
    def supervised(self) -> bool:
        """True while the supervisor lives."""
        return self.supervisor is not None and self.supervisor.alive

    @property
    def over(self) -> bool:
        """True once the whole tree has ended and the supervisor said so."""
        return self.state == "ended"


class Folder:
    """Paths and contents of `<state>/shadows/<instanceID>/`."""

    def __init__(self, root: Path, instance: InstanceID) -> None:
        self.instance = instance
        self.path = root / instance

    @classmethod
    def all(cls, root: Path) -> list["Folder"]:
        """Return the folders there are, last changed first."""
        found = []
        with suppress(FileNotFoundError), os.scandir(root) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # it goes while we look
                    if entry.is_dir():
                        found.append((entry.stat().st_mtime, entry.name))
        return [cls(root, InstanceID(name)) for _, name in sorted(found, reverse=True)]

    def create(self, spec: dict[str, Any]) -> None:
        """Make it anew, with `spec`; what was there is gone."""
        self.remove()
        make_folder(self.path.parent)
        self.path.mkdir(mode=0o700)
        self._replace("spec.json", json.dumps(spec))

    def remove(self) -> None:
        """Remove it. A supervisor that still works here ends its shadow when it notices."""
        shutil.rmtree(self.path, ignore_errors=True)

    def spec(self) -> dict[str, Any]:
        """Return what the supervisor was told; empty when that is not there."""
        return self._read("spec.json")

    def status(self) -> Status | None:
        """Return what the supervisor last said, or None when it never said anything."""
        raw = self._read("status.json")
        if not raw:
            return None
        same_boot = raw.get("boot") == boot_id()
        return Status(
            state=str(raw.get("state", "")),
            supervisor=_identity(raw, "supervisor") if same_boot else None,
            child=_identity(raw, "child") if same_boot else None,
            ending=str(raw.get("ending", "")),
            exit=raw.get("exit"),
            deadline=float(raw.get("deadline", 0.0)),
            detail=str(raw.get("detail", "")),
            same_boot=same_boot,
        )

    def move_deadline(self, deadline: float) -> None:
        """Leave a new deadline (seconds of boot time) for the supervisor; it looks when it gets SIGUSR1."""
        self._replace("deadline", repr(deadline))

    def close(self, detail: str) -> bool:
        """Record, in the place of a supervisor that was killed, that everything has ended; False: it cannot be."""
        raw = self._read("status.json")
        ending = raw.get("ending", "lost")
        try:
            self._replace("status.json", json.dumps({**raw, "state": "ended", "ending": ending, "detail": detail}))
        except OSError:
            return False
        return True

    def tail(self) -> tuple[str, ...]:
        """Return the last lines of the log."""
        data = b""
        for name in ("log", "log.1"):
            if data.count(b"\n") < LOG_LINES and len(data) < TAIL_BYTES:
                data = self._end_of(name) + data
        return last_lines(data)

    def _end_of(self, name: str) -> bytes:
        try:
            with (self.path / name).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
                return file.read(TAIL_BYTES)
        except OSError:
            return b""

    def _read(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def _replace(self, name: str, text: str) -> None:
        fresh = self.path / f"{name}.manager"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(self.path / name)


def condition(folder: Folder, status: Status | None) -> Condition:
    """Say what a status means, without looking at the processes."""
    if status is None:
        return Condition(Life.UNKNOWN)
    if status.exit is None and not status.over:
        return Condition(Life.ALIVE, log=folder.tail())
    ending = Ending(status.ending) if status.ending in set(Ending) else Ending.OWN
    code = status.exit
    if code is not None and code < 0:
        return Condition(Life.EXITED, ending, signal=-code, detail=status.detail, log=folder.tail())
    return Condition(Life.EXITED, ending, exit_code=code, detail=status.detail, log=folder.tail())


def _identity(raw: dict[str, Any], name: str) -> Identity | None:
    pid, start = raw.get(name), raw.get(f"{name}_start")
    return Identity(pid, start) if isinstance(pid, int) and isinstance(start, int) else None
