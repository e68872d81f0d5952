"""Shadows that are containers, each beside its guard (guard.py).

Guarantees: as `Runtime`; all that a restart needs is in the handle and in the containers' labels, so that orphans of
this manager are found (and those of another one on the same engine are left alone). A container ends at its deadline
whether there is a manager, or an engine, or not. While the engine does not answer, an instance is what its port says.
Not guaranteed: that an end is known at once; it is within `POLL`, and a second more.
"""

import asyncio
import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import docker
from docker.errors import APIError, NotFound

from xds_server.errors import InvalidError, RuntimeFailedError, ShadowmeshError, UnavailableError
from xds_server.model.ids import InstanceID
from xds_server.model.network import Address
from xds_server.model.profile import DockerSpec, VariantSpec
from xds_server.model.quantity import format_bytes
from xds_server.runtime.base import LOG_LINES, Condition, Denied, Disturbance, Ending, Life, Started, Usage, expect
from xds_server.runtime.command import check_readiness
from xds_server.runtime.docker import container, egress, guard, images, refusals, stats, users
from xds_server.runtime.docker.engine import Engine, reason_of
from xds_server.runtime.docker.guard_image import guard_image
from xds_server.runtime.docker.launch import Launch, address
from xds_server.runtime.docker.oom_kills import OomKills
from xds_server.runtime.docker.pulling import STALL, Pulling
from xds_server.runtime.log_lines import last_lines
from xds_server.runtime.probe import problem, until_ready

MANAGER, INSTANCE, ROLE = "io.shadowmesh.manager", "io.shadowmesh.instance", "io.shadowmesh.role"
"""Labels of what is ours."""
POLL = 0.5
"""Seconds between two looks at the containers of an engine, while an end is waited for."""
MISSES = 3
"""Looks in a row at which neither the engine nor the shadow answered, after which it counts as ended."""
DENIED_EVERY = 3.0
"""Seconds between two looks at what egress denied, of each instance."""
START = 60.0
"""Seconds to make and start the two containers."""
REMOVAL = 5.0
"""Seconds for a removal that another call has begun."""
_GONE = 404
_BUSY = 409


