"""The supervisor of one process shadow: holds its deadline, its log and its exit status, and ends all that it started.

Run by path, with the standard library alone, so that it starts in 20 ms and takes 10 MB:
`python -I -S supervisor.py FOLDER`. It detaches itself; the command returns when the shadow was spawned, or says on
standard error why it was not. The manager may die at any moment, and finds all it must know in FOLDER:

- `spec.json` (from the manager): command, env, cwd, port, stop_timeout, deadline, log_limit.
- `deadline` (from the manager): a moved deadline; SIGUSR1 says that it is there. Deadlines are seconds of
  CLOCK_BOOTTIME, which no change of the wall clock touches and which goes on while the machine sleeps.
- `status.json` (from here, replaced atomically): pids, each with its start time, so that a reused pid is never taken
  for the same process; `state` is starting, running, ending, ended.
- `log`, `log.1`: what the shadow wrote, `log_limit` bytes in all; the oldest goes first.

Guarantees: TERM, the deadline, the end of the shadow itself or a vanished FOLDER end the whole tree, also what has
daemonised (this process is its subreaper): TERM to all, KILL after `stop_timeout`. If this process is killed, the
kernel kills the shadow (PDEATHSIG). The shadow inherits no descriptor; it is first in line when memory is short.
Not guaranteed: that grandchildren die with a killed supervisor at once; the manager ends those, by their environment.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
LOOK = 10.0
"""Seconds after which the folder and the clock are looked at, even if nothing happens."""
KILL_TIMEOUT = 10.0
"""Seconds that killed processes are waited for (one in an uninterruptible sleep cannot be ended by anybody)."""
CHUNK = 65536
SPARES, SPARE = 3, 4096
"""Files that keep room for the status on a full disk, and their size in bytes."""
OOM_SCORE = 500
SPAWN_FAILED = 127


def boottime() -> float:
    """Return seconds since the machine was started, those of its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Return what tells this start of the machine from all others."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from `state` (field 3) on, or None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text[text.rfind(")") + 2 :].split() or None


def start_time(pid: int) -> int | None:
    """Return when a process was started (clock ticks since boot), or None when it is gone or a zombie."""
    fields = stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def all_pids() -> list[int]:
    """Return the ids of all processes that we can see."""
    with os.scandir("/proc") as entries:
        return [int(entry.name) for entry in entries if entry.name.isdecimal()]


def descendants(root: int) -> dict[int, int]:
    """Return the living processes below `root`, each with its process group."""
    parents: dict[int, list[int]] = {}
    groups: dict[int, int] = {}
    for pid in all_pids():
        if (fields := stat_fields(pid)) is not None:
            parents.setdefault(int(fields[1]), []).append(pid)
            if fields[0] not in "ZX":
                groups[pid] = int(fields[2])
    found, todo = {}, [root]
    while todo:
        for child in parents.get(todo.pop(), ()):
            todo.append(child)
            if child in groups:
                found[child] = groups[child]
    return found


class Log:
    """A log of two files of at most half of `limit` bytes each. A full disk loses lines and holds nothing up."""

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit = path, limit // 2
        self._file, self._size = -1, 0
        self._open()

    def write(self, data: bytes) -> None:
        """Append, starting a new file when this one is full."""
        if self._size + len(data) > self._limit:
            self._rotate()
        with suppress(OSError):
            self._size += os.write(self._file, data[-self._limit :])

    def _rotate(self) -> None:
        with suppress(OSError):
            self._path.replace(self._path.with_name("log.1"))
        self._open()

    def _open(self) -> None:
        before = self._file
        try:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError:
            if before < 0:
                raise
            return  # the disk is full: a log is no reason to end, it goes on in the old file
        if before >= 0:
            os.close(before)
        self._size = 0


