"""Envoy's own counters, as its metrics service sink pushes them.

Source: envoy/service/metrics/v3/metrics_service.proto and io/prometheus/client/metrics.proto. xds-protos leaves both
out (the package `io` is Python's), so the few fields we read are described here; unknown fields are skipped.

Guarantees: no message raises; only the counters that the analysis reconciles are kept, so thousands of others cost a
look at their name each.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

SERVICE = "envoy.service.metrics.v3.MetricsService"
METHOD = "StreamMetrics"

UPTIME = "server.uptime"
ALS_WRITTEN = "access_logs.grpc_access_log.logs_written"
ALS_DROPPED = "access_logs.grpc_access_log.logs_dropped"

_Field = descriptor_pb2.FieldDescriptorProto
_SHAPES: dict[str, tuple[tuple[str, int, str, bool], ...]] = {
    "Node": (("id", 1, "string", False), ("cluster", 2, "string", False)),
    "Identifier": (("node", 1, "Node", False),),
    "Value": (("value", 1, "double", False),),
    "Metric": (("gauge", 2, "Value", False), ("counter", 3, "Value", False), ("timestamp_ms", 6, "int64", False)),
    "Family": (("name", 1, "string", False), ("metric", 4, "Metric", True)),
    "Message": (("identifier", 1, "Identifier", False), ("envoy_metrics", 2, "Family", True)),
}
_SCALARS = {"string": _Field.TYPE_STRING, "double": _Field.TYPE_DOUBLE, "int64": _Field.TYPE_INT64}
_PACKAGE = "shadowmesh.analysis.metrics"


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="shadowmesh/metrics.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _SHAPES.items():
        message = file.message_type.add(name=name)
        for label, number, kind, repeated in fields:
            described = message.field.add(name=label, number=number)
            described.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            if kind in _SCALARS:
                described.type = _SCALARS[kind]
            else:
                described.type, described.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Message"))


Message = _message_class()
"""`StreamMetricsMessage`, the fields we read."""


@dataclass(slots=True)
class Counters:
    """What one push said. `at` is Envoy's clock, seconds since the epoch; `uptime` None when it was not pushed."""

    node: str | None = None
    at: float = 0.0
    uptime: float | None = None
    values: dict[str, float] = field(default_factory=dict)


def read_counters(message: bytes, wanted: Iterable[str] = ("http.shadow-", "cluster.shadow-in-")) -> Counters | None:
    """Return the counters of one encoded `StreamMetricsMessage`; None when it is something else.

    Args:
        message: the bytes.
        wanted: prefixes of the names to keep, besides those of the access log.
    """
    try:
        parsed = Message.FromString(message)
    except DecodeError:
        return None
    found = Counters(node=parsed.identifier.node.id if parsed.HasField("identifier") else None)
    prefixes = tuple(wanted)
    for family in parsed.envoy_metrics:
        name = family.name
        if not (name.startswith(prefixes) or name in {UPTIME, ALS_WRITTEN, ALS_DROPPED}):
            continue
        for metric in family.metric:
            value = metric.counter.value if metric.HasField("counter") else metric.gauge.value
            if name == UPTIME:
                found.uptime = value
            else:
                found.values[name] = value
            found.at = max(found.at, metric.timestamp_ms / 1000)
    return found
