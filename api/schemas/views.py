"""What the API answers with: the documents as they were given, and what became of them.

Guarantees: the specification's names (`instanceID`, `virtualNetworkID`, `componentName`, `status`, `performanceData`);
times are RFC 3339 in UTC; durations read like those that are given.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from api.performance import performance_data
from api.schemas.fault import FaultParametersBody
from api.schemas.network import ComponentBody, NetworkBody
from api.schemas.profile import ProfileBody, fields_of
from api.words import control_warnings, fault_summary, judging_warnings, summary, warnings
from api.words_split import split_warnings
from xds_server.lifecycle.views import InstanceView as Instance
from xds_server.lifecycle.views import Jsonable, NetworkStatus
from xds_server.lifecycle.views import ProfileView as Profile
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import Fault, ShadowingProfile
from xds_server.protocol.board import EnvoyStatus


class View(BaseModel):
    """Base of answers: names in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, use_attribute_docstrings=True)


class NetworkView(NetworkBody):
    """A virtual network as it is."""

    virtual_network_id: str = Field(alias="virtualNetworkID")
    """Id of the network."""
    revision: int
    """Counts changes of the definition, from 1."""
    created_at: datetime | None
    """When it was created."""

    @classmethod
    def of(cls, network: VirtualNetwork) -> "NetworkView":
        """Return the view of a network."""
        return cls.model_construct(
            name=network.name,
            components=[ComponentBody.of(component) for component in network.components],
            labels=dict(network.labels),
            virtual_network_id=network.id,
            revision=network.revision,
            created_at=network.created_at,
        )


class FaultView(View):
    """A fault in force."""

    fault_id: str = Field(alias="faultID")
    """Id, to lift it by."""
    instance_id: str = Field(alias="instanceID")
    """Instance that it is on."""
    fault_injection_parameters: FaultParametersBody
    """What it does."""
    summary: str
    """What it does, in words."""
    created_at: datetime
    """Since when."""
    expires_at: datetime | None
    """When it is lifted; null: with its instance."""
    from_profile: bool
    """Whether it is one of the profile's own; those are changed by PATCH of the profile."""
    warnings: list[str]
    """What may not be meant."""

    @classmethod
    def of(cls, fault: Fault) -> "FaultView":
        """Return the view of a fault."""
        return cls.model_construct(
            fault_id=fault.id,
            instance_id=fault.instance_id,
            fault_injection_parameters=FaultParametersBody.of(fault.parameters),
            summary=fault_summary(fault.parameters),
            created_at=fault.created_at,
            expires_at=fault.expires_at,
            from_profile=fault.from_profile,
            warnings=warnings(fault.parameters),
        )


class AddressView(View):
    """Where something answers."""

    address: str
    port: int


class InstanceView(View):
    """A shadow instance."""

    instance_id: str = Field(alias="instanceID")
    """Id of the instance."""
    virtual_network_id: str = Field(alias="virtualNetworkID")
    """Network that it belongs to."""
    profile_id: str = Field(alias="profileID")
    """Profile that it belongs to."""
    component_name: str
    """Component that it is a version of."""
    variant: str
    """Which version."""
    control: bool
    """Whether it is the profile's control: the original's own version, which shows what is noise."""
    node: str
    """Node that it runs on."""
    status: str
    """Pending, Running, Stopped or Failed."""
    reason: str
    """Why it is Stopped or Failed."""
    log_tail: list[str]
    """Last lines of its log, when it failed."""
    address: AddressView | None
    """Where it answers, while it is running."""
    created_at: datetime
    """Since when."""
    expires_at: datetime
    """When its time to live is over."""
    stopped_at: datetime | None
    """When it ended."""
    faults: list[FaultView]
    """Faults in force."""
    performance_data: dict[str, Any]
    """What was measured of the metrics that the profile names."""

    @classmethod
    def of(cls, view: Instance, profile: ShadowingProfile) -> "InstanceView":
        """Return the view of an instance of a profile."""
        instance = view.instance
        address = instance.address
        return cls.model_construct(
            instance_id=instance.id,
            virtual_network_id=instance.network_id,
            profile_id=instance.profile_id,
            component_name=instance.component_name,
            variant=instance.variant,
            control=profile.is_control(instance.variant),
            node=instance.node,
            status=instance.status.value,
            reason=instance.reason,
            log_tail=list(instance.log_tail),
            address=AddressView(address=address.address, port=address.port) if address and address.port else None,
            created_at=instance.created_at,
            expires_at=instance.expires_at,
            stopped_at=instance.stopped_at,
            faults=[FaultView.of(fault) for fault in view.faults],
            performance_data=performance_data(view.performance, view.comparison, profile.metrics),
        )


class RolloutView(View):
    """How far a profile has come on its steps."""

    step: int
    """The step it is at, from 1."""
    steps: int
    """How many there are."""
    state: str
    """running, paused, done or aborted."""
    since: datetime
    """When the step, or the state, began."""
    reason: str
    """Why it is paused or aborted."""

    @classmethod
    def of(cls, profile: ShadowingProfile) -> "RolloutView | None":
        """Return the view of a profile's rollout, or None."""
        rollout = profile.rollout
        if rollout is None:
            return None
        return cls.model_construct(
            step=rollout.step + 1,
            steps=len(profile.steps),
            state=rollout.state.value,
            since=rollout.since,
            reason=rollout.reason,
        )


