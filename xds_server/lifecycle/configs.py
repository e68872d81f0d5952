"""What the analysis is told of the profiles of a network. Pure."""

from collections.abc import Iterator

from xds_server.analysis.profile_config import QUANTILES, ProfileConfig
from xds_server.model.judging import checks_of
from xds_server.model.profile import ShadowingProfile
from xds_server.model.state import ActiveShadow, NetworkState
from xds_server.translate.splits import chances

__all__ = ["ProfileConfig", "profile_configs"]


def profile_configs(state: NetworkState) -> Iterator[ProfileConfig]:
    """Return the configuration of each profile whose component is there, with the shadows mirrored to now."""
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
                warm={
                    s.instance_id: s.since.timestamp() + profile.analysis.judging.warm_up
                    for s in active.shadows
                    if s.since is not None
                },
                quantiles=_quantiles(profile),
                weights=chances(active),
                patience=profile.shadow_timeout + max(map(_held_back, active.shadows), default=0.0),
            )


def _quantiles(profile: ShadowingProfile) -> tuple[float, ...]:
    """Return the quantiles of the response time that the checks in force name."""
    checks = checks_of(profile.analysis.judging, profile.metrics)
    return tuple(sorted({check.quantile for check in checks if check.quantile is not None})) or QUANTILES


def _held_back(shadow: ActiveShadow) -> float:
    """Return the longest that the shadow's faults hold a copy back, before its timeout begins."""
    return sum(fault.parameters.delay.fixed_delay for fault in shadow.faults if fault.parameters.delay is not None)
