"""The profile's half of the codec (see `codec`): profiles, variants, faults and matchers, as JSON values."""

from collections.abc import Mapping
from typing import Any

from xds_server.model.analysis import DEFAULT_ANALYSIS, analysis_from, analysis_to
from xds_server.model.ids import NetworkID, ProfileID
from xds_server.model.nodes import ANY_NODE
from xds_server.model.profile import (
    Abort,
    Capture,
    Control,
    Delay,
    DockerSpec,
    Egress,
    EgressMode,
    EndpointSpec,
    FaultParameters,
    HeaderMatch,
    HeaderMatchKind,
    Match,
    ProcessSpec,
    Pull,
    Readiness,
    ResponseRateLimit,
    SelfSpec,
    ShadowingProfile,
    Stress,
    Variant,
    VariantSpec,
)
from xds_server.model.rollout import Mode
from xds_server.store.codec_placement import placement_from, placement_to
from xds_server.store.codec_rollout import rollout_from, rollout_to, split_from, split_to, step_from, step_to
from xds_server.store.codec_time import time_from, time_to

_Json = Mapping[str, Any]


def profile_to(profile: ShadowingProfile) -> dict[str, Any]:
    """Return the JSON value of a profile."""
    return {
        "id": profile.id,
        "network_id": profile.network_id,
        "component_name": profile.component_name,
        "percentage": profile.percentage,
        "ttl": profile.ttl,
        "variants": [{"name": v.name, "spec": spec_to(v.spec)} for v in profile.variants],
        "faults": faults_to(profile.faults),
        "metrics": list(profile.metrics),
        "match": _match_to(profile.match),
        "name": profile.name,
        "keep_credentials": profile.keep_credentials,
        "capture": {"head_bytes": profile.capture.head_bytes, "checksum": profile.capture.checksum},
        "shadow_timeout": profile.shadow_timeout,
        "max_request_bytes": profile.max_request_bytes,
        "analysis": analysis_to(profile.analysis),
        "control": profile.control and _control_to(profile.control),
        "placement": placement_to(profile.placement),
        "mode": profile.mode.value,
        "split": profile.split and split_to(profile.split),
        "steps": [step_to(step) for step in profile.steps],
        "rollout": profile.rollout and rollout_to(profile.rollout),
        "revision": profile.revision,
        "created_at": time_to(profile.created_at),
    }


def profile_from(d: _Json) -> ShadowingProfile:
    """Return the profile of a JSON value. Raises: KeyError, TypeError, ValueError."""
    return ShadowingProfile(
        id=ProfileID(d["id"]),
        network_id=NetworkID(d["network_id"]),
        component_name=d["component_name"],
        percentage=d["percentage"],
        ttl=d["ttl"],
        variants=tuple(Variant(name=v["name"], spec=spec_from(v["spec"])) for v in d["variants"]),
        faults=faults_from(d["faults"]),
        metrics=tuple(d["metrics"]),
        match=_match_from(d["match"]),
        name=d["name"],
        keep_credentials=d["keep_credentials"],
        capture=Capture(head_bytes=d["capture"]["head_bytes"], checksum=d["capture"]["checksum"]),
        shadow_timeout=d["shadow_timeout"],
        max_request_bytes=d["max_request_bytes"],
        # Documents of before these were known have none of them.
        analysis=analysis_from(d["analysis"]) if "analysis" in d else DEFAULT_ANALYSIS,
        control=_control_from(d["control"]) if d.get("control") else None,
        placement=placement_from(d["placement"]) if d.get("placement") else ANY_NODE,
        mode=Mode(d.get("mode", Mode.SHADOW)),
        split=split_from(d["split"]) if d.get("split") else None,
        steps=tuple(step_from(step) for step in d.get("steps", ())),
        rollout=rollout_from(d["rollout"]) if d.get("rollout") else None,
        revision=d["revision"],
        created_at=time_from(d["created_at"]),
    )


def faults_to(faults: FaultParameters) -> dict[str, Any]:
    """Return the JSON value of fault parameters."""
    delay, abort, limit = faults.delay, faults.abort, faults.response_rate_limit
    return {
        "delay": delay and {"fixed_delay": delay.fixed_delay, "percentage": delay.percentage},
        "abort": abort
        and {"http_status": abort.http_status, "grpc_status": abort.grpc_status, "percentage": abort.percentage},
        "response_rate_limit": limit and {"kbps": limit.kbps, "percentage": limit.percentage},
        "headers": [_header_to(h) for h in faults.headers],
        "pause": faults.pause,
        "kill": faults.kill,
        "stress": faults.stress and {"cpus": faults.stress.cpus, "memory": faults.stress.memory},
    }