class ProfileView(ProfileBody):
    """A shadowing profile as it is."""

    profile_id: str = Field(alias="profileID")
    """Id of the profile."""
    virtual_network_id: str = Field(alias="virtualNetworkID")
    """Network that it belongs to."""
    revision: int
    """Counts changes, from 1."""
    created_at: datetime | None
    """When it was created."""
    ended: bool
    """Whether no instance of it is Pending or Running; it claims no share of the requests then."""
    summary: str
    """What it does, in words."""
    warnings: list[str]
    """What may not be meant."""
    instances: list[InstanceView]
    """Its shadow instances, also those that ended a while ago."""
    comparison: dict[str, Any] | None
    """What was compared so far; null while nothing was."""
    verdict: dict[str, Any] | None
    """Whether the version may be shipped: the decision, its reasons and its checks; null before anything was judged."""
    rollout: RolloutView | None
    """How far the steps have come; null without steps."""

    @model_validator(mode="after")
    def _fits_together(self) -> "ProfileView":
        """Take what is: it was checked when it was given, and steps have moved it since."""
        return self

    @classmethod
    def of(cls, view: Profile) -> "ProfileView":
        """Return the view of a profile."""
        profile = view.profile
        shadows = [each.instance for each in view.instances if not profile.is_control(each.instance.variant)]
        ended = all(shadow.ended for shadow in shadows)
        return cls.model_construct(
            **fields_of(profile),
            profile_id=profile.id,
            virtual_network_id=profile.network_id,
            revision=profile.revision,
            created_at=profile.created_at,
            ended=ended,
            summary=summary(profile, ended=ended),
            warnings=[
                *warnings(profile.faults),
                *control_warnings(profile),
                *split_warnings(profile),
                *judging_warnings(profile),
            ],
            instances=[InstanceView.of(instance, profile) for instance in view.instances],
            comparison=as_json(view.comparison),
            verdict=as_json(view.verdict),
            rollout=RolloutView.of(profile),
        )


class ResourceView(View):
    """One resource at one Envoy."""

    type_url: str = Field(alias="typeURL")
    """Its type."""
    name: str
    """Its name."""
    version: str
    """The version that was sent last."""
    state: str
    """SENT, ACKED, NACKED or STALE."""
    error: str
    """Why it was rejected, in the Envoy's own words."""


class EnvoyView(View):
    """An Envoy of the network."""

    node_id: str = Field(alias="nodeID")
    """How it names itself."""
    group: str
    """Which set of resources it gets."""
    connected: bool
    """Whether it is connected now."""
    since: datetime
    """Since when it is connected, or away."""
    last_seen: datetime
    """When it was last heard."""
    user_agent: str
    """Its kind and version."""
    region: str
    """Region that it names."""
    zone: str
    """Zone that it names."""
    resources: list[ResourceView]
    """What it has."""

    @classmethod
    def of(cls, envoy: EnvoyStatus) -> "EnvoyView":
        """Return the view of an Envoy."""
        return cls.model_construct(
            node_id=envoy.node_id,
            group=envoy.group,
            connected=envoy.connected,
            since=datetime.fromtimestamp(envoy.since, UTC),
            last_seen=datetime.fromtimestamp(envoy.last_seen, UTC),
            user_agent=envoy.node.user_agent,
            region=envoy.node.region,
            zone=envoy.node.zone,
            resources=[
                ResourceView.model_construct(
                    type_url=r.type_url, name=r.name, version=r.version, state=str(r.state), error=r.error
                )
                for r in envoy.resources
            ],
        )


class StatusView(View):
    """Everything of a network at one moment."""

    virtual_network_id: str = Field(alias="virtualNetworkID")
    """Id of the network."""
    name: str
    """Its name."""
    revision: int
    """Of its definition."""
    problem: str
    """Why the newest definition is not what Envoys are served (the last good one is); empty when it is."""
    profiles: list[ProfileView]
    """Its profiles, oldest first."""
    envoys: list[EnvoyView]
    """Its Envoys, with the state of each resource: SENT, ACKED, NACKED (with the Envoy's own words) or STALE."""
    engines: list[dict[str, Any]]
    """Analysis engines that report to this manager."""
    alerts: list[dict[str, Any]]
    """Alerts that fire."""
    alert_sinks: list[dict[str, Any]]
    """Who is told of alerts, and whether that works."""

    @classmethod
    def of(cls, status: NetworkStatus) -> "StatusView":
        """Return the view of a status."""
        return cls.model_construct(
            virtual_network_id=status.network.id,
            name=status.network.name,
            revision=status.network.revision,
            problem=status.problem,
            profiles=[ProfileView.of(profile) for profile in status.profiles],
            envoys=[EnvoyView.of(envoy) for envoy in status.envoys],
            engines=[plain(engine) for engine in status.engines],
            alerts=[alert.as_json() for alert in status.alerts],
            alert_sinks=[{**plain(sink), "failingSince": sink.failing_since} for sink in status.alert_sinks],
        )


def as_json(value: Jsonable | None) -> dict[str, Any] | None:
    """Return the JSON form of a value of the analysis, or None."""
    return None if value is None else dict(value.as_json())


def plain(value: Any) -> Any:
    """Return a frozen value (a dataclass, or one with `as_json`) as JSON with names in camelCase, ids as `nodeID`."""
    if hasattr(value, "as_json"):
        return plain(value.as_json())
    if hasattr(type(value), "__dataclass_fields__"):
        return {_camel(name): plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


def _camel(name: str) -> str:
    for suffix, spelled in (("_id", "ID"), ("_url", "URL")):
        if name.endswith(suffix):
            return to_camel(name.removesuffix(suffix)) + spelled
    return to_camel(name)
