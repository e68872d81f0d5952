"""Names that Envoy takes a meaning from."""

from xds_server.model.names import CONTROL_CLUSTER, ENGINE_CLUSTER


def test_envoy_initialises_the_managers_cluster_before_the_failover_source() -> None:
    assert CONTROL_CLUSTER < ENGINE_CLUSTER