def faults_from(d: _Json) -> FaultParameters:
    """Return the fault parameters of a JSON value. Raises: KeyError, TypeError, ValueError."""
    delay, abort, limit = d["delay"], d["abort"], d["response_rate_limit"]
    return FaultParameters(
        delay=delay and Delay(fixed_delay=delay["fixed_delay"], percentage=delay["percentage"]),
        abort=abort
        and Abort(http_status=abort["http_status"], grpc_status=abort["grpc_status"], percentage=abort["percentage"]),
        response_rate_limit=limit and ResponseRateLimit(kbps=limit["kbps"], percentage=limit["percentage"]),
        headers=tuple(_header_from(h) for h in d["headers"]),
        # Documents of before these were known have none of them.
        pause=d.get("pause", False),
        kill=d.get("kill", False),
        stress=Stress(cpus=stress["cpus"], memory=stress["memory"]) if (stress := d.get("stress")) else None,
    )


def _control_to(control: Control) -> dict[str, Any]:
    return {"spec": control.spec and spec_to(control.spec), "duration": control.duration, "enabled": control.enabled}


def _control_from(d: _Json) -> Control:
    return Control(spec=d["spec"] and spec_from(d["spec"]), duration=d["duration"], enabled=d["enabled"])


def _match_to(match: Match) -> dict[str, Any]:
    return {
        "methods": list(match.methods),
        "path": match.path,
        "path_prefix": match.path_prefix,
        "path_regex": match.path_regex,
        "headers": [_header_to(h) for h in match.headers],
        "grpc": list(match.grpc),
    }


def _match_from(d: _Json) -> Match:
    return Match(
        methods=tuple(d["methods"]),
        path=d["path"],
        path_prefix=d["path_prefix"],
        path_regex=d["path_regex"],
        headers=tuple(_header_from(h) for h in d["headers"]),
        grpc=tuple(d["grpc"]),
    )


def _header_to(header: HeaderMatch) -> dict[str, Any]:
    return {"name": header.name, "kind": header.kind.value, "value": header.value}


def _header_from(d: _Json) -> HeaderMatch:
    return HeaderMatch(name=d["name"], kind=HeaderMatchKind(d["kind"]), value=d["value"])


def _readiness_to(readiness: Readiness) -> dict[str, Any]:
    return {"path": readiness.path, "timeout": readiness.timeout, "interval": readiness.interval}


def _readiness_from(d: _Json) -> Readiness:
    return Readiness(path=d["path"], timeout=d["timeout"], interval=d["interval"])


def spec_to(spec: VariantSpec) -> dict[str, Any]:
    """Return the JSON value of what a version runs."""
    match spec:
        case ProcessSpec():
            return {
                "kind": "process",
                "command": list(spec.command),
                "env": spec.env,
                "working_directory": spec.working_directory,
                "readiness": _readiness_to(spec.readiness),
                "stop_timeout": spec.stop_timeout,
            }
        case DockerSpec():
            return {
                "kind": "docker",
                "image": spec.image,
                "port": spec.port,
                "command": list(spec.command),
                "entrypoint": list(spec.entrypoint),
                "env": spec.env,
                "working_directory": spec.working_directory,
                "cpus": spec.cpus,
                "memory": spec.memory,
                "pids": spec.pids,
                "read_only": spec.read_only,
                "writable": list(spec.writable),
                "user": spec.user,
                "capabilities": list(spec.capabilities),
                "new_privileges": spec.new_privileges,
                "egress": {"mode": spec.egress.mode.value, "allow": list(spec.egress.allow)},
                "pull": spec.pull.value,
                "readiness": _readiness_to(spec.readiness),
                "stop_timeout": spec.stop_timeout,
            }
        case EndpointSpec():
            return {
                "kind": "endpoint",
                "address": spec.address,
                "port": spec.port,
                "readiness": _readiness_to(spec.readiness),
            }
        case SelfSpec():
            return {"kind": "self"}


def spec_from(d: _Json) -> VariantSpec:
    """Return what a version runs, of a JSON value. Raises: KeyError, TypeError, ValueError."""
    match d["kind"]:
        case "process":
            return ProcessSpec(
                command=tuple(d["command"]),
                env=d["env"],
                working_directory=d["working_directory"],
                readiness=_readiness_from(d["readiness"]),
                stop_timeout=d["stop_timeout"],
            )
        case "docker":
            return DockerSpec(
                image=d["image"],
                port=d["port"],
                command=tuple(d["command"]),
                entrypoint=tuple(d["entrypoint"]),
                env=d["env"],
                working_directory=d["working_directory"],
                cpus=d["cpus"],
                memory=d["memory"],
                pids=d["pids"],
                read_only=d["read_only"],
                writable=tuple(d["writable"]),
                user=d["user"],
                capabilities=tuple(d["capabilities"]),
                new_privileges=d["new_privileges"],
                egress=Egress(EgressMode(d["egress"]["mode"]), tuple(d["egress"]["allow"])),
                pull=Pull(d["pull"]),
                readiness=_readiness_from(d["readiness"]),
                stop_timeout=d["stop_timeout"],
            )
        case "endpoint":
            return EndpointSpec(address=d["address"], port=d["port"], readiness=_readiness_from(d["readiness"]))
        case "self":
            return SelfSpec()
        case kind:
            raise ValueError(f"unknown kind of variant {kind!r}")
