"""The demo: the main job, end to end, on a real Envoy (`shadowmesh demo`)."""

from xds_server.demo.main import SECONDS, run

__all__ = ["SECONDS", "run"]
