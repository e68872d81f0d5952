from xds_server.cache.resource import CLUSTER
from xds_server.metrics import CONTENT_TYPE, render
from xds_server.protocol import telemetry


def test_labels_come_from_a_fixed_set_whatever_a_client_asks_for() -> None:
    assert telemetry.label(CLUSTER) == "Cluster"
    assert {telemetry.label(f"type.googleapis.com/made.up.Type{n}") for n in range(100)} == {"other"}


def test_what_is_counted_is_printed_for_prometheus() -> None:
    telemetry.responses(CLUSTER, "update").inc()
    telemetry.answers(CLUSTER, "nack").inc()
    telemetry.push_seconds(CLUSTER).observe(0.004)
    text = render().decode()
    assert 'shadowmesh_xds_responses_total{kind="update",type="Cluster"}' in text
    assert 'shadowmesh_xds_answers_total{answer="nack",type="Cluster"}' in text
    assert 'shadowmesh_xds_push_seconds_bucket{le="0.005",type="Cluster"}' in text
    assert CONTENT_TYPE.startswith("text/plain")