class DockerRuntime:
    """Runs `docker` variants on one engine.

    Args:
        engine: where.
        manager: gives the id of this manager, which tells its containers from those of others.
        now: wall clock (aware); deadlines are measured from it once, at `start` and `extend`.
        clock: monotonic seconds.
        stall: seconds that a pull may stand still.
    """

    kind = "docker"

    def __init__(
        self,
        engine: Engine,
        *,
        manager: Callable[[], str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
        stall: float = STALL,
    ) -> None:
        self._engine = engine
        self._stall = stall
        self._manager = manager
        self._now = now
        self._clock = clock
        self._starting: dict[InstanceID, Pulling] = {}
        self._running = _Running(self, clock=clock)
        self._denied: dict[str, tuple[float, tuple[Denied, ...]]] = {}
        self._restarts: Counter[str] = Counter()
        self._down: set[str] = set()
        """Containers that a fault holds down."""
        self._paused: set[str] = set()
        self._kills = OomKills(engine, label=lambda: f"{MANAGER}={manager()}", clock=clock)

    def check(self, spec: VariantSpec) -> None:
        """See `Runtime.check`. Whether there is such an image is not looked at."""
        own = expect(spec, DockerSpec)
        check_readiness(own.readiness, kind="docker")
        users.check(own)
        container.check_capabilities(own)
        for name, value in own.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise InvalidError(f"{name!r} cannot be set", field="docker.env", hint="a name without = and NUL")

    async def start(self, instance_id: InstanceID, spec: VariantSpec, *, deadline: datetime) -> Started:
        """See `Runtime.start`. Images are pulled when the variant says so, which may take minutes."""
        own = expect(spec, DockerSpec)
        self.check(own)
        if instance_id in self._starting:
            raise RuntimeFailedError(f"instance {instance_id} is being started already")
        self._starting[instance_id] = pulling = Pulling(clock=self._clock, stall=self._stall)
        try:
            image = await images.ensure(self._engine, own, pulling)
            tag = (await asyncio.to_thread(guard_image))[0]
            await images.ensure_guard(self._engine, tag)
            rules = await egress.look_up(own.egress)
            await self._remove(instance_id)
            try:
                return await self._launch(instance_id, own, image, rules=rules, tag=tag, deadline=deadline)
            except BaseException:  # also when cancelled: nothing half-started may stay
                with suppress(ShadowmeshError):
                    await asyncio.shield(self._remove(instance_id))
                raise
        finally:
            self._starting.pop(instance_id, None)

    def preparing(self, instance_id: InstanceID) -> str:
        """See `Preparing.preparing`."""
        pulling = self._starting.get(instance_id)
        return pulling.describe() if pulling else ""

    def give_up(self, instance_id: InstanceID) -> None:
        """See `Preparing.give_up`."""
        if pulling := self._starting.get(instance_id):
            pulling.give_up()

    async def _launch(
        self,
        instance: InstanceID,
        spec: DockerSpec,
        image: Mapping[str, Any],
        *,
        rules: egress.Rules,
        tag: str,
        deadline: datetime,
    ) -> Started:
        host = self._engine.host
        launch = Launch(
            instance=instance,
            spec=spec,
            image=image,
            rules=rules,
            tag=tag,
            deadline=deadline,
            labels={MANAGER: self._manager(), INSTANCE: instance},
            role=ROLE,
            publish=_bindable(host.address) if host.address else "",
            now=self._now,
        )
        try:
            shadow, owner, network, guarded = await self._engine.call(launch.run, timeout=START)
        except APIError as error:
            if not launch.has_guard:
                raise refusals.no_guard(error, self._engine.node) from error
            raise refusals.refused(error, spec, self._engine.node) from error
        except BaseException:  # its thread may be at it still
            await asyncio.shield(asyncio.to_thread(launch.give_up))
            raise
        found = address(network, spec.port, reached_at=host.address)
        handle = {
            "runtime": self.kind,
            "instance": instance,
            "container": shadow,
            "guard": owner,
            "address": found.address,
            "port": str(found.port),
            "memory": str(spec.memory),
            "guarded": "yes" if guarded else "",
        }
        return Started(found, handle)

    async def ready(self, started: Started, spec: VariantSpec) -> None:
        """See `Runtime.ready`."""
        own = expect(spec, DockerSpec)
        ended = asyncio.create_task(self.wait(started.handle), name="shadow-ended")
        probe = asyncio.create_task(until_ready(started.address, own.readiness), name="shadow-ready")
        try:
            await asyncio.wait({ended, probe}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done() and probe.exception() is not None:
                # An end that is only just not known yet says more than a port that does not answer.
                await asyncio.wait({ended}, timeout=2 * POLL)
            if ended.done():
                raise refusals.ended_early(ended.result(), own)
            if error := probe.exception():
                raise await self._not_ready(started, own, str(error)) from error
        finally:
            for task in (ended, probe):
                task.cancel()
            await asyncio.gather(ended, probe, return_exceptions=True)

    async def inspect(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.inspect`.

        Raises:
            UnavailableError: the engine does not answer.
        """
        if not handle.get("container"):
            return Condition(Life.UNKNOWN)
        down = handle["container"] in self._down

        def work(client: docker.APIClient) -> Condition:
            try:
                shadow = client.inspect_container(handle["container"])
            except NotFound:
                return Condition(Life.UNKNOWN, detail="its container was removed")
            try:
                owner = client.inspect_container(handle["guard"])["State"]
            except NotFound:
                owner = None
            if down and owner is not None and owner["Running"]:
                return Condition(Life.ALIVE, detail="a fault holds it down")
            try:
                written = client.logs(handle["container"], tail=LOG_LINES, stdout=True, stderr=True)
            except APIError:  # it is being removed; or its log cannot be read, which is no reason to know nothing
                written = b""
            memory = int(handle.get("memory") or 0)
            return container.condition(shadow["State"], owner, memory=memory, log=last_lines(written))

        try:
            return await self._engine.call(work)
        except APIError as error:
            raise UnavailableError(f"the engine does not tell how it is: {reason_of(error)}") from error

    async def wait(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.wait`. An engine that is away is no end, as long as the shadow itself answers."""
        misses = 0
        while True:
            try:
                if await self._running.lacks(handle.get("container", "")):
                    now = await self.inspect(handle)
                    if not now.alive:
                        return now
                misses = 0
            except UnavailableError as error:
                why = await problem(Address(handle.get("address", ""), int(handle.get("port", 0))))
                misses = misses + 1 if why else 0
                if misses >= MISSES:
                    return Condition(Life.EXITED, Ending.LOST, detail=f"{error.detail}; nor does the shadow: {why}")
            await asyncio.sleep(POLL)

    async def adopt(self, handle: Mapping[str, str]) -> Condition:
        """See `Runtime.adopt`."""
        return await self.inspect(handle)

    async def stop(self, handle: Mapping[str, str], spec: VariantSpec) -> None:
        """See `Runtime.stop`. Raises: UnavailableError (the engine does not answer)."""
        patience = expect(spec, DockerSpec).stop_timeout
        shadow = handle.get("container", "")

        def work(client: docker.APIClient) -> None:
            if shadow in self._paused:  # else it would not get the signal
                with suppress(RuntimeFailedError, APIError):
                    guard.resume(client, handle["guard"], shadow)
            with suppress(NotFound):
                client.stop(shadow, timeout=max(0, round(patience)))

        if shadow:
            with suppress(APIError):  # the removal says what is wrong
                await self._engine.call(work, timeout=patience + 15.0)
        await self._remove(InstanceID(handle["instance"]))
        self._denied.pop(shadow, None)
        self._restarts.pop(shadow, None)
        self._down.discard(shadow)
        self._paused.discard(shadow)

    async def usage(self, handle: Mapping[str, str]) -> Usage | None:
        """See `Runtime.usage`."""
        shadow, owner = handle.get("container", ""), handle.get("guard", "")
        if not shadow or self._engine.away:
            return None

        def work(client: docker.APIClient) -> Usage | None:
            return stats.usage(
                client.stats(shadow, stream=False, one_shot=True), client.stats(owner, stream=False, one_shot=True)
            )

        try:
            found = await self._engine.call(work)
            denied = await self._denials(handle)
        except (UnavailableError, APIError):
            return None
        if found is None:
            return None
        return replace(found, denied=denied, restarts=self._restarts[shadow], oom_kills=await self._kills.of(shadow))

    async def extend(self, handle: Mapping[str, str], deadline: datetime) -> None:
        """See `Runtime.extend`."""
        seconds = (deadline - self._now()).total_seconds()
        try:
            await self._engine.call(lambda client: guard.extend(client, handle["guard"], seconds))
        except APIError as error:
            raise RuntimeFailedError(f"the deadline could not be moved: {reason_of(error)}") from error

    async def disturb(
        self, handle: Mapping[str, str], spec: VariantSpec, *, before: Disturbance, after: Disturbance
    ) -> None:
        """See `Disturbing.disturb`."""
        own = expect(spec, DockerSpec)
        _check_stress(own, after)
        shadow = handle["container"]
        lasts = None if after.pause_ends is None else (after.pause_ends - self._now()).total_seconds()
        change = _Change(before, after, lasts)

        if after.down:  # its end is no news
            self._down.add(shadow)
        if after.paused:
            self._paused.add(shadow)
        try:
            await self._engine.call(lambda client: _disturb(client, handle, own, change), timeout=30.0)
        except (APIError, RuntimeFailedError) as error:  # not where it does not answer: it may be done all the same
            if not before.down:
                self._down.discard(shadow)
            if not isinstance(error, APIError):
                raise
            said = f"the engine will not: {reason_of(error)}"
            raise RuntimeFailedError(said, field="faultInjectionParameters") from error
        if not after.down:
            self._down.discard(shadow)
            self._restarts[shadow] += before.down
        if not after.paused:
            self._paused.discard(shadow)

    async def sweep(self, known: Collection[InstanceID]) -> list[InstanceID]:
        """See `Runtime.sweep`. Raises: UnavailableError (the engine does not answer)."""
        mine = await self._engine.call(lambda client: _ours(client, self._manager()))
        found = {InstanceID(one["Labels"].get(INSTANCE, "")) for one in mine}
        orphans = sorted(found - set(known) - self._starting.keys())
        for instance in orphans:
            await self._remove(instance)
        return orphans

    def listed(self, client: docker.APIClient) -> set[str]:
        """Return the ids of our containers that run. Raises: APIError."""
        return {one["Id"] for one in _ours(client, self._manager(), all=False)}

    async def look(self) -> set[str]:
        """Return the ids of our containers that run. Raises: UnavailableError."""
        try:
            return await self._engine.call(self.listed)
        except APIError as error:
            raise UnavailableError(f"the engine does not list its containers: {reason_of(error)}") from error

    async def _denials(self, handle: Mapping[str, str]) -> tuple[Denied, ...] | None:
        if not handle.get("guarded"):
            return None
        shadow = handle["container"]
        at, found = self._denied.get(shadow, (float("-inf"), ()))
        if self._clock() - at >= DENIED_EVERY:
            with suppress(RuntimeFailedError):
                found = await self._engine.call(lambda client: guard.denied(client, handle["guard"]))
            self._denied[shadow] = self._clock(), found
        return found

    async def _remove(self, instance: InstanceID) -> None:
        """Remove shadow and guard of an instance, whatever is there of them."""

        def work(client: docker.APIClient) -> None:
            for one in _ours(client, self._manager(), instance=instance):
                try:
                    client.remove_container(one["Id"], force=True, v=True)
                except APIError as error:
                    if error.status_code not in {_GONE, _BUSY}:
                        raise
            end = time.monotonic() + REMOVAL
            while left := _ours(client, self._manager(), instance=instance):  # somebody else removes it, too
                if time.monotonic() < end:
                    time.sleep(0.05)
                    continue
                raise UnavailableError(f"{len(left)} containers of instance {instance} are still being removed")

        try:
            await self._engine.call(work, timeout=30.0)
        except APIError as error:
            raise UnavailableError(f"its containers could not be removed: {reason_of(error)}") from error

    async def _not_ready(self, started: Started, spec: DockerSpec, why: str) -> RuntimeFailedError:
        """Make the error of a shadow that runs and does not answer; say where it listens instead, if it does."""
        hint = ""
        log: tuple[str, ...] = ()
        with suppress(ShadowmeshError, APIError):
            found = await self._engine.call(lambda client: guard.listening(client, started.handle["guard"]))
            if elsewhere := [place for place in found if not place.endswith(f":{spec.port}")]:
                hint = f"it listens on {', '.join(elsewhere[:3])}: is docker.port right?"
            elif inside := [place for place in found if ipaddress.ip_address(_host(place)).is_loopback]:
                hint = f"it listens on {inside[0]} alone: it must listen on all addresses (0.0.0.0)"
            log = (await self.inspect(started.handle)).log
        at = f"{started.address.address}:{started.address.port}"
        return RuntimeFailedError(
            f"not ready on {at} after {spec.readiness.timeout:g} s: {why}",
            field="docker.readiness",
            hint=hint or "it must listen on docker.port, or needs a longer readiness timeout, or more cpus",
            log=log,
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """`lasts` is the length of a pause in seconds; None: until it is lifted."""

    before: Disturbance
    after: Disturbance
    lasts: float | None


def _disturb(client: docker.APIClient, handle: Mapping[str, str], spec: DockerSpec, change: _Change) -> None:
    """Make it what is wanted. Raises: APIError, RuntimeFailedError."""
    before, after = change.before, change.after
    shadow, owner = handle["container"], handle["guard"]
    pause = after.paused and not after.down
    if before.paused and not pause:
        guard.resume(client, owner, shadow)
    if (after.cpus, after.memory) != (before.cpus, before.memory):
        client.update_container(shadow, **container.limits(after.cpus or spec.cpus, after.memory or spec.memory))
    if after.down and not before.down:
        with suppress(APIError):  # it does not run
            client.kill(shadow)
    if before.down and not after.down:
        if handle.get("guarded"):
            guard.denied(client, owner)  # whoever restarted the guard by hand took the rules away
        client.start(shadow)
    if pause:
        guard.pause(client, owner, shadow, change.lasts)


def _check_stress(spec: DockerSpec, after: Disturbance) -> None:
    at = "faultInjectionParameters.stress"
    if after.cpus is not None and after.cpus >= spec.cpus:
        hint = f"below {spec.cpus:g}, which it has"
        raise InvalidError(f"{after.cpus:g} processors are no less", field=f"{at}.cpus", hint=hint)
    if after.memory is not None and after.memory >= spec.memory:
        hint = f"below {format_bytes(spec.memory)}, which it has"
        raise InvalidError(f"{format_bytes(after.memory)} is no less", field=f"{at}.memory", hint=hint)


class _Running:
    """The ids of our running containers, looked up at most once a `POLL` for all that wait."""

    def __init__(self, runtime: DockerRuntime, *, clock: Callable[[], float]) -> None:
        self._runtime = runtime
        self._clock = clock
        self._ids: set[str] = set()
        self._at = float("-inf")
        self._lock = asyncio.Lock()

    async def lacks(self, container_id: str) -> bool:
        """Tell whether a container is not among those that run. Raises: UnavailableError."""
        asked = self._clock()
        async with self._lock:
            if self._at < asked - POLL / 2:
                started = self._clock()
                self._ids = await self._runtime.look()
                self._at = started
        return container_id not in self._ids


def _ours(
    client: docker.APIClient,
    manager: str,
    *,
    instance: str = "",
    all: bool = True,  # noqa: A002 - Docker's own word
) -> list[dict[str, Any]]:
    labels = [f"{MANAGER}={manager}", *([f"{INSTANCE}={instance}"] if instance else [])]
    return list(client.containers(all=all, filters={"label": labels}))


def _bindable(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:  # a name is for others; here it is every address of the node
        return "0.0.0.0"  # noqa: S104 - a port has to be published somewhere


def _host(place: str) -> str:
    return place.rpartition(":")[0].strip("[]")
