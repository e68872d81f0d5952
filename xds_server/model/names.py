"""The names that Envoy's configuration, the access log and the analysis share. One place, so they cannot drift.

Sources: header and metadata names are ours; resource names appear in `istioctl`-like listings and in Envoy's stats.
"""

from collections.abc import Iterable, Iterator

from xds_server.model.ids import FaultID, InstanceID, ProfileID
from xds_server.model.network import Address

PAIR_HEADER = "x-shadowmesh-pair"
"""Set (overwritten) on each sampled request: `<profileID>/<Envoy's %UNIQUE_ID%>`. Both legs carry it."""
ARM_MARK = "~"
"""Before the name of an arm, in the pair header of requests that are measured and not mirrored:
`<profileID>/~<arm>/<Envoy's %UNIQUE_ID%>`. An arm is a variant of a split, or one of the first three below."""
PLAIN_ARM = "plain"
"""Of a profile that mirrors: requests drawn like the mirrored ones, and not mirrored."""
ORIGINAL_ARM = "original"
"""Of a split: requests with the cohort's key that the original is to answer."""
KEYLESS_ARM = "keyless"
"""Of a split: requests without the cohort's key."""
MIRRORED_ARM = "mirrored"
"""Of a profile that mirrors: originals of which copies were sent; their pair header names no arm."""
ARMS = frozenset({PLAIN_ARM, ORIGINAL_ARM, KEYLESS_ARM, MIRRORED_ARM})
"""Arms that the original answers; no variant may be called so."""
SHADOW_HEADER = "x-shadowmesh-shadow"
"""Marks a copy, and tells which instance it is for: `<instanceID>`. The original never carries it."""
LOG_NAME = "shadowmesh"
"""`log_name` of the access log (ALS) of both legs."""
CAPTURE_METADATA = "shadowmesh.capture"
"""Namespace of the dynamic metadata that the capture filter writes and the access log carries."""
NODE_METADATA = "shadowmesh.node"
"""Node metadata: name of the node of the inventory that this Envoy runs on."""
ADMIN_METADATA = "shadowmesh.admin"
"""Node metadata: `address:port` of this Envoy's admin interface, where the manager reads its counters."""
RTDS_LAYER = "shadowmesh"
"""The one runtime layer; a change of a percentage or a fault touches this resource alone."""
MILLION = 1_000_000
"""The denominator of every fraction (samples nest only with equal denominators)."""
CONTROL_CLUSTER = "shadowmesh-control"
"""Bootstrap cluster of the management server.

Must sort before ENGINE_CLUSTER: Envoy 1.40 initialises static clusters in order of name and starts ADS at the first
one that ADS needs. With the engine's first, the manager's is "not available" then, and Envoy begins with the failover
source although the manager is there (tried).
"""
ENGINE_CLUSTER = "shadowmesh-engine"
"""Bootstrap cluster of the analysis engine of the Envoy's node: ALS, metrics, failover source of resources."""


def listener_names(addresses: Iterable[Address]) -> Iterator[tuple[Address, str]]:
    """Yield each address that components listen on with the name of the listener there, and of its routes.

    Not the name of a component: one that gets another name would get another listener, and its clients' connections
    would be left with a listener that has lost its routes. Not the whole address either, but where several share a
    port: Envoy can bind neither of `0.0.0.0` and `127.0.0.1` while it has the other, and keeps a listener that cannot
    be updated, but not one that was removed.
    """
    ports: set[int] = set()
    for address in addresses:
        shared = address.port in ports
        ports.add(address.port)
        yield address, f"listen/{address.address}:{address.port}" if shared else f"listen/{address.port}"


def component_cluster(component: str) -> str:
    """Return the name of the cluster of a component's original endpoints."""
    return f"component/{component}"


def shadow_listener(instance: InstanceID) -> str:
    """Return the name of the internal listener that a shadow's copies pass."""
    return f"shadow-{instance}"


def shadow_in_cluster(instance: InstanceID) -> str:
    """Return the name of the cluster that leads a mirrored request into the internal listener."""
    return f"shadow-in-{instance}"


def shadow_cluster(instance: InstanceID) -> str:
    """Return the name of the cluster of the shadow instance itself."""
    return f"shadow-{instance}"


CANDIDATES = "split-"
"""What the names of clusters of instances that get users begin with."""


def split_cluster(instance: InstanceID) -> str:
    """Return the name of the cluster of an instance that gets users."""
    return f"{CANDIDATES}{instance}"


def guarded_cluster(instance: InstanceID) -> str:
    """Return the name of the cluster that users are sent to: the instance, or the original where it does not work."""
    return f"split-{instance}-or-original"


USERS = 4096
"""Numbers that stand for the users of a split; more of them than one have the same where there are many."""


def arm_pair(profile: ProfileID, arm: str) -> str:
    """Return what the pair header of an arm's requests is made of, in Envoy's format."""
    return f"{profile}/{ARM_MARK}{arm}/%UNIQUE_ID%"


def sample_key(profile: ProfileID) -> str:
    """Return the runtime key of a profile's (cumulative) share; in a split, of the share that is measured."""
    return f"shadowmesh.sample.{profile}"


def plain_key(profile: ProfileID) -> str:
    """Return the runtime key of a profile's (cumulative) share of requests that are measured and not mirrored."""
    return f"shadowmesh.plain.{profile}"


def split_key(profile: ProfileID) -> str:
    """Return the prefix of the runtime keys of a split's weights; Envoy adds `.<name of the cluster>`."""
    return f"shadowmesh.split.{profile}"


def weight_key(profile: ProfileID, cluster: str) -> str:
    """Return the runtime key of the weight of a cluster in a split."""
    return f"{split_key(profile)}.{cluster}"


def fault_key(fault: FaultID, part: str) -> str:
    """Return the runtime key of one part of a fault: `delay_percent`, `abort_percent`, `rate_limit_percent`."""
    return f"shadowmesh.fault.{fault}.{part}"
