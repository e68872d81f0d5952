"""Translation as a function: addresses, names, timeouts."""

from dataclasses import replace

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpConnectionManager
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import UpstreamTlsContext
from envoy_data_plane.envoy.service.runtime.v3 import Runtime

from tests.envoy.values import active, component, fault, profile, shadow, state
from xds_server.cache.resource import CLUSTER, LISTENER, RUNTIME, Resource
from xds_server.model.names import sample_key
from xds_server.model.network import Address, Endpoint, UpstreamTLS
from xds_server.model.profile import Abort
from xds_server.model.state import NetworkState
from xds_server.translate import translate


def listeners(made: list[Resource]) -> dict[str, Listener]:
    return {r.name: Listener.parse(r.body) for r in made if r.type_url == LISTENER}


def shadow_timeout(made: list[Resource]) -> float:
    inside = next(each for name, each in listeners(made).items() if name.startswith("shadow-"))
    config = inside.filter_chains[0].filters[0].typed_config
    assert config is not None
    manager = HttpConnectionManager.parse(config.value)
    assert manager.route_config is not None
    action = manager.route_config.virtual_hosts[0].routes[0].route
    assert action is not None
    assert action.timeout is not None
    return action.timeout.total_seconds()


def mirrored(seconds: float, wanted: float) -> NetworkState:
    return state(component(timeout=seconds), profiles=(active(profile(shadow_timeout=wanted), shadow()),))


def test_a_listen_address_is_overridden_for_the_component_that_it_is_given_for() -> None:
    both = state(component(listen=Address("127.0.0.1", 1)), component("blog", listen=Address("127.0.0.1", 2)))
    made = listeners(translate(both, listen={"blog": Address("127.0.0.9", 99)}, runtime_ttl=15))
    addresses = {name: each.address.socket_address for name, each in made.items() if each.address}
    assert {name: (a.address, a.port_value) for name, a in addresses.items() if a} == {
        "listen/1": ("127.0.0.1", 1),
        "listen/99": ("127.0.0.9", 99),
    }


def test_a_second_component_on_the_address_leaves_the_listener_as_it_was() -> None:
    first = component(hosts=("a.example",))
    alone = listeners(translate(state(first), runtime_ttl=15))
    shared = listeners(translate(state(first, component("b", hosts=("b.example",))), runtime_ttl=15))
    assert alone == shared
    assert list(alone) == ["listen/0"]


def test_a_listener_does_not_depend_on_the_names_of_the_components_behind_it() -> None:
    a, b = (component(name, hosts=(f"{host}.example",)) for name, host in (("a", "a"), ("b", "b")))
    whole = listeners(translate(state(a, b), runtime_ttl=15))
    assert whole == listeners(translate(state(replace(a, name="c"), b), runtime_ttl=15))
    assert whole == listeners(translate(state(b), runtime_ttl=15))


def test_the_leg_is_shorter_than_the_mirrored_request_and_always_finite() -> None:
    assert shadow_timeout(translate(mirrored(0, 15), runtime_ttl=15)) == 15
    assert shadow_timeout(translate(mirrored(60, 15), runtime_ttl=15)) == 15
    assert shadow_timeout(translate(mirrored(10, 15), runtime_ttl=15)) == 8


def test_the_runtime_layer_is_there_without_a_profile_and_holds_millionths() -> None:
    def layer(made: list[Resource]) -> dict[str, object]:
        return dict(next(Runtime.parse(r.body) for r in made if r.type_url == RUNTIME).layer.to_dict())  # type: ignore[union-attr]

    assert layer(translate(state(component()), runtime_ttl=15)) == {}
    struck = shadow(faults=(fault(abort=Abort(http_status=500, percentage=12.34)),))
    each = state(component(), profiles=(active(profile(percentage=0.005), struck),))
    values = layer(translate(each, runtime_ttl=15))
    assert values[sample_key(profile().id)] == {"numerator": 5000.0, "denominator": "MILLION"}
    assert {"numerator": 123400.0, "denominator": "MILLION"} in values.values()


def test_profiles_of_components_that_are_gone_are_left_out() -> None:
    gone = active(profile(component_name="gone"), shadow())
    kept = translate(state(component(), profiles=(gone,)), runtime_ttl=15)
    assert kept == translate(state(component()), runtime_ttl=15)


@pytest.mark.parametrize(
    ("tls", "wanted"),
    [
        (UpstreamTLS(), [("IP_ADDRESS", "10.0.0.1"), ("DNS", "shop.internal")]),
        (UpstreamTLS(sni="a.example"), [("DNS", "a.example")]),
        (
            UpstreamTLS(sni="a", subject_alt_names=("spiffe://b/c", "::1")),
            [("URI", "spiffe://b/c"), ("IP_ADDRESS", "::1")],
        ),
    ],
)
def test_the_certificate_of_an_original_must_always_carry_a_name(
    tls: UpstreamTLS, wanted: list[tuple[str, str]]
) -> None:
    each = component(endpoints=(Endpoint("10.0.0.1", 443), Endpoint("shop.internal", 443)), tls=tls)
    cluster = next(Cluster.parse(r.body) for r in translate(state(each), runtime_ttl=15) if r.type_url == CLUSTER)
    assert cluster.transport_socket is not None
    assert cluster.transport_socket.typed_config is not None
    context = UpstreamTlsContext.parse(cluster.transport_socket.typed_config.value)
    assert context.sni == (tls.sni or "shop.internal")
    assert context.common_tls_context is not None
    assert context.common_tls_context.validation_context is not None
    names = context.common_tls_context.validation_context.match_typed_subject_alt_names
    assert [(each.san_type.name, each.matcher.exact) for each in names if each.matcher] == wanted
