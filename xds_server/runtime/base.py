"""What a runtime is: the one seam between the life of a shadow and whatever runs it.

Guarantees that each runtime gives: `start` leaves either a running instance and its handle or nothing; `stop` may be
called at any time, any number of times, also after a restart of the manager; a handle is a flat dictionary of strings
that finds the instance again after that restart and never finds another one; nothing outlives its deadline by more
than the time it takes to stop, even if the manager never comes back (where the runtime can promise that).
Not guaranteed: that an instance is ready when `start` returns, or that it stays alive: `ready` and `wait` tell.

A new backend (Docker, Kubernetes) is one file with one class of this Protocol and a line in `factory.py`.
"""

import signal as signals
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar, runtime_checkable

from xds_server.errors import InvalidError
from xds_server.model.ids import InstanceID
from xds_server.model.network import Address
from xds_server.model.profile import VariantSpec

LOG_LINES = 20
"""Lines of a shadow's log that are kept in its status."""
LOG_LINE_LIMIT = 300
"""Characters kept of each of them."""


SpecT = TypeVar("SpecT", bound=VariantSpec)


@dataclass(frozen=True, slots=True)
class Started:
    """An instance that was started: where it will answer, and what finds it again (kept in `ShadowInstance.handle`)."""

    address: Address
    handle: dict[str, str]


class Life(StrEnum):
    """Whether an instance lives."""

    ALIVE = "alive"
    EXITED = "exited"
    UNKNOWN = "unknown"
    """There is no trace of it: never started, or swept."""


class Ending(StrEnum):
    """Who or what ended an instance."""

    OWN = "own"
    """It exited, or was killed by somebody who is not us."""
    STOPPED = "stopped"
    """`stop` or `sweep`."""
    DEADLINE = "deadline"
    """Its time was over."""
    LOST = "lost"
    """It vanished with no record of how: its supervisor was killed, or the machine was restarted."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How an instance is. `ending` and what follows it are set only when EXITED.

    `exit_code` and `signal` are exclusive; both are None when it is not known how it ended. `log` holds the last
    lines of its output, oldest first, cut, without control characters.
    """

    life: Life
    ending: Ending | None = None
    exit_code: int | None = None
    signal: int | None = None
    detail: str = ""
    log: tuple[str, ...] = ()

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self.life is Life.ALIVE

    @property
    def failed(self) -> bool:
        """True when it ended and nobody wanted it to: such an instance is `Failed`, not `Stopped`."""
        return self.life is Life.UNKNOWN or self.ending in {Ending.OWN, Ending.LOST}

    def describe(self) -> str:
        """Say in a few words how it is, fit for `ShadowInstance.reason`."""
        if self.life is not Life.EXITED:
            return self.detail or {Life.ALIVE: "running", Life.UNKNOWN: "not found"}[self.life]
        if self.ending is Ending.DEADLINE:
            return "its time to live was over"
        if self.ending is Ending.STOPPED:
            return "stopped"
        if self.signal is not None:
            return f"killed by {_signal_name(self.signal)}" + (f": {self.detail}" if self.detail else "")
        if self.exit_code is not None:
            return f"exited with code {self.exit_code}" + (f": {self.detail}" if self.detail else "")
        return self.detail or "ended"


