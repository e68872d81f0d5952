"""Where a hostile shadow is tried: the whole stack, an original, and a plain Envoy beside ours for the run without us.

One trial (`Ground.trial`) is four parts of constant traffic: through the plain Envoy; through ours while the shadow is
new, until its guards have had their time; through ours afterwards; through the plain one again.
"""

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.envoy.stack import JSON, Stack, answers, wait_for
from tests.hostile import original, shadows
from tests.hostile.clients import ORDINARY, Seen, traffic
from xds_server.envoy_binary import find_envoy
from xds_server.stage.client import Reply, Request

COMPONENTS = ("echo", "two")
"""What is shadowed: over HTTP/1.1, and over HTTP/2."""
PLAIN, NEW, LATER = 2.5, 5.0, 4.0
"""Seconds of each part; `PLAIN` is there twice, before and after."""
_MEGABYTE = 1024 * 1024
_TYPES = "type.googleapis.com/envoy.extensions"
_ENVOY_FLAGS = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "warning")


@dataclass
class Trial:
    """What one behaviour did. `ends` counts how copies ended, in words, by what Envoy's own counters say."""

    name: str
    plain: Seen = field(default_factory=Seen)
    new: Seen = field(default_factory=Seen)
    later: Seen = field(default_factory=Seen)
    grown: float = 0.0
    """MiB that Envoy's memory was above what it was before, at most."""
    ends: dict[str, int] = field(default_factory=dict)
    comparison: JSON = field(default_factory=dict)
    instances: list[JSON] = field(default_factory=list)
    """The shadow as the status has it in the end."""

    @property
    def wrong(self) -> list[str]:
        return [*self.plain.wrong, *self.new.wrong, *self.later.wrong]


@dataclass
class Ground:
    """See the module. `plain` are the ports of the plain Envoy by component."""

    stack: Stack
    plain: Mapping[str, int]
    trials: list[Trial] = field(default_factory=list)
    _paced: int = 0

    async def trial(
        self,
        behaviour: str,
        *,
        component: str = "echo",
        name: str = "",
        expected: Mapping[Request, Reply] = ORDINARY,
        rate: float = 200.0,
        connections: int = 8,
        **profile: Any,
    ) -> Trial:
        """Return what clients saw with and without a shadow of this behaviour that gets all of their requests."""
        trial = Trial(name or behaviour.replace("_", " "))
        load: dict[str, Any] = {"expected": expected, "rate": rate, "connections": connections}
        trial.plain = await self._plainly(component, load)
        ours = self.stack.listens[component]
        before = self.resident()
        made = None
        watch = asyncio.create_task(self._watch(trial, before))
        try:
            async with traffic(ours, **load) as trial.new:
                made = await self.stack.create(**self._body(behaviour, component, profile))
                instance = made["instances"][0]["instanceID"]
                await asyncio.sleep(NEW)
            async with traffic(ours, **load) as trial.later:
                await asyncio.sleep(LATER)
            trial.ends = self._ends(instance)
            now = await self.stack.profile(made["profileID"])
            trial.comparison, trial.instances = now["comparison"], now["instances"]
        finally:
            watch.cancel()
            if made is not None:
                await self.stack.delete(made)
        trial.plain += await self._plainly(component, load)
        self.trials.append(trial)
        return trial

    def resident(self) -> float:
        """Return MiB of memory that our Envoy holds."""
        return float(psutil.Process(self.stack.proxy.child.process.pid).memory_info().rss) / _MEGABYTE

    async def _plainly(self, component: str, load: Mapping[str, Any]) -> Seen:
        async with traffic(self.plain[component], **load) as seen:
            await asyncio.sleep(PLAIN)
        return seen

    async def _watch(self, trial: Trial, before: float) -> None:
        while True:
            trial.grown = max(trial.grown, self.resident() - before)
            await asyncio.sleep(0.1)

    def _body(self, behaviour: str, component: str, more: JSON) -> JSON:
        command = [sys.executable, shadows.__file__, behaviour, "{port}"]
        return {
            "componentName": component,
            "match": {"methods": ["GET", "POST"]},
            "variants": [{"name": "v2", "process": {"command": command}}],
            **more,
        }

    def _ends(self, instance: str) -> dict[str, int]:
        """Return how many copies were sent, and how they ended."""
        own, leg = f"cluster.shadow-{instance}.upstream", f"http.shadow-{instance}.downstream"
        found = self.stack.proxy.stats(instance) | self.stack.proxy.stats("shadowmesh.pace")
        pace = found.get("shadowmesh.pace.http_bandwidth_limit.response_enforced", 0) - self._paced
        self._paced += pace
        counters = {
            "sent": f"cluster.shadow-in-{instance}.upstream_rq_total",
            "over the cap": f"{leg}_rq_too_large",
            "refused by the breaker": f"{own}_rq_pending_overflow",
            "refused by the breaker of HTTP/2": f"{own}_rq_active_overflow",
            "cut at their timeout": f"{own}_rq_timeout",
            "closed by the shadow": f"{own}_cx_destroy_remote_with_active_rq",
            "reset by the shadow": f"{own}_rq_rx_reset",
            "broken off: not HTTP": f"{own}_cx_protocol_error",
        }
        return {how: found.get(name, 0) for how, name in counters.items()} | {"held to the pace": pace}


@contextmanager
def ground(folder: Path, *flags: str) -> Iterator[Ground]:
    """Bring everything up for the length of a `with`; the manager gets these flags."""
    stack = Stack(folder, flags)
    try:
        stack.open()
        served, over_http2 = (stack.originals[name] for name in COMPONENTS)
        stack.household.start("hostile-original", [sys.executable, original.__file__, str(served)])
        plain = {name: stack.household.free_port() for name in COMPONENTS}
        config = folder / "plain.json"
        config.write_text(json.dumps(_plain(plain, served, over_http2)))
        stack.household.start("plain", [str(find_envoy()), "-c", str(config), *_ENVOY_FLAGS])
        for port in (served, over_http2, *plain.values()):
            wait_for(partial(answers, port), f"something listens on {port}")
        yield Ground(stack, plain)
    finally:
        stack.close()


def _plain(ports: Mapping[str, int], served: int, over_http2: int) -> JSON:
    """Return an Envoy that knows nothing of us, which also turns HTTP/2 into the HTTP/1.1 of the original."""
    listeners = [_listener(ports["echo"], "echo"), _listener(ports["two"], "two"), _listener(over_http2, "echo")]
    clusters = [
        _cluster("echo", served, "http_protocol_options"),
        _cluster("two", over_http2, "http2_protocol_options"),
    ]
    return {"static_resources": {"listeners": listeners, "clusters": clusters}}


def _listener(port: int, cluster: str) -> JSON:
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}
    router = {"@type": f"{_TYPES}.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": cluster,
        "route_config": {"virtual_hosts": [{"name": cluster, "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {"name": f"{cluster}-{port}", "address": _address(port), "filter_chains": [chain]}


def _cluster(name: str, port: int, protocol: str) -> JSON:
    options = {"@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {protocol: {}}}
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _address(port: int) -> JSON:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
