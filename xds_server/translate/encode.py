"""From betterproto2 messages to bytes: each content once, what is alike shared.

Guarantees: the same values give the same bytes, in every process.
Encoding is what costs (milliseconds a listener), so long messages are made of two encodings: one of the part that all
share, made once, and one of what is this one's own. Two encodings of one message type, put one after the other, are an
encoding of both merged (Protocol Buffers, "Last one wins" and concatenation of repeated fields).
"""

from datetime import timedelta

from betterproto2 import Message
from envoy_data_plane.envoy.config.core.v3 import (
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    RuntimeFractionalPercent,
)
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType
from envoy_data_plane.google.protobuf import Any
from envoy_data_plane.message_pool import default_message_pool

from xds_server.translate.fastbytes import fast_bytes

NO_SHARE = FractionalPercent(numerator=0, denominator=FractionalPercentDenominatorType.MILLION)
"""Nobody: what a fraction is without a value in the runtime layer."""


def packed(message: Message) -> Any:
    """Return `message` as an Any."""
    return Any(type_url=default_message_pool.type_to_url[type(message)], value=fast_bytes(message))


def merged(shared: Any, own: Message) -> Any:
    """Return an Any of what is `shared` and the fields of `own`, a message of the type it holds."""
    return Any(type_url=shared.type_url, value=shared.value + fast_bytes(own))


def seconds(value: float) -> timedelta:
    """Return a duration; 0 is written as 0, not left out."""
    return timedelta(seconds=value)


def by_runtime(key: str) -> RuntimeFractionalPercent:
    """Return a fraction that is 0 unless the runtime layer says otherwise (the dead-man switch)."""
    return RuntimeFractionalPercent(default_value=NO_SHARE, runtime_key=key)


def set_header(name: str, value: str) -> HeaderValueOption:
    """Return the instruction to set a header, whatever it was."""
    return HeaderValueOption(
        header=HeaderValue(key=name, value=value),
        append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    )


def from_ads(*, initial_fetch_timeout: float | None = None) -> ConfigSource:
    """Return the aggregated stream as the source of a resource."""
    return ConfigSource(
        ads=AggregatedConfigSource(),
        resource_api_version=ApiVersion.V3,
        initial_fetch_timeout=None if initial_fetch_timeout is None else seconds(initial_fetch_timeout),
    )
