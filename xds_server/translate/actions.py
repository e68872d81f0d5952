"""What a route does with requests of a component: its timeouts, and what is tried again.

Guarantees: the original's own rules are the same on each route of a component, so that requests that are mirrored, only
measured, or neither, differ in nothing else.
"""

from typing import Any

from envoy_data_plane.envoy.config.route.v3 import (
    RetryPolicy,
    RetryPolicyRetryBackOff,
    RetryPolicyRetryPriority,
    RouteAction,
    WeightedCluster,
)
from envoy_data_plane.envoy.extensions.retry.priority.previous_priorities.v3 import PreviousPrioritiesConfig

from xds_server.model.names import component_cluster
from xds_server.model.network import Component, Protocol
from xds_server.translate.encode import packed, seconds

SAFE_TO_RETRY = "connect-failure,refused-stream,reset-before-request"
"""Only what surely has not reached the application is tried again: right for every method."""
RETRY_AFTER = 0.001
"""Seconds before a request that a candidate did not take is tried at the original (Envoy waits 25 ms by default)."""


def to_original(component: Component) -> RouteAction:
    """Return the action of the routes that lead to the original."""
    action = _action(component, cluster=component_cluster(component.name))
    if component.retries:
        action.retry_policy = RetryPolicy(retry_on=_retried(component), num_retries=component.retries)
    return action


def to_arms(component: Component, weighted: WeightedCluster, *, safe_methods: bool) -> RouteAction:
    """Return the action of a route that splits.

    What an arm did not take is tried once more at least, at the next priority: for a candidate, that is the original.

    Args:
        component: whose requests they are.
        weighted: the arms.
        safe_methods: all methods are safe, so that what broke off without an answer may be tried again as well.
    """
    action = _action(component, weighted_clusters=weighted)
    previous = PreviousPrioritiesConfig(update_frequency=1)
    action.retry_policy = RetryPolicy(
        retry_on=_retried(component) + (",reset" if safe_methods else ""),
        num_retries=max(1, component.retries),
        retry_priority=RetryPolicyRetryPriority(
            name="envoy.retry_priorities.previous_priorities", typed_config=packed(previous)
        ),
        retry_back_off=RetryPolicyRetryBackOff(base_interval=seconds(RETRY_AFTER)),
    )
    return action


def _action(component: Component, **where: Any) -> RouteAction:
    action = RouteAction(**where, timeout=seconds(component.timeout))
    if component.idle_timeout is not None:
        action.idle_timeout = seconds(component.idle_timeout)
    return action


def _retried(component: Component) -> str:
    return SAFE_TO_RETRY + (",unavailable" if component.protocol is Protocol.GRPC and component.retries else "")