class Supervisor:
    """One shadow, from its start to the end of the last process of its tree."""

    def __init__(self, folder: Path, spec: dict[str, Any]) -> None:
        self._folder, self._spec = folder, spec
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._child = 0
        self._children_left = False
        self._deadline = float(spec["deadline"])
        self._stop = False
        self._status: dict[str, Any] = {
            "boot": boot_id(),
            "supervisor": os.getpid(),
            "supervisor_start": start_time(os.getpid()),
            "state": "starting",
            "deadline": self._deadline,
            "started": time.time(),
        }
        self._wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._out, self._in = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._out, False)
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
            signal.signal(number, self._note)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._poll.register(self._out, select.POLLIN)
        self._libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._libc.prctl(PR_SET_NAME, b"shadowmesh-sup", 0, 0, 0)

    def run(self) -> int:
        """Spawn the shadow, watch it, end its tree. Returns the exit code of the supervisor."""
        self._write_status()
        self._spare()
        self._log = Log(self._folder / "log", self._spec["log_limit"])
        if error := self._spawn():
            self._write_status(state="ended", ending="spawn", detail=error, ended=time.time())
            sys.stderr.write(error)
            return 1
        started = int((stat_fields(self._child) or ["0"] * 20)[19])  # it is not reaped yet, so it is there
        self._write_status(state="running", child=self._child, child_start=started)
        null = os.open("/dev/null", os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)  # closes the launcher's pipe: this is what the manager waits for
        os.close(null)
        ending = self._watch()
        self._write_status(state="ending", ending=self._status.get("ending", ending))
        self._end_tree()
        self._drain()
        self._write_status(state="ended", ended=time.time())
        for spare in self._folder.glob("spare.*"):
            with suppress(OSError):
                spare.unlink()
        return 0

    def _spawn(self) -> str:
        """Start the shadow. Returns what went wrong, or nothing."""
        errors, report = os.pipe2(os.O_CLOEXEC)
        everything = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self._child = os.fork()
        if self._child == 0:
            self._become(report)
        signal.pthread_sigmask(signal.SIG_SETMASK, everything)
        os.close(report)
        os.close(self._in)
        self._children_left = True
        with open(errors, "rb") as pipe:  # noqa: PTH123 -- a descriptor, not a path
            return pipe.read().decode()

    def _become(self, report: int) -> NoReturn:
        """In the forked child: turn into the shadow."""
        try:
            supervisor = self._status["supervisor"]
            self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != supervisor:
                os._exit(SPAWN_FAILED)
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                with suppress(OSError, ValueError):
                    signal.signal(number, signal.SIG_DFL)
            os.umask(0o022)
            with suppress(OSError):  # a shadow must never cost the original its memory
                Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")
            with suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            null = os.open("/dev/null", os.O_RDONLY)
            for ours, standard in ((null, 0), (self._in, 1), (self._in, 2)):
                os.dup2(ours, standard)
            os.chdir(self._spec["cwd"])
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execvpe(self._spec["command"][0], self._spec["command"], self._spec["env"])  # noqa: S606 -- its purpose
        except BaseException as error:  # noqa: BLE001 -- nothing may escape into the supervisor's code below
            text = error.strerror if isinstance(error, OSError) else repr(error)
            name = error.filename if isinstance(error, OSError) and error.filename else self._spec["command"][0]
            os.write(report, f"{name}: {text}".encode())
        os._exit(SPAWN_FAILED)

    def _watch(self) -> str:
        """Copy the log until there is a reason to end; return it."""
        while True:
            self._reap()
            if "exit" in self._status:
                return "own"
            if self._stop or not self._folder.is_dir():
                return "stopped"
            self._read_deadline()
            left = self._deadline - boottime()
            if left <= 0:
                return "deadline"
            self._pump(min(left, LOOK))

    def _end_tree(self) -> None:
        self._signal_all(signal.SIGTERM)
        patience = boottime() + float(self._spec["stop_timeout"])
        while self._reap() and (left := patience - boottime()) > 0:
            self._pump(min(left, 1.0))
        patience = boottime() + KILL_TIMEOUT
        while self._reap() and boottime() < patience:
            self._signal_all(signal.SIGKILL)
            self._pump(0.02)

    def _signal_all(self, number: int) -> None:
        """Signal by groups: the kernel lets no fork of a group slip through. All groups below us are ours alone."""
        for group in set(descendants(os.getpid()).values()) - {os.getpgrp()}:
            with suppress(OSError):
                os.killpg(group, number)
                if number == signal.SIGTERM:
                    os.killpg(group, signal.SIGCONT)  # a paused one could not end politely

    def _reap(self) -> bool:
        """Collect who has ended; note the shadow's own end. True while anything of the tree is left."""
        while self._children_left:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children_left = False
                break
            if pid == 0:
                break
            if pid == self._child:
                code = os.waitstatus_to_exitcode(status)
                self._drain()  # before anybody is told that it has ended: the last lines matter most
                asked = self._status.get("ending", "own")
                self._write_status(state="ending", ending=asked, exit=code, exited=time.time())
        return self._children_left

    def _pump(self, seconds: float) -> None:
        for descriptor, _ in self._poll.poll(max(0.0, seconds) * 1000 + 1):
            with suppress(BlockingIOError):
                data = os.read(descriptor, CHUNK)
                if descriptor == self._wake:
                    continue
                if data:
                    self._log.write(data)
                else:
                    self._poll.unregister(descriptor)

    def _drain(self) -> None:
        """Write what is still in the pipe; at most what a pipe holds, whoever goes on writing."""
        with suppress(BlockingIOError):
            for _ in range(32):
                if not (data := os.read(self._out, CHUNK)):
                    return
                self._log.write(data)

    def _read_deadline(self) -> None:
        with suppress(OSError, ValueError):
            self._deadline = float((self._folder / "deadline").read_text(encoding="ascii"))
        if self._deadline != self._status["deadline"]:
            self._write_status(deadline=self._deadline)

    def _write_status(self, **changes: object) -> None:
        self._status.update(changes)
        fresh, path = self._folder / "status.new", self._folder / "status.json"
        for _ in range(2):
            try:
                fresh.write_text(json.dumps(self._status), encoding="utf-8")
                fresh.replace(path)
            except FileNotFoundError:  # the folder was taken away: nobody wants this shadow any more
                self._stop = True
            except OSError:  # the disk is full: how it ended matters more than what it wrote before
                with suppress(OSError):
                    (self._folder / "log.1").unlink()
                continue
            return
        self._write_on_spare(path)

    def _spare(self) -> None:
        """Keep room for the last words, which a full disk would otherwise swallow."""
        with suppress(OSError):
            for number in range(SPARES):
                (self._folder / f"spare.{number}").write_bytes(b" " * SPARE)

    def _write_on_spare(self, path: Path) -> None:
        words = json.dumps(self._status).encode()
        for number in range(SPARES if len(words) <= SPARE else 0):
            with suppress(OSError):
                spare = self._folder / f"spare.{number}"
                with spare.open("r+b") as file:  # in place: blanks after it do no harm
                    file.write(words)
                spare.replace(path)
                return

    def _note(self, number: int, _frame: object) -> None:
        self._stop = self._stop or number == signal.SIGTERM


def main(folder: Path) -> int:
    """Detach, then supervise what `folder` describes."""
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    os.umask(0o077)
    os.chdir("/")
    if os.fork():
        os._exit(0)
    os.setsid()
    return Supervisor(folder, spec).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
