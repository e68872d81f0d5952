"""What an engine's statistics of a container say. Pure.

Source: Docker Engine API, `GET /containers/{id}/stats`; memory without the cache that can be dropped, as `docker stats`
shows it.
"""

from collections.abc import Mapping
from typing import Any

from xds_server.runtime.base import Usage

_NANO = 1e9


def usage(shadow: Mapping[str, Any], guard: Mapping[str, Any]) -> Usage | None:
    """Return the usage of a shadow; None when it does not run.

    Args:
        shadow: statistics of its container.
        guard: statistics of its guard, which has the network.
    """
    cpu, memory = shadow.get("cpu_stats", {}), shadow.get("memory_stats", {})
    if "usage" not in memory:
        return None
    details = memory.get("stats", {})
    droppable = details.get("total_inactive_file", details.get("inactive_file", 0))
    networks = (guard.get("networks") or {}).values()
    return Usage(
        cpu_seconds=cpu.get("cpu_usage", {}).get("total_usage", 0) / _NANO,
        rss_bytes=max(0, memory["usage"] - droppable),
        received_bytes=sum(one["rx_bytes"] for one in networks),
        sent_bytes=sum(one["tx_bytes"] for one in networks),
        throttled_seconds=cpu.get("throttling_data", {}).get("throttled_time", 0) / _NANO,
        memory_limit=memory.get("limit"),
    )
