"""Model <-> JSON documents, as they lie in the database.

Guarantees: `decode_x(encode_x(value)) == value` for every value of the model (a property test holds it); each document
carries the version of its form, and one from a newer Shadowmesh is refused instead of misread.
Not guaranteed: that these documents look like those of the REST API; they may change apart from each other.

Every field is named here on purpose: renaming one in the model must not silently lose what is on disk.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson

from xds_server.errors import StoreError, cut
from xds_server.model.audit import AuditEvent
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.network import Address, Component, Endpoint, Protocol, UpstreamTLS, VirtualNetwork
from xds_server.model.profile import Fault, ShadowingProfile
from xds_server.model.shadow import InstanceStatus, ShadowInstance
from xds_server.store.base import ArchiveRecord
from xds_server.store.codec_event import event_from, event_to
from xds_server.store.codec_profile import faults_from, faults_to, profile_from, profile_to, spec_from, spec_to
from xds_server.store.codec_time import time_from, time_to

FORM = 1
"""Version of the form of all documents. A change that old code would misread raises it and adds a migration."""

_T = TypeVar("_T")
_Json = Mapping[str, Any]


def encode_network(network: VirtualNetwork) -> bytes:
    """Return the document of a network."""
    return _dump(
        {
            "id": network.id,
            "name": network.name,
            "components": [_component_to(c) for c in network.components],
            "labels": network.labels,
            "revision": network.revision,
            "created_at": time_to(network.created_at),
        }
    )


def decode_network(document: bytes) -> VirtualNetwork:
    """Return the network of a document. Raises: StoreError."""
    return _load(document, _network_from)


def encode_profile(profile: ShadowingProfile) -> bytes:
    """Return the document of a profile."""
    return _dump(profile_to(profile))


def decode_profile(document: bytes) -> ShadowingProfile:
    """Return the profile of a document. Raises: StoreError."""
    return _load(document, profile_from)


def encode_instance(instance: ShadowInstance) -> bytes:
    """Return the document of an instance."""
    return _dump(
        {
            "id": instance.id,
            "network_id": instance.network_id,
            "profile_id": instance.profile_id,
            "component_name": instance.component_name,
            "variant": instance.variant,
            "node": instance.node,
            "status": instance.status.value,
            "created_at": time_to(instance.created_at),
            "expires_at": time_to(instance.expires_at),
            "address": instance.address and _address_to(instance.address),
            "reason": instance.reason,
            "log_tail": list(instance.log_tail),
            "handle": instance.handle,
            "stopped_at": time_to(instance.stopped_at),
        }
    )


def decode_instance(document: bytes) -> ShadowInstance:
    """Return the instance of a document. Raises: StoreError."""
    return _load(document, _instance_from)


def encode_fault(fault: Fault) -> bytes:
    """Return the document of a fault."""
    return _dump(
        {
            "id": fault.id,
            "instance_id": fault.instance_id,
            "parameters": faults_to(fault.parameters),
            "created_at": time_to(fault.created_at),
            "expires_at": time_to(fault.expires_at),
            "from_profile": fault.from_profile,
        }
    )


def decode_fault(document: bytes) -> Fault:
    """Return the fault of a document. Raises: StoreError."""
    return _load(document, _fault_from)


def encode_event(event: AuditEvent) -> bytes:
    """Return the document of an event of the audit trail."""
    return _dump(event_to(event))


def decode_event(document: bytes) -> AuditEvent:
    """Return the event of a document. Raises: StoreError."""
    return _load(document, event_from)


def encode_archive(record: ArchiveRecord) -> bytes:
    """Return the document of what is archived."""
    return _dump(
        {
            "profile_id": record.profile_id,
            "network_id": record.network_id,
            "name": record.name,
            "component_name": record.component_name,
            "variants": dict(record.variants),
            "created_at": time_to(record.created_at),
            "ended_at": time_to(record.ended_at),
            "expires_at": time_to(record.expires_at),
            "pairs": record.pairs,
            "discrepancies": record.discrepancies,
            "size": record.size,
            "verdict": record.verdict,
        }
    )


def decode_archive(document: bytes) -> ArchiveRecord:
    """Return what a document says is archived. Raises: StoreError."""
    return _load(document, _archive_from)


def _archive_from(d: _Json) -> ArchiveRecord:
    return ArchiveRecord(
        profile_id=ProfileID(d["profile_id"]),
        network_id=NetworkID(d["network_id"]),
        name=d["name"],
        component_name=d["component_name"],
        variants={InstanceID(instance): variant for instance, variant in d["variants"].items()},
        created_at=time_from(d["created_at"]),
        ended_at=time_from(d["ended_at"]),
        expires_at=time_from(d["expires_at"]),
        pairs=d["pairs"],
        discrepancies=d["discrepancies"],
        size=d["size"],
        verdict=d.get("verdict"),
    )


def _network_from(d: _Json) -> VirtualNetwork:
    return VirtualNetwork(
        id=NetworkID(d["id"]),
        name=d["name"],
        components=tuple(_component_from(c) for c in d["components"]),
        labels=d["labels"],
        revision=d["revision"],
        created_at=time_from(d["created_at"]),
    )


def _component_to(component: Component) -> dict[str, Any]:
    tls = component.tls
    return {
        "name": component.name,
        "protocol": component.protocol.value,
        "listen": _address_to(component.listen),
        "endpoints": [_endpoint_to(e) for e in component.endpoints],
        "hosts": list(component.hosts),
        "timeout": component.timeout,
        "idle_timeout": component.idle_timeout,
        "retries": component.retries,
        "upgrades": list(component.upgrades),
        "tls": tls and {"sni": tls.sni, "ca_file": tls.ca_file, "subject_alt_names": list(tls.subject_alt_names)},
        "version": component.version and spec_to(component.version),
    }


def _component_from(d: _Json) -> Component:
    tls = d["tls"]
    return Component(
        name=d["name"],
        protocol=Protocol(d["protocol"]),
        listen=_address_from(d["listen"]),
        endpoints=tuple(_endpoint_from(e) for e in d["endpoints"]),
        hosts=tuple(d["hosts"]),
        timeout=d["timeout"],
        idle_timeout=d["idle_timeout"],
        retries=d["retries"],
        upgrades=tuple(d["upgrades"]),
        tls=tls
        and UpstreamTLS(sni=tls["sni"], ca_file=tls["ca_file"], subject_alt_names=tuple(tls["subject_alt_names"])),
        # Documents of before it was known have none.
        version=spec_from(d["version"]) if d.get("version") else None,
    )


def _endpoint_to(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "address": endpoint.address,
        "port": endpoint.port,
        "weight": endpoint.weight,
        "region": endpoint.region,
        "zone": endpoint.zone,
        "node": endpoint.node,
    }


def _endpoint_from(d: _Json) -> Endpoint:
    return Endpoint(
        address=d["address"],
        port=d["port"],
        weight=d["weight"],
        region=d["region"],
        zone=d["zone"],
        node=d["node"],
    )


def _address_to(address: Address) -> dict[str, Any]:
    return {"address": address.address, "port": address.port}


def _address_from(d: _Json) -> Address:
    return Address(address=d["address"], port=d["port"])


def _instance_from(d: _Json) -> ShadowInstance:
    return ShadowInstance(
        id=InstanceID(d["id"]),
        network_id=NetworkID(d["network_id"]),
        profile_id=ProfileID(d["profile_id"]),
        component_name=d["component_name"],
        variant=d["variant"],
        node=d["node"],
        status=InstanceStatus(d["status"]),
        created_at=time_from(d["created_at"]),
        expires_at=time_from(d["expires_at"]),
        address=d["address"] and _address_from(d["address"]),
        reason=d["reason"],
        log_tail=tuple(d["log_tail"]),
        handle=d["handle"],
        stopped_at=time_from(d["stopped_at"]),
    )


def _fault_from(d: _Json) -> Fault:
    return Fault(
        id=FaultID(d["id"]),
        instance_id=InstanceID(d["instance_id"]),
        parameters=faults_from(d["parameters"]),
        created_at=time_from(d["created_at"]),
        expires_at=time_from(d["expires_at"]),
        from_profile=d["from_profile"],
    )


def _dump(value: dict[str, Any]) -> bytes:
    return orjson.dumps({"form": FORM, **value})


def _load(document: bytes, make: Callable[[_Json], _T]) -> _T:
    try:
        value = orjson.loads(document)
        form = value["form"]
        if form <= FORM:
            return make(value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"a document in the database cannot be read: {cut(repr(error), 200)}",
            hint="`shadowmesh restore` a backup, or start with another state folder",
        ) from error
    raise StoreError(
        f"a document in the database has form {form}, this Shadowmesh knows {FORM}",
        hint="it was written by a newer Shadowmesh; start that one",
    )
