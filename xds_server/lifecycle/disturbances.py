"""Faults that are done to an instance itself: pause, kill, lower limits. What is in force there follows the fault rows.

Guarantees: the row is on disk before anything is done, and goes from there when it is lifted; so whatever is done is
lifted, also by the next manager. An instance that ends takes all of it along.
Not guaranteed: that a lift succeeds at once; `Faults` tries again.
"""

from collections.abc import Iterable
from datetime import datetime

from xds_server.errors import InvalidError, UnavailableError
from xds_server.lifecycle.clock import Clock
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.model.ids import InstanceID
from xds_server.model.profile import Fault
from xds_server.model.shadow import ShadowInstance
from xds_server.runtime.base import CALM, Disturbance, Disturbing, Runtime
from xds_server.runtime.fleet import Fleet, kind_of


class Disturbances:
    """See the module.

    Args:
        fleet: the runtimes.
        clock: says when it was lifted.
    """

    def __init__(self, *, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock

    def check(self, record: NetworkRecord, instance: ShadowInstance) -> None:
        """Refuse what a runtime cannot do.

        Raises:
            InvalidError: it is for containers, and this is none.
        """
        self._disturbing(record, instance)

    async def settle(self, record: NetworkRecord, target: InstanceID, *, anew: bool = False) -> None:
        """Do to an instance what its faults say, and lift what they say no more.

        Args:
            record: its network.
            target: the instance.
            anew: also when that is what is done already, as far as is known: the runtime may not know.

        Raises:
            InvalidError: it cannot be.
            RuntimeFailedError: it cannot be done to it now.
            UnavailableError: its node does not answer. It may have been done: it counts as done, for whoever lifts it.
        """
        instance = record.instances[target]
        before = record.disturbed.get(target, CALM)
        after = CALM if instance.ended else together(record.faults_of(target))
        if instance.ended or not instance.handle or (before == after and not anew):
            return
        spec = record.spec_of(instance)
        runtime = self._disturbing(record, instance)
        try:
            await runtime.disturb(instance.handle, spec, before=before, after=after)
        except UnavailableError:
            if before == CALM:
                record.disturbed[target] = after  # it may have been done all the same
            raise
        if after == CALM:
            record.disturbed.pop(target, None)
            record.calm_since[target] = self._clock.now()
        else:
            record.disturbed[target] = after

    def _disturbing(self, record: NetworkRecord, instance: ShadowInstance) -> Disturbing:
        spec = record.spec_of(instance)
        runtime: Runtime | Disturbing = self._fleet.of(instance.node, spec)
        if not isinstance(runtime, Disturbing):
            raise InvalidError(
                f"pause, kill and stress are for containers, and this is of the kind {kind_of(spec)}",
                field="faultInjectionParameters",
                hint="delay, abort or responseRateLimit; or a docker variant",
            )
        return runtime


def together(faults: Iterable[Fault]) -> Disturbance:
    """Return what several faults do to their instance."""
    wanted = [fault for fault in faults if fault.parameters.on_instance]
    stress = [fault.parameters.stress for fault in wanted if fault.parameters.stress is not None]
    pauses = [fault.expires_at for fault in wanted if fault.parameters.pause]
    return Disturbance(
        paused=bool(pauses),
        pause_ends=_last(pauses),
        down=any(fault.parameters.kill for fault in wanted),
        cpus=min((one.cpus for one in stress if one.cpus is not None), default=None),
        memory=min((one.memory for one in stress if one.memory is not None), default=None),
    )


def _last(ends: Iterable[datetime | None]) -> datetime | None:
    """Return the last moment; None when one of them has no end."""
    known = list(ends)
    return None if None in known else max((end for end in known if end is not None), default=None)
