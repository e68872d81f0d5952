"""What the analysis is told of the profiles of a network. Pure."""

from collections.abc import Callable, Iterator
from datetime import datetime

from xds_server.analysis.profile_config import QUANTILES, ProfileConfig
from xds_server.model.judging import checks_of
from xds_server.model.profile import ShadowingProfile
from xds_server.model.state import ActiveProfile, ActiveShadow, NetworkState
from xds_server.translate.splits import chances

NEVER = 1e12
"""Seconds since the epoch that nobody lives to see."""

__all__ = ["ProfileConfig", "profile_configs"]


def profile_configs(
    state: NetworkState, *, wall: Callable[[datetime], datetime] = lambda when: when
) -> Iterator[ProfileConfig]:
    """Return the configuration of each profile whose component is there, with the shadows mirrored to now.

    Args:
        state: of the network.
        wall: turns a moment of the state into what Envoys' clocks have for it.
    """
    for active in state.profiles:
        profile = active.profile
        component = state.network.component(profile.component_name)
        if component is not None:
            yield ProfileConfig(
                profile_id=profile.id,
                network=state.network.name,
                component=component.name,
                protocol=component.protocol.value,
                shadows={shadow.instance_id: shadow.variant for shadow in active.shadows},
                head_bytes=profile.capture.head_bytes,
                keep_credentials=profile.keep_credentials,
                analysis=profile.analysis,
                control=next((s.instance_id for s in active.shadows if profile.is_control(s.variant)), ""),
                warm=dict(_warm(active, wall)),
                quantiles=_quantiles(profile),
                weights=chances(active),
                patience=profile.shadow_timeout + max(map(_held_back, active.shadows), default=0.0),
            )


def _warm(active: ActiveProfile, wall: Callable[[datetime], datetime]) -> Iterator[tuple[str, float]]:
    """Return from when on each shadow is warm; a fault of the instance itself is like a start."""
    for shadow in active.shadows:
        starts = [at for at in (shadow.since, shadow.calm_since) if at is not None]
        if shadow.disturbed:
            yield shadow.instance_id, NEVER
        elif starts:
            yield shadow.instance_id, wall(max(starts)).timestamp() + active.profile.analysis.judging.warm_up


def _quantiles(profile: ShadowingProfile) -> tuple[float, ...]:
    """Return the quantiles of the response time that the checks in force name."""
    checks = checks_of(profile.analysis.judging, profile.metrics)
    return tuple(sorted({check.quantile for check in checks if check.quantile is not None})) or QUANTILES


def _held_back(shadow: ActiveShadow) -> float:
    """Return the longest that the shadow's faults hold a copy back, before its timeout begins."""
    return sum(fault.parameters.delay.fixed_delay for fault in shadow.faults if fault.parameters.delay is not None)
