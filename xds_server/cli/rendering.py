"""Manifests -> what Envoy would get, without a server.

Shadows that nobody has started yet are taken to run: their ids and addresses are made up, the same each time, and
named in a comment. Nothing else differs from what the manager sends.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from api.manifests import Manifest, NetworkManifest, ProfileManifest
from api.words import summary
from xds_server.errors import FieldProblem, InvalidFieldsError, NotFoundError, ShadowmeshError
from xds_server.lifecycle.controls import with_control
from xds_server.lifecycle.splits import check_beside
from xds_server.lifecycle.validation import check_control
from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.network import Address, VirtualNetwork
from xds_server.model.profile import EndpointSpec, Fault, SelfSpec, ShadowingProfile
from xds_server.model.state import ActiveProfile, ActiveShadow, NetworkState
from xds_server.translate import check_profile, to_yaml, translate

_NAMESPACE = uuid.UUID("6f2b4f0e-3d8e-5c38-9f0a-5f8c1f0d7a11")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_PORT = 20000


@dataclass(frozen=True, slots=True)
class Pretended:
    """A network with its profiles as if their shadows ran; `comments` says what was made up."""

    state: NetworkState
    comments: tuple[str, ...]


def render(manifests: Sequence[Manifest], *, runtime_ttl: float) -> str:
    """Return the resources of every network as YAML, a document each.

    Raises:
        NotFoundError: a profile's network is not among the manifests.
        InvalidFieldsError: a profile that cannot be translated; with its place.
    """
    parts = []
    for one in pretended(manifests):
        resources = translate(one.state, runtime_ttl=runtime_ttl)
        comments = "".join(f"# {line}\n" for line in one.comments)
        parts.append(comments + "---\n" + to_yaml(resources))
    return "".join(parts)


def pretended(manifests: Sequence[Manifest]) -> Iterator[Pretended]:
    """Yield the networks of the manifests, in their order.

    Raises:
        NotFoundError, InvalidFieldsError: as `render`.
    """
    networks: dict[str, VirtualNetwork] = {}
    for manifest in manifests:
        if isinstance(manifest.body, NetworkManifest):
            network = manifest.body.to_model()
            networks[network.name] = replace(network, id=NetworkID(_id("network", network.name)))
    profiles: dict[str, list[ShadowingProfile]] = {name: [] for name in networks}
    for manifest in manifests:
        if isinstance(manifest.body, ProfileManifest):
            home = networks.get(manifest.body.spec.network)
            if home is None:
                told = f'{manifest.label}: network "{manifest.body.spec.network}" is not among the manifests'
                raise NotFoundError(told, hint="add its manifest; render asks no server")
            profiles[home.name].append(_checked(manifest, home, profiles[home.name]))
    for name, network in networks.items():
        yield _pretend(network, profiles[name])


def _checked(manifest: Manifest, network: VirtualNetwork, others: Sequence[ShadowingProfile]) -> ShadowingProfile:
    assert isinstance(manifest.body, ProfileManifest)  # noqa: S101 - the caller looked
    wanted = manifest.body.to_model()
    profile = replace(wanted, id=ProfileID(_id("profile", network.name, wanted.name)), network_id=network.id)
    component = network.component(profile.component_name)
    try:
        if component is not None:
            profile = with_control(profile, component)
            check_control(component, profile)
        check_profile(network, others, profile)
        if component is not None:
            check_beside(component, others, profile)
    except ShadowmeshError as error:
        where = f"{manifest.file}, document {manifest.document}, line {manifest.line}: spec.{error.field}"
        raise InvalidFieldsError([FieldProblem(where, error.detail, error.hint)]) from error
    return profile


def _pretend(network: VirtualNetwork, profiles: Sequence[ShadowingProfile]) -> Pretended:
    comments = [f'network "{network.name}": what an Envoy with node.cluster "{network.name}" gets']
    active, port = [], _FIRST_PORT
    for profile in profiles:
        comments.append(f'profile "{profile.name}": {summary(profile)}')
        shadows = []
        for variant in profile.versions:
            original = isinstance(variant.spec, SelfSpec)
            instance = InstanceID(_id("instance", profile.id, variant.name))
            if isinstance(variant.spec, EndpointSpec):
                address, made_up = Address(variant.spec.address, variant.spec.port), "id"
            elif original:
                address, made_up = Address(profile.component_name, 0), "id"
            else:
                address, made_up, port = Address("127.0.0.1", port), "id and address", port + 1
            comments.append(
                f"  {variant.name} is pending; made up: {made_up} {instance} {address.address}:{address.port}"
            )
            faults = () if profile.is_control(variant.name) else _faults(profile, instance)
            shadows.append(ActiveShadow(instance, variant.name, address, faults, original=original))
        active.append(ActiveProfile(profile, tuple(shadows)))
    return Pretended(NetworkState(network, tuple(active)), tuple(comments))


def _faults(profile: ShadowingProfile, instance: InstanceID) -> tuple[Fault, ...]:
    if not profile.faults:
        return ()
    return (Fault(FaultID(_id("fault", instance)), instance, profile.faults, _EPOCH, from_profile=True),)


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))
