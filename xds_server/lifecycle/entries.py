"""Entries of the audit trail, made of what was and what is.

Guarantees: no secret is in them: of a version they tell the name, never what it runs or its environment. Who did it is
whoever acts at this moment, and why, unless it is said, is the reason that they gave.
Not guaranteed: that the words stay as they are; `kind`, `event` and the fields do.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from xds_server.errors import cut
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.trail import reason_given, who_acts
from xds_server.model.audit import AuditEvent, AuditKind
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import Fault, FaultParameters, ShadowingProfile
from xds_server.model.shadow import InstanceStatus, ShadowInstance

LONGEST = 1_000
"""Characters of a sentence."""

Pairs = Mapping[str, tuple[Any, Any]]


def of_network(
    network: VirtualNetwork, event: str, *, at: datetime, detail: str = "", changes: Pairs | None = None
) -> AuditEvent:
    """Return what is told of a network as a whole."""
    return AuditEvent(
        network_id=network.id,
        network=network.name,
        at=at,
        kind=AuditKind.NETWORK,
        event=event,
        who=who_acts(),
        what=_sentence(network.name, event, detail),
        why=reason_given(),
        changes=changes or {},
    )


def of_profile(
    record: NetworkRecord,
    profile: ShadowingProfile,
    event: str,
    *,
    at: datetime,
    detail: str = "",
    why: str = "",
    kind: AuditKind = AuditKind.PROFILE,
    changes: Pairs | None = None,
) -> AuditEvent:
    """Return what is told of a profile, its rollout, or what its verdict led to."""
    return AuditEvent(
        network_id=record.network.id,
        network=record.network.name,
        at=at,
        kind=kind,
        event=event,
        who=who_acts(),
        what=_sentence(called(profile), event, detail),
        why=cut(why or reason_given(), LONGEST),
        profile_id=profile.id,
        profile=profile.name,
        changes=changes or {},
    )


def of_instance(
    record: NetworkRecord,
    instance: ShadowInstance,
    event: str,
    *,
    at: datetime,
    before: InstanceStatus | None,
    what: str = "",
    why: str = "",
) -> AuditEvent:
    """Return what is told of an instance as it is now."""
    profile = record.profiles.get(instance.profile_id)
    step = f"{before or 'nothing'} -> {instance.status}" if before is not instance.status else str(instance.status)
    return AuditEvent(
        network_id=record.network.id,
        network=record.network.name,
        at=at,
        kind=AuditKind.INSTANCE,
        event=event,
        who=who_acts(),
        what=what or f"{_whose(record, instance)}: {event}: {step}",
        why=cut(why, LONGEST),
        profile_id=instance.profile_id,
        profile=profile.name if profile else "",
        instance_id=instance.id,
        variant=instance.variant,
        before=None if before is None else before.value,
        after=instance.status.value,
    )


def created_instance(
    record: NetworkRecord, profile: ShadowingProfile, instance: ShadowInstance, event: str, *, at: datetime
) -> AuditEvent:
    """Return what is told of an instance that is to be started; its profile may not be on record yet."""
    return AuditEvent(
        network_id=record.network.id,
        network=record.network.name,
        at=at,
        kind=AuditKind.INSTANCE,
        event=event,
        who=who_acts(),
        what=f"{instance.variant} of {called(profile)} is to be started on node {instance.node}",
        profile_id=profile.id,
        profile=profile.name,
        instance_id=instance.id,
        variant=instance.variant,
        after=instance.status.value,
    )


def of_fault(record: NetworkRecord, fault: Fault, event: str, *, at: datetime, why: str = "") -> AuditEvent:
    """Return what is told of a fault."""
    instance = record.instances.get(fault.instance_id)
    profile = record.profiles.get(instance.profile_id) if instance else None
    where = _whose(record, instance) if instance else fault.instance_id
    until = f", until {fault.expires_at:%Y-%m-%dT%H:%M:%SZ}" if event == "injected" and fault.expires_at else ""
    return AuditEvent(
        network_id=record.network.id,
        network=record.network.name,
        at=at,
        kind=AuditKind.FAULT,
        event=event,
        who=who_acts(),
        what=f"{faults_in_words(fault.parameters)} on {where}: {event}{until}",
        why=cut(why or reason_given(), LONGEST),
        profile_id=profile.id if profile else None,
        profile=profile.name if profile else "",
        instance_id=fault.instance_id,
        variant=instance.variant if instance else "",
        fault_id=fault.id,
    )


def called(profile: ShadowingProfile) -> str:
    """Return what a profile is called."""
    return profile.name or profile.id


def sent(profile: ShadowingProfile) -> str:
    """Return what a profile sends, in a few words."""
    to = " and ".join(variant.name for variant in profile.variants)
    told = f"{profile.percentage * 100:g} % of {profile.component_name} to {to} for {profile.ttl:g} s"
    if profile.split is not None:
        weights = ", ".join(f"{name} {weight:g} %" for name, weight in profile.split.weights.items())
        told += f"; mode {profile.mode}, weights {weights or 'none'}"
    if profile.steps:
        told += f"; {len(profile.steps)} steps"
    return told + (f"; {faults_in_words(profile.faults)}" if profile.faults else "")


def profile_changes(before: ShadowingProfile, after: ShadowingProfile) -> dict[str, tuple[Any, Any]]:
    """Return the fields of a profile that changed, as the API names them."""
    return _different(_fields(before), _fields(after))


def network_changes(before: VirtualNetwork, after: VirtualNetwork) -> dict[str, tuple[Any, Any]]:
    """Return what changed of a network: components by name, not how they are defined."""
    mine, theirs = ({c.name: c for c in network.components} for network in (before, after))
    found: dict[str, tuple[Any, Any]] = {}
    for name in (*mine, *(n for n in theirs if n not in mine)):
        one, other = mine.get(name), theirs.get(name)
        if one != other:
            now = "defined" if one is None else "changed"
            found[f"components[{name}]"] = (None if one is None else "defined", None if other is None else now)
    return found | _different({"labels": dict(before.labels)}, {"labels": dict(after.labels)})


def in_words(changes: Pairs) -> str:
    """Return changes as a line."""
    return "; ".join(f"{field} {_text(before)} -> {_text(after)}" for field, (before, after) in changes.items())


def faults_in_words(faults: FaultParameters) -> str:
    """Return what faults do, in a few words."""
    parts = []
    if faults.delay:
        parts.append(f"delay {faults.delay.fixed_delay:g} s ({faults.delay.percentage:g} %)")
    if faults.abort:
        status = faults.abort.http_status
        code = f"gRPC {faults.abort.grpc_status}" if status is None else f"HTTP {status}"
        parts.append(f"abort {code} ({faults.abort.percentage:g} %)")
    if faults.response_rate_limit:
        limit = faults.response_rate_limit
        parts.append(f"response rate limit {limit.kbps} KiB/s ({limit.percentage:g} %)")
    parts += [name for name, on in (("pause", faults.pause), ("kill", faults.kill), ("stress", faults.stress)) if on]
    return ", ".join(parts) or "no faults"


def _sentence(name: str, event: str, detail: str) -> str:
    return cut(f"{name} {event}: {detail}" if detail else f"{name} {event}", LONGEST)


def _fields(profile: ShadowingProfile) -> dict[str, Any]:
    rollout = profile.rollout
    return {
        "mode": str(profile.mode),
        "trafficShadowingPercentage": profile.percentage,
        "shadowInstanceTTL": profile.ttl,
        "faultInjectionParameters": faults_in_words(profile.faults) if profile.faults else None,
        "split.weights": dict(profile.split.weights) if profile.split else None,
        "rollout": f"step {rollout.step + 1} of {len(profile.steps)}, {rollout.state}" if rollout else None,
    }


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {field: (value, after[field]) for field, value in before.items() if value != after[field]}


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items()) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whose(record: NetworkRecord, instance: ShadowInstance) -> str:
    profile = record.profiles.get(instance.profile_id)
    return f"{instance.variant} of {called(profile) if profile else instance.profile_id}"
