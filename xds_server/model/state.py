"""What the translation is given: one network with everything that shapes its Envoys' configuration, at one moment."""

from dataclasses import dataclass
from datetime import datetime

from xds_server.model.ids import InstanceID
from xds_server.model.network import Address, VirtualNetwork
from xds_server.model.profile import Fault, ShadowingProfile


@dataclass(frozen=True, slots=True)
class ActiveShadow:
    """A shadow that has answered its health check and is to be mirrored to; in a split, to get users by its weight.

    `original`: it is the original itself, which answers once more; its copies go to the component's own cluster, and
    `address` says nothing.
    """

    instance_id: InstanceID
    variant: str
    address: Address
    faults: tuple[Fault, ...] = ()
    original: bool = False
    draining: bool = False
    """It is about to end: in a split, nobody new is sent to it, and what is under way may finish."""
    since: datetime | None = None
    """When it was created; None when nobody knows."""
    disturbed: bool = False
    """A fault is done to the instance itself: what it answers is no evidence."""
    calm_since: datetime | None = None
    """When the last such fault was lifted; None when there was none."""


@dataclass(frozen=True, slots=True)
class ActiveProfile:
    """A profile and the shadows that may get copies or users now; with none, nothing of it reaches an Envoy."""

    profile: ShadowingProfile
    shadows: tuple[ActiveShadow, ...]


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The whole input of a translation. Profiles are in order of creation."""

    network: VirtualNetwork
    profiles: tuple[ActiveProfile, ...] = ()
