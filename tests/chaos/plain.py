"""The run without us: a plain Envoy in front of the same original, with the same clients, killed in the same way.

Its wrong answers are what a killed Envoy alone costs; the campaign counts them apart by the same rule.
"""

import asyncio
import json
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.chaos.blows import Blows
from tests.chaos.callers import Callers
from tests.chaos.invariants import RATE, Result, judge_clients, judge_speed
from tests.chaos.points import Blow, Moment, Point
from tests.chaos.theatre import Theatre
from tests.envoy.stack import Proxy, Stack, wait_for
from xds_server.demo.stage import catalogue_command
from xds_server.envoy_binary import find_envoy

TYPES = "type.googleapis.com/envoy.extensions.filters"
KILLS = 10


@dataclass
class Plain(Theatre):
    """An original and an Envoy that nobody configures."""

    def open(self) -> None:
        command = catalogue_command(version=1, port=str(self.originals["catalog"]), plain=True)
        self.household.start("original", command)
        admin = self.household.free_port()
        config = self.folder / "plain.json"
        config.write_text(json.dumps(self._bootstrap(admin)))
        envoy = [str(find_envoy()), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
        self.proxy = Proxy(self.household.start("envoy", envoy), admin, self.listens, envoy)
        wait_for(self.proxy.serves, "Envoy is ready")
        wait_for(lambda: _listens(self.originals["catalog"]), "the original answers")

    def close(self) -> None:
        Stack.close(self)

    def _bootstrap(self, admin: int) -> dict[str, object]:
        def at(port: int) -> dict[str, object]:
            return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

        route = {"match": {"prefix": "/"}, "route": {"cluster": "original", "timeout": "0s"}}
        manager = {
            "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "plain",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
            "http_filters": [{"name": "router", "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"}}],
        }
        chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
        endpoint = {"endpoint": {"address": at(self.originals["catalog"])}}
        cluster = {
            "name": "original",
            "type": "STATIC",
            "load_assignment": {"cluster_name": "original", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        listener = {"name": "plain", "address": at(self.listens["catalog"]), "filter_chains": [chain]}
        return {
            "admin": {"address": at(admin)},
            "static_resources": {"listeners": [listener], "clusters": [cluster]},
        }


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


def without_us(seed: int) -> str:
    """Kill a plain Envoy some times; return what clients saw, in words."""
    with tempfile.TemporaryDirectory(prefix="shadowmesh-chaos-") as folder:
        plain = Plain(Path(folder))
        try:
            plain.open()
            return asyncio.run(_kills(plain, Random(seed)))
        finally:
            plain.close()


async def _kills(plain: Plain, chance: Random) -> str:
    callers = Callers(plain.proxy.ports["catalog"], await plain.expected(), RATE, Random(7))
    callers.start()
    blows, slowest = Blows(plain), 0.0
    try:
        for _ in range(KILLS):
            await asyncio.sleep(1.0)
            mend = await blows.land(Blow.KILL_ENVOY)
            await asyncio.sleep(chance.uniform(0.2, 2.5))
            await mend()
            slowest = max(slowest, blows.envoy_up)
        await asyncio.sleep(1.0)
    finally:
        await callers.stop()
    result = Result(Point(0, Blow.KILL_ENVOY, Moment.IDLE, 0.0, 0.0))
    judge_clients(result, callers.wrong, blows.away)
    judge_speed(result, callers, blows.away)
    return (
        f"without us: a plain Envoy was killed {KILLS} times; {callers.sent} requests, {result.hurt} hurt outside of "
        f"its absence, {result.while_envoy_was_away} within it; it served {slowest:.2f} s after its start at the "
        f"latest; the slowest right answer took {result.slowest:.2f} s"
    )
