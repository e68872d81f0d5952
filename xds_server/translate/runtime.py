"""The runtime layer: all shares and fault percentages of a network, in one resource with a TTL."""

from collections.abc import Mapping

from envoy_data_plane.envoy.service.runtime.v3 import Runtime
from envoy_data_plane.google.protobuf import Struct

from xds_server.model.names import RTDS_LAYER


def runtime_layer(millionths: Mapping[str, int]) -> Runtime:
    """Return the layer; it is always there, also when it is empty.

    Only this form of a value is a fraction to Envoy: a plain number is an integer percentage, and others are ignored or
    mean everything, without a NACK.
    """
    values = {key: {"numerator": millionths[key], "denominator": "MILLION"} for key in sorted(millionths)}
    return Runtime(name=RTDS_LAYER, layer=Struct.from_dict(values))
