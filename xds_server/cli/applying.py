"""What `apply` does with one manifest: compare with what the manager has, then create, change or leave it.

Guarantees: applying the same manifest twice changes nothing the second time. A change is made only to the revision
that was compared (`If-Match`).
"""

import enum
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from api.manifests import Manifest, NetworkManifest, ProfileManifest
from api.schemas.base import Document, validate
from api.schemas.network import NetworkBody
from api.schemas.profile import ProfileBody
from xds_server.cli.client import JSON, Client
from xds_server.errors import ConflictError
from xds_server.lifecycle.controls import with_control
from xds_server.model.profile import ShadowingProfile

_NAMES = {
    "component_name": "componentName",
    "percentage": "trafficShadowingPercentage",
    "ttl": "shadowInstanceTTL",
    "faults": "faultInjectionParameters",
    "metrics": "performanceMetrics",
    "keep_credentials": "keepCredentials",
    "shadow_timeout": "shadowTimeout",
    "max_request_bytes": "maxRequestBytes",
}
_CHANGEABLE = {"percentage", "ttl", "faults", "weights"}
_NOT_COMPARED = {"id", "network_id", "revision", "created_at"}
D = TypeVar("D", bound=Document)
_ENDED = {"Stopped", "Failed"}


class Outcome(enum.StrEnum):
    """What became of a manifest."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Applied:
    """One manifest that was applied; `profile` is its id when it is one. `note` says more."""

    label: str
    outcome: Outcome
    note: str = ""
    network: str = ""
    profile: str = ""
    warnings: tuple[str, ...] = ()


def apply_one(client: Client, manifest: Manifest, *, replace: bool, dry_run: bool) -> Applied:
    """Apply one manifest; with `dry_run` only find out what would be done.

    Raises:
        ConflictError: a change that a living profile cannot make, without `replace`.
        ShadowmeshError: whatever the manager refused.
    """
    if isinstance(manifest.body, NetworkManifest):
        return Applied(manifest.label, _network(client, manifest.body, dry_run=dry_run))
    return _profile(client, manifest.body, manifest.label, replace=replace, dry_run=dry_run)


def _network(client: Client, manifest: NetworkManifest, *, dry_run: bool) -> Outcome:
    wanted = manifest.to_model()
    body = {"name": wanted.name, "labels": wanted.labels, **_sent(manifest.spec, without={"labels"})}
    there = client.find("networks", wanted.name)
    if there is None:
        if not dry_run:
            client.post("networks", body=body)
        return Outcome.CREATED
    has = _known(NetworkBody, there[0]).to_model(wanted.name)
    if (has.components, has.labels) == (wanted.components, wanted.labels):
        return Outcome.UNCHANGED
    if not dry_run:
        client.put("networks", wanted.name, body=body, if_match=there[1])
    return Outcome.CONFIGURED


def _profile(client: Client, manifest: ProfileManifest, label: str, *, replace: bool, dry_run: bool) -> Applied:
    network, wanted = manifest.spec.network, manifest.to_model()
    path = ("networks", network, "shadowing", "profiles", wanted.name)
    found = client.find(*path)
    if found is None:
        return _create(client, manifest, label, Outcome.CREATED, dry_run=dry_run)
    there, etag = found
    has = _known(ProfileBody, _at_its_start(there)).to_model(wanted.name)
    if has.control != wanted.control:
        wanted = _with_control(client, network, wanted)
    changed = _changed(has, wanted)
    ended = _ended(there)
    if replace and (ended or not changed <= _CHANGEABLE):
        if not dry_run:
            client.delete(*path, if_match=etag)
        return _create(client, manifest, label, Outcome.REPLACED, dry_run=dry_run)
    if not changed <= _CHANGEABLE:
        names = ", ".join(sorted(_NAMES.get(name, name) for name in changed - _CHANGEABLE))
        hint = "--replace ends the profile and creates it anew"
        raise ConflictError(f"{names} cannot be changed while the profile lives", hint=hint)
    note = f"ended: {ended}; --replace runs it again" if ended else ""
    profile = str(there["profileID"])
    if not changed:
        return Applied(label, Outcome.UNCHANGED, note, network, "" if ended else profile)
    if not dry_run:
        sent = _sent(manifest.spec, without=set())
        same = changed - {"weights"}
        body = {_NAMES[name]: sent.get(_NAMES[name], {} if name == "faults" else None) for name in same}
        if "weights" in changed:
            body["split"] = {"weights": sent["split"]["weights"]}
        there = client.patch(*path, body=body, if_match=etag)
    return Applied(label, Outcome.CONFIGURED, note or str(there["summary"]), network, profile, _warned(there))


def _create(client: Client, manifest: ProfileManifest, label: str, outcome: Outcome, *, dry_run: bool) -> Applied:
    network = manifest.spec.network
    if dry_run:
        return Applied(label, outcome, network=network)
    body = {"name": manifest.metadata.name, **_sent(manifest.spec, without={"network"})}
    made = client.post("networks", network, "shadowing", "create", body=body)
    return Applied(label, outcome, str(made["summary"]), network, str(made["profileID"]), _warned(made))


def _with_control(client: Client, network: str, wanted: ShadowingProfile) -> ShadowingProfile:
    """Fill in the control that the manager would: a manifest need not name the component's own version."""
    there = _known(NetworkBody, client.get("networks", network)).to_model(network)
    component = there.component(wanted.component_name)
    return wanted if component is None else with_control(wanted, component)


def _sent(spec: Document, *, without: set[str]) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True, exclude=without)


def _known(kind: type[D], there: JSON) -> D:
    """Read what the manager answered as the document that was given; what a newer manager adds is left out."""
    names = {field.alias or name for name, field in kind.model_fields.items()}
    return validate(kind, {name: value for name, value in there.items() if name in names}, whole="the answer")


def _at_its_start(there: JSON) -> JSON:
    """Return a profile without what its rollout has changed; the steps say how it started."""
    if not there.get("steps"):
        return there
    split = {**there["split"], "weights": {}} if there.get("split") else None
    return {**there, "mode": None, "split": split}


def _changed(has: ShadowingProfile, wanted: ShadowingProfile) -> set[str]:
    names = {field.name for field in fields(ShadowingProfile)} - _NOT_COMPARED
    changed = {name for name in names if getattr(has, name) != getattr(wanted, name)}
    old, new = has.split, wanted.split
    if "split" in changed and not wanted.steps and old is not None and new is not None and old.cohort == new.cohort:
        return changed - {"split"} | {"weights"}
    return changed


def _ended(there: JSON) -> str:
    instances = [instance for instance in there["instances"] if not instance.get("control")]
    if not instances or any(instance["status"] not in _ENDED for instance in instances):
        return ""
    last = instances[-1]
    return f"{last['status']}, {last['reason']}" if last["reason"] else str(last["status"])


def _warned(there: JSON) -> tuple[str, ...]:
    return tuple(map(str, there.get("warnings", ())))
