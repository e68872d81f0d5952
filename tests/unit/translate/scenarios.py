"""The networks of the golden files; each is also served to a real Envoy, in tests/envoy/test_golden.py."""

from dataclasses import replace

from tests.envoy.values import active, component, control, fault, profile, shadow, split, state
from xds_server.model.network import Address, Endpoint, Protocol, UpstreamTLS
from xds_server.model.profile import (
    Abort,
    Capture,
    Control,
    Delay,
    EndpointSpec,
    HeaderMatch,
    HeaderMatchKind,
    Match,
    ResponseRateLimit,
    SelfSpec,
)
from xds_server.model.rollout import Cohort
from xds_server.model.state import NetworkState

RUNTIME_TTL = 15.0
_RED = HeaderMatch("x-team", HeaderMatchKind.EXACT, "red")
_GRPC = component(protocol=Protocol.GRPC, endpoints=(Endpoint("127.0.0.1", 9001), Endpoint("::1", 9001, weight=3)))

SCENARIOS: dict[str, NetworkState] = {
    "plain": state(component()),
    "empty": state(),
    "one_profile": state(component(), profiles=(active(profile(percentage=0.1234), shadow()),)),
    "no_shadow_yet": state(component(), profiles=(active(profile()),)),
    "everything_of_a_component": state(
        component(
            endpoints=(Endpoint("one.example", 443), Endpoint("two.example", 443)),
            hosts=("shop.example", "*.shop.example"),
            timeout=5.0,
            idle_timeout=60.0,
            retries=2,
            upgrades=("websocket",),
            tls=UpstreamTLS(sni="shop.example", ca_file="", subject_alt_names=("a.example", "b.example")),
        ),
        profiles=(active(profile(shadow_timeout=30.0), shadow()),),
    ),
    "shared_port": state(
        component(hosts=("shop.example",)),
        component("blog", protocol=Protocol.HTTP2, hosts=("blog.example",), upgrades=("websocket",)),
        component("own", listen=Address("127.0.0.2", 0)),
        profiles=(active(profile(component_name="blog", percentage=0.5), shadow()),),
    ),
    "grpc": state(
        _GRPC,
        profiles=(active(profile(match=Match(grpc=("shop.Catalog/Get*", "shop.Catalog/List"))), shadow()),),
    ),
    "faults": state(
        component(),
        profiles=(
            active(
                profile(),
                shadow(
                    1,
                    faults=(
                        fault(1, delay=Delay(0.2, 50), abort=Abort(http_status=503, percentage=20)),
                        fault(2, abort=Abort(grpc_status=14, percentage=12.34), headers=(_RED,)),
                        fault(3, response_rate_limit=ResponseRateLimit(kbps=64, percentage=0)),
                    ),
                ),
                shadow(2),
            ),
        ),
    ),
    "control": state(
        component(),
        profiles=(active(profile(control=Control(EndpointSpec("127.0.0.1", 9001))), shadow(1), control(2)),),
    ),
    "control_self": state(
        component(timeout=5.0),
        profiles=(active(profile(control=Control(SelfSpec())), shadow(1), control(2, original=True)),),
    ),
    "overlapping_profiles": state(
        component(),
        profiles=(
            active(profile(1, percentage=0.5, match=Match(path_prefix="/api")), shadow(1)),
            active(profile(2, percentage=0.005, match=Match(path_regex="/api/.*", headers=(_RED,))), shadow(2)),
            active(
                profile(3, percentage=0.25, match=Match(methods=("GET", "POST"), path="/api/items")),
                shadow(3),
            ),
        ),
    ),
    "every_choice_of_a_profile": state(
        component(),
        profiles=(
            active(
                profile(
                    keep_credentials=True,
                    capture=Capture(head_bytes=1024, checksum=False),
                    max_request_bytes=4096,
                    shadow_timeout=2.5,
                    match=Match(
                        methods=("DELETE",),
                        headers=(
                            HeaderMatch("X-Kind", HeaderMatchKind.PREFIX, "a"),
                            HeaderMatch("x-kind", HeaderMatchKind.REGEX, "a+"),
                            HeaderMatch("x-there", HeaderMatchKind.PRESENT),
                        ),
                    ),
                ),
                replace(shadow(), address=Address("shadow.example", 80)),
            ),
        ),
    ),
    "split": state(
        component(timeout=5.0, idle_timeout=60.0),
        profiles=(
            active(
                split(1, weights={"v2": 5.0, "v3": 12.5, "v4": 1.0}, percentage=0.1, match=Match(path_prefix="/shop")),
                shadow(1),
                shadow(2, variant="v3", draining=True),
            ),
            active(profile(2, percentage=0.5, match=Match(path="/other")), shadow(3)),
        ),
    ),
    "split_by_values": state(
        component(protocol=Protocol.HTTP2, retries=2, upgrades=("websocket",)),
        profiles=(
            active(
                split(
                    cohort=Cohort(cookie="group", values=("staff", "a.b")),
                    weights={"v2": 1.0},
                    percentage=1.0,
                    match=Match(methods=("GET", "POST")),
                ),
                replace(shadow(), address=Address("candidate.example", 80)),
            ),
        ),
    ),
}