@dataclass(frozen=True, slots=True)
class Denied:
    """What an instance wanted to connect to and may not: `host:port`, `tcp` or `udp`, and how often it tried."""

    destination: str
    protocol: str
    count: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What an instance used: CPU seconds since its start (never falls), resident bytes now, over all its processes.

    The rest is None where a runtime cannot tell it.
    """

    cpu_seconds: float
    rss_bytes: int
    received_bytes: int | None = None
    """Over the network, since its start."""
    sent_bytes: int | None = None
    throttled_seconds: float | None = None
    """Time that it waited for its CPU limit, since its start."""
    cpu_limit: float | None = None
    """Processors that it may use now."""
    memory_limit: int | None = None
    """Bytes that it may use now."""
    restarts: int | None = None
    oom_kills: int | None = None
    """Processes of it that were killed because it was at its memory limit."""
    denied: tuple[Denied, ...] | None = None
    """Connections that its egress does not allow."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What faults do to an instance at one moment; by default nothing.

    `paused`: its processes stand still, until `pause_ends` (aware; None: until it is lifted) even without a manager.
    `down`: it is killed, and not started. `cpus` and `memory` (bytes) are its limits; None: those of its variant.
    """

    paused: bool = False
    pause_ends: datetime | None = None
    down: bool = False
    cpus: float | None = None
    memory: int | None = None


CALM = Disturbance()
"""Nothing is done to it."""


class Runtime(Protocol):
    """One way of running shadows. All errors are of `xds_server.errors`."""

    kind: str
    """Name of the variant's field that chooses it: `process`, `endpoint`, ..."""

    def check(self, spec: VariantSpec) -> None:
        """Refuse what can be known to be wrong before anything is started.

        Raises:
            InvalidError: naming the field below the variant (`process.command`) and what would be right.
        """
        ...

    async def start(self, instance_id: InstanceID, spec: VariantSpec, *, deadline: datetime) -> Started:
        """Start an instance; return when it is spawned, not when it is ready.

        Args:
            instance_id: its id; at most one instance of an id runs.
            spec: what to run; checked anew.
            deadline: when it is ended at the latest (aware).

        Raises:
            InvalidError: as `check`.
            UnavailableError: no port, no room.
            RuntimeFailedError: it could not be started; nothing is left behind.
        """
        ...

    async def ready(self, started: Started, spec: VariantSpec) -> None:
        """Wait until it answers as `spec.readiness` says. It keeps running when this raises: `stop` it.

        Raises:
            RuntimeFailedError: it exited, or did not answer in time; with its last log lines.
        """
        ...

    async def inspect(self, handle: Mapping[str, str]) -> Condition:
        """Tell how it is now. Never raises for an instance that is gone."""
        ...

    async def wait(self, handle: Mapping[str, str]) -> Condition:
        """Return when it has ended; cancel to stop waiting.

        For what runs on this machine that is well under a second later.
        """
        ...

    async def adopt(self, handle: Mapping[str, str]) -> Condition:
        """Take an instance of an earlier manager over: as `inspect`, and what it holds (its port) is held again."""
        ...

    async def stop(self, handle: Mapping[str, str], spec: VariantSpec) -> None:
        """End it with all that it started, politely, then not; return when it is gone. Idempotent."""
        ...

    async def usage(self, handle: Mapping[str, str]) -> Usage | None:
        """Return what it used, or None when that cannot be known."""
        ...

    async def extend(self, handle: Mapping[str, str], deadline: datetime) -> None:
        """Move the deadline, either way.

        Raises:
            RuntimeFailedError: it has ended.
        """
        ...

    async def sweep(self, known: Collection[InstanceID]) -> list[InstanceID]:
        """End every instance of ours that is not in `known`; return those that were ended.

        An instance whose handle was never recorded (the manager died in `start`) must not be in `known`.
        """
        ...


@runtime_checkable
class Preparing(Protocol):
    """What a runtime has beside `Runtime` when a start may take minutes before anything runs: an image is pulled."""

    def preparing(self, instance_id: InstanceID) -> str:
        """Say what the start of an instance is at, and how far; empty when there is nothing to say."""
        ...

    def give_up(self, instance_id: InstanceID) -> None:
        """Have the start of an instance raise soon (RuntimeFailedError), if nothing of it runs yet."""
        ...


@runtime_checkable
class Disturbing(Protocol):
    """What a runtime has beside `Runtime` when faults can be done to its instances themselves."""

    async def disturb(
        self, handle: Mapping[str, str], spec: VariantSpec, *, before: Disturbance, after: Disturbance
    ) -> None:
        """Do to an instance what faults say now, and lift what they say no more. Idempotent.

        While it is `down` it counts as alive: `inspect` and `wait` say so.

        Args:
            handle: its handle.
            spec: what it runs.
            before: what is done to it, as far as is known.
            after: what is to be.

        Raises:
            InvalidError: it is no less than what the variant says.
            RuntimeFailedError: it cannot be done to this instance now.
            UnavailableError: whoever would do it does not answer; it may have been done all the same, so lift it.
        """
        ...


def expect(spec: VariantSpec, wanted: type[SpecT]) -> SpecT:
    """Return `spec`, which must be of the runtime's own class.

    Raises:
        InvalidError: it is for another runtime.
    """
    if not isinstance(spec, wanted):
        raise InvalidError(f"a {type(spec).__name__} was given", hint=f"this runtime takes {wanted.__name__}")
    return spec


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"
