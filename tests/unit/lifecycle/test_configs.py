from tests.envoy.values import active, component, fault, profile, shadow, state
from xds_server.lifecycle.configs import profile_configs
from xds_server.model.profile import Abort, Delay


def test_a_copy_is_waited_for_as_long_as_its_timeout_and_the_faults_allow() -> None:
    slow = fault(1, delay=Delay(7.0)), fault(2, abort=Abort(http_status=503)), fault(3, delay=Delay(2.0))
    mirrored = active(profile(shadow_timeout=40.0), shadow(1), shadow(2, faults=slow))
    (config,) = profile_configs(state(component(), profiles=(mirrored,)))
    assert config.patience == 49.0
    (config,) = profile_configs(state(component(), profiles=(active(profile(shadow_timeout=40.0), shadow()),)))
    assert config.patience == 40.0
