from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.envoy.values import active, component, fault, profile, shadow, split, state
from xds_server.analysis.profile_config import QUANTILES, unpack_profile
from xds_server.lifecycle.configs import profile_configs
from xds_server.model.analysis import Analysis
from xds_server.model.judging import Check, Judging, Metric
from xds_server.model.profile import Abort, Delay, ShadowingProfile
from xds_server.model.rollout import Cohort
from xds_server.model.state import ActiveShadow


def test_a_copy_is_waited_for_as_long_as_its_timeout_and_the_faults_allow() -> None:
    slow = fault(1, delay=Delay(7.0)), fault(2, abort=Abort(http_status=503)), fault(3, delay=Delay(2.0))
    mirrored = active(profile(shadow_timeout=40.0), shadow(1), shadow(2, faults=slow))
    (config,) = profile_configs(state(component(), profiles=(mirrored,)))
    assert config.patience == 49.0
    (config,) = profile_configs(state(component(), profiles=(active(profile(shadow_timeout=40.0), shadow()),)))
    assert config.patience == 40.0


def test_a_shadow_is_warm_a_while_after_it_was_created() -> None:
    born = datetime(2026, 11, 26, tzinfo=UTC)
    old, unknown = replace(shadow(1), since=born), shadow(2)
    mirrored = active(profile(analysis=Analysis(judging=Judging(warm_up=7.5))), old, unknown)
    (config,) = profile_configs(state(component(), profiles=(mirrored,)))
    assert config.warm == {old.instance_id: born.timestamp() + 7.5}
    assert unpack_profile(config.pack()) == config
    (config,) = profile_configs(state(component(), profiles=(mirrored,)), wall=lambda when: when + timedelta(hours=1))
    assert config.warm == {old.instance_id: born.timestamp() + 3607.5}


@pytest.mark.parametrize(
    ("checks", "metrics", "quantiles"),
    [
        ((), ("response_time", "cpu"), (0.5, 0.99)),
        ((), ("error_rate",), QUANTILES),
        ((Check(Metric.ERROR_RATE, max_increase=0.1),), ("response_time",), QUANTILES),
        (
            tuple(Check(Metric.RESPONSE_TIME, max_ratio=1.1, quantile=q) for q in (0.9, 0.75, 0.9)),
            ("response_time",),
            (0.75, 0.9),
        ),
    ],
)
def test_the_quantiles_are_those_that_the_checks_name(
    checks: tuple[Check, ...], metrics: tuple[str, ...], quantiles: tuple[float, ...]
) -> None:
    judged = profile(analysis=Analysis(judging=Judging(checks=checks)), metrics=metrics)
    (config,) = profile_configs(state(component(), profiles=(active(judged, shadow(1)),)))
    assert config.quantiles == quantiles
    assert unpack_profile(config.pack()) == config


def test_the_weights_of_a_split_are_those_that_users_are_sent_by_now() -> None:
    """So not those of an instance that drains, nor when what the key says decides, nor of a profile that mirrors."""

    def told(each: ShadowingProfile, *shadows: ActiveShadow) -> Mapping[str, int]:
        (config,) = profile_configs(state(component(), profiles=(active(each, *shadows),)))
        assert unpack_profile(config.pack()) == config
        return config.weights

    running = shadow(1, variant="v2")
    assert told(split(weights={"v2": 12.5}), running) == {"v2": 125_000, "original": 875_000}
    assert told(split(weights={"v2": 12.5}), replace(running, draining=True)) == {}
    assert told(split(weights={"v2": 0.0}), running) == {}
    assert told(split(weights={"v2": 12.5})) == {}
    assert told(split(weights={"v2": 1.0}, cohort=Cohort(header="x-team", values=("a",))), running) == {}
    assert told(profile(), running) == {}
