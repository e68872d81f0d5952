"""Short ways to the values that translations are made of."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from xds_server.model.ids import FaultID, InstanceID, NetworkID, ProfileID
from xds_server.model.network import Address, Component, Endpoint, Protocol, VirtualNetwork
from xds_server.model.profile import CONTROL, EndpointSpec, Fault, FaultParameters, ShadowingProfile, Variant
from xds_server.model.rollout import Cohort, Mode, Split
from xds_server.model.state import ActiveProfile, ActiveShadow, NetworkState

PROFILE = "11111111-0000-4000-8000-000000000001"
INSTANCE = "22222222-0000-4000-8000-000000000001"
FAULT = "33333333-0000-4000-8000-000000000001"
BY_USER = Cohort(header="x-user")
LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)


def component(name: str = "catalog", *, port: int = 9001, **more: Any) -> Component:
    """Return a component that listens on a port of Envoy's choice and has one endpoint, on `port`."""
    values: dict[str, Any] = {
        "name": name,
        "protocol": Protocol.HTTP1,
        "listen": Address("127.0.0.1", 0),
        "endpoints": (Endpoint("127.0.0.1", port),),
    }
    return Component(**{**values, **more})


def network(*components: Component) -> VirtualNetwork:
    return VirtualNetwork(NetworkID("44444444-0000-4000-8000-000000000001"), "shop", components)


def profile(number: int = 1, **more: Any) -> ShadowingProfile:
    """Return a profile of the whole traffic of component `catalog`; `number` tells it from others."""
    values: dict[str, Any] = {
        "id": ProfileID(f"{PROFILE[:-1]}{number}"),
        "network_id": NetworkID("44444444-0000-4000-8000-000000000001"),
        "component_name": "catalog",
        "percentage": 1.0,
        "ttl": 600.0,
        "variants": (Variant("v2", EndpointSpec("127.0.0.1", 9002)),),
    }
    return ShadowingProfile(**{**values, **more})


def shadow(
    number: int = 1,
    *,
    port: int = 9002,
    faults: tuple[Fault, ...] = (),
    variant: str = "v2",
    draining: bool = False,
) -> ActiveShadow:
    instance, address = InstanceID(f"{INSTANCE[:-1]}{number}"), Address("127.0.0.1", port)
    return ActiveShadow(instance, variant, address, faults, draining=draining)


def split(number: int = 1, *, cohort: Cohort = BY_USER, **more: Any) -> ShadowingProfile:
    """Return a profile that sends users to variants, by header `x-user` unless told otherwise, and measures nobody.

    `weights` are those of its variants, in order; v2 alone has 25 of 100.
    """
    weights: dict[str, float] = more.pop("weights", {"v2": 25.0})
    variants = tuple(Variant(name, EndpointSpec("127.0.0.1", 9002)) for name in weights)
    values = {"percentage": 0.0, "variants": variants, "mode": Mode.SPLIT, "split": Split(cohort, weights)}
    return profile(number, **{**values, **more})


def control(number: int = 2, *, port: int = 9001, original: bool = False) -> ActiveShadow:
    """Return a profile's control; `original`: it is the original itself."""
    address = Address("", 0) if original else Address("127.0.0.1", port)
    return ActiveShadow(InstanceID(f"{INSTANCE[:-1]}{number}"), CONTROL, address, original=original)


def fault(number: int = 1, *, instance: int = 1, **parameters: Any) -> Fault:
    return Fault(
        FaultID(f"{FAULT[:-1]}{number}"),
        InstanceID(f"{INSTANCE[:-1]}{instance}"),
        FaultParameters(**parameters),
        LONG_AGO,
    )


def active(each: ShadowingProfile, *shadows: ActiveShadow) -> ActiveProfile:
    return ActiveProfile(each, shadows)


def state(*components: Component, profiles: tuple[ActiveProfile, ...] = ()) -> NetworkState:
    return NetworkState(network(*components), profiles)


def without_profiles(each: NetworkState) -> NetworkState:
    return replace(each, profiles=())
