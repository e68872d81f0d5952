from envoy_data_plane.envoy.config.core.v3 import Node
from envoy_data_plane.envoy.service.metrics.v3 import StreamMetricsMessage, StreamMetricsMessageIdentifier
from envoy_data_plane.io.prometheus import client as prometheus

from xds_server.analysis.ingest.metrics import ALS_WRITTEN, read_counters

AT_MS = 1_795_491_434_250


def family(name: str, *, counter: float | None = None, gauge: float | None = None) -> prometheus.MetricFamily:
    metric = prometheus.Metric(timestamp_ms=AT_MS)
    if counter is not None:
        metric.counter = prometheus.Counter(value=counter)
    if gauge is not None:
        metric.gauge = prometheus.Gauge(value=gauge)
    return prometheus.MetricFamily(name=name, metric=[metric])


def message(*families: prometheus.MetricFamily) -> bytes:
    """Encode with the full definitions, which ours must agree with."""
    node = Node(id="envoy-1", cluster="shop")
    return bytes(
        StreamMetricsMessage(identifier=StreamMetricsMessageIdentifier(node=node), envoy_metrics=list(families))
    )


def test_the_counters_that_matter_are_read_as_envoy_encodes_them() -> None:
    found = read_counters(
        message(
            family("http.shadow-i.downstream_rq_total", counter=12.0),
            family("http.shadow-i.downstream_rq_active", gauge=3.0),
            family("cluster.shadow-in-i.upstream_rq_pending_overflow", counter=2.0),
            family(ALS_WRITTEN, counter=99.0),
            family("server.uptime", gauge=60.0),
            family("http.admin.downstream_rq_total", counter=5.0),
            family("listener.envoy_internal_shadow-i.http.shadow-i.downstream_rq_completed", counter=5.0),
        )
    )
    assert found is not None
    assert (found.node, found.at, found.uptime) == ("envoy-1", AT_MS / 1000, 60.0)
    assert found.values == {
        "http.shadow-i.downstream_rq_total": 12.0,
        "http.shadow-i.downstream_rq_active": 3.0,
        "cluster.shadow-in-i.upstream_rq_pending_overflow": 2.0,
        ALS_WRITTEN: 99.0,
    }


def test_nonsense_is_none() -> None:
    assert read_counters(b"\xff\xff") is None
