"""The runtime layer: all shares, weights and fault percentages of a network, in one resource with a TTL."""

from collections.abc import Mapping
from types import MappingProxyType

from envoy_data_plane.envoy.service.runtime.v3 import Runtime
from envoy_data_plane.google.protobuf import Struct

from xds_server.model.names import RTDS_LAYER


def runtime_layer(millionths: Mapping[str, int], weights: Mapping[str, int] = MappingProxyType({})) -> Runtime:
    """Return the layer; it is always there, also when it is empty.

    Only this form of a value is a fraction to Envoy: a plain number is an integer percentage, and others are ignored or
    mean everything, without a NACK. The weights of clusters are read as plain integers, and as nothing else.
    """
    values: dict[str, object] = {
        key: {"numerator": millionths[key], "denominator": "MILLION"} for key in sorted(millionths)
    }
    values |= {key: weights[key] for key in sorted(weights)}
    return Runtime(name=RTDS_LAYER, layer=Struct.from_dict(values))
