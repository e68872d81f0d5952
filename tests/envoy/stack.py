"""The whole stack as a user runs it: `shadowmesh serve` with its engine, originals, real Envoys, all from the command
line, all on free ports of loopback.

Guarantees: after `Stack.close` no process is left that any of them started, or the test fails; processes are ended by
their pid. What clients are answered is known in advance (`expected`), so `traffic` fails a test on a single wrong bit.
Not guaranteed: isolation between the tests that share a stack; each ends the profiles that it made (`profile` does).

Everything that starts a process is synchronous, for the thread of the test: Envoy gets TERM when the *thread* that
started it ends.
"""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import psutil

from xds_server.demo.load import Clients, ask, catalogue_requests
from xds_server.demo.stage import catalogue_command
from xds_server.envoy_binary import find_envoy
from xds_server.stage.children import MARK, Child, Household
from xds_server.stage.client import Connection, Reply, Request
from xds_server.stage.mesh import shadowmesh

JSON = dict[str, Any]
NETWORK = "shop"
START = 60.0
GRACE = 15.0
RUNTIME_TTL = 3.0
_ODD = ("date", "x-envoy-upstream-service-time")
"""Headers of an answer that differ from one to the next without anybody's doing."""


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = START) -> Any:
    """Wait until something is so and return it; for code outside a loop."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not come to this within {seconds:g} s: {what}"
        time.sleep(0.02)
    return found


def answers(port: int) -> bool:
    """Tell whether somebody listens there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


async def until(condition: Callable[[], Awaitable[Any]], what: str, *, seconds: float = 30.0) -> Any:
    """Wait until something is so and return it. What a condition looks up in vain is just not there yet."""
    deadline = time.monotonic() + seconds
    while True:
        missing: LookupError | None = None
        try:
            if found := await condition():
                return found
        except LookupError as error:
            missing = error
        assert time.monotonic() < deadline, f"it did not come to this within {seconds:g} s: {what} ({missing!r})"
        await asyncio.sleep(0.05)


def bits(reply: Reply) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """Return everything of an answer that must be the same each time."""
    return reply.status, tuple(h for h in reply.headers if h[0] not in _ODD), reply.body


@dataclass
class Proxy:
    """An Envoy that runs. `ports` are its listeners by component."""

    child: Child
    admin: int
    ports: Mapping[str, int]
    command: Sequence[str] = ()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.admin}{path}", timeout=10, trust_env=False)

    def serves(self) -> bool:
        self.child.check()
        with suppress(httpx.HTTPError):
            return self.get("/ready").status_code == httpx.codes.OK
        return False

    def stats(self, pattern: str = "") -> dict[str, int]:
        """Return counters and gauges, those whose names match the pattern."""
        stats = self.get(f"/stats?format=json&filter={pattern}").json()["stats"]
        return {stat["name"]: stat["value"] for stat in stats if "value" in stat}

    def stat(self, name: str) -> int:
        return self.stats(re.escape(name)).get(name, 0)

    def copies(self, instance: str) -> int:
        """Return how many copies came to an instance's leg and ended."""
        return self.stat(f"http.shadow-{instance}.downstream_rq_total") - self.stat(
            f"http.shadow-{instance}.downstream_rq_active"
        )

    def updates(self) -> dict[str, str]:
        """Return when each listener, route table and cluster was last changed."""
        found: dict[str, str] = {}
        for section in self.get("/config_dump").json()["configs"]:
            for kind in ("dynamic_listeners", "dynamic_route_configs", "dynamic_active_clusters"):
                for each in section.get(kind, ()):
                    state = each.get("active_state", each)
                    body = state.get("route_config") or state.get("cluster") or state.get("listener", {})
                    # A listener that drains has no active state any more.
                    if "last_updated" in state:
                        found[f"{kind}/{body['name']}"] = state["last_updated"]
        assert found
        return found

    def listener_life(self, component: str) -> dict[str, int]:
        """Return what must not move while profiles come and go."""
        at = f"listener.127.0.0.1_{self.ports[component]}"
        names = ("listener_manager.listener_modified", f"{at}.downstream_cx_destroy")
        return {name: self.stat(name) for name in names}


@dataclass
class Stack:
    """See the module. `open` starts a manager, originals of `catalog`, and one Envoy (`proxy`)."""

    folder: Path
    flags: Sequence[str] = ()
    mode: str = "delta"
    proxy: Proxy = field(init=False)
    manager: Child = field(init=False)
    originals: dict[str, int] = field(default_factory=dict)
    """Port of each component's original. That of `catalog` answers; the others are for tests to listen on."""

    def __post_init__(self) -> None:
        self.household = Household(self.folder, chance=Random())
        free = self.household.free_port
        self.http, self.xds, self.engine = free(), free(), free()
        self.originals = {name: free() for name in ("catalog", "echo", "two", "greeter")}
        self.listens = {name: free() for name in self.originals}
        self.components = {"two": "http2", "greeter": "grpc"}
        self.manager_env: dict[str, str] = {}
        """More of the manager's environment."""
        self.reached = {"manager": self.xds, "engine": self.engine}
        """Ports at which Envoys reach them."""

    # Processes.

    def open(self) -> None:
        command = catalogue_command(version=1, port=str(self.originals["catalog"]), plain=True)
        self.household.start("original", command)
        self.start_manager()
        self.call("POST", "/networks", self.network_body())
        self.proxy = self.start_envoy()
        status = f"/networks/{NETWORK}/shadowing/status"
        wait_for(lambda: any(e["connected"] for e in self.call("GET", status)["engines"]), "the engine is attached")

    def close(self) -> None:
        """End everything; fail when something is left."""
        try:
            if hasattr(self, "manager") and self.manager.alive:
                for network in self.call("GET", "/networks")["items"]:
                    self.call("DELETE", f"/networks/{network['name']}")
        finally:
            for child in reversed(self.household.children.copy()):
                self.end(child)
            left = self.left()
            words = [str(process) for process in left]
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        assert not words, f"left behind: {words}"

    def left(self) -> list[psutil.Process]:
        """Return the living processes that have anything to do with this stack."""
        deadline = time.monotonic() + GRACE
        while (found := self._ours()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def _ours(self) -> list[psutil.Process]:
        mine = {child.process.pid for child in self.household.children}
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if process.pid in mine or process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                words = [*process.cmdline(), *process.environ().values()]
                if any(str(self.folder) in word for word in words):
                    found.append(process)
        return found

    def end(self, child: Child) -> int:
        """End a child: TERM, after a while KILL; return its exit code (negative: the signal)."""
        if child in self.household.children:
            self.household.children.remove(child)
        if child.alive:
            os.kill(child.process.pid, signal.SIGTERM)
        try:
            return child.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            child.process.kill()
            return child.process.wait()

    def kill(self, child: Child) -> None:
        """End a child with KILL."""
        self.household.children.remove(child)
        child.process.kill()
        child.process.wait()

    def manager_command(self, *flags: str) -> list[str]:
        """Return what starts the manager of this stack."""
        ports = ["--http-port", str(self.http), "--xds-port", str(self.xds), "--engine-port", str(self.engine)]
        short = ["--xds-runtime-ttl", str(RUNTIME_TTL), "--engine-pair-timeout", "3"]
        return shadowmesh("serve", "--state", str(self.folder / "state"), *ports, *short, *self.flags, *flags)

    def start_manager(self, *flags: str) -> None:
        self.manager = self.household.start("manager", self.manager_command(*flags), env=self.manager_env)

        def ready() -> bool:
            self.manager.check()
            with suppress(httpx.HTTPError):
                return httpx.get(f"{self.url}/readyz", trust_env=False).is_success
            return False

        try:
            wait_for(ready, "the manager is ready")
        except BaseException as error:
            error.add_note("\n".join(self.manager.tail(30)))
            raise

    def start_engine(self, node: str, port: int = 0) -> tuple[Child, int]:
        """Start the engine of another node (again, with a port); return it and its port."""
        port = port or self.household.free_port()
        flags = ["--engine-port", str(port), "--engine-manager", f"127.0.0.1:{self.xds}", "--engine-pair-timeout", "3"]
        command = shadowmesh("analyze", "--node", node, "--state", str(self.folder / node), *flags)
        return self.household.start(f"engine-{node}", command), port

    def start_envoy(
        self,
        name: str = "envoy",
        *,
        network: str = NETWORK,
        listen: Mapping[str, int] | None = None,
        engine: int | None = None,
    ) -> Proxy:
        """Start an Envoy of a network with the bootstrap that the command line prints; serves when this returns.

        `engine` is the port of its node's engine; the manager's own when None.
        """
        admin = self.household.free_port()
        arguments = ["bootstrap", network, "--node-id", name, "--admin", f"127.0.0.1:{admin}", "--mode", self.mode]
        for part, at_port in (self.reached | ({"engine": engine} if engine else {})).items():
            arguments += [f"--{part}", f"127.0.0.1:{at_port}"]
        for component, port in (listen or {}).items():
            arguments += ["--listen", f"{component}=127.0.0.1:{port}"]
        done = subprocess.run(
            shadowmesh(*arguments), env=self.household.environment(), capture_output=True, check=True, timeout=60
        )
        config = self.folder / f"{name}.yaml"
        config.write_bytes(done.stdout)
        command = [str(find_envoy()), "-c", str(config), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"]
        proxy = Proxy(self.household.start(name, command), admin, {**self.listens, **(listen or {})}, command)
        wait_for(proxy.serves, "Envoy is ready")
        return proxy

    def restart_envoy(self, proxy: Proxy) -> None:
        """Start an Envoy again whose process has been ended; does not wait for it."""
        proxy.child = self.household.start(proxy.child.name, proxy.command)

    @property
    def engine_pid(self) -> int:
        """Process id of the engine, as the manager wrote it down; 0 while there is none."""
        with suppress(OSError, ValueError, KeyError):
            return int(json.loads((self.folder / "state/engine/process.json").read_bytes())["pid"])
        return 0

    @property
    def engine_process(self) -> psutil.Process:
        """The engine; waited for."""
        return psutil.Process(
            wait_for(lambda: psutil.pid_exists(self.engine_pid) and self.engine_pid, "an engine runs")
        )

    # REST.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return httpx.request(method, f"{self.url}{path}", json=body, timeout=40, trust_env=False)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API; the answer must be a success."""
        answer = self.ask(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def acall(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST API from a loop that has other things to do meanwhile."""
        return await asyncio.to_thread(self.call, method, path, body)

    async def status(self, network: str = NETWORK) -> JSON:
        return dict(await self.acall("GET", f"/networks/{network}/shadowing/status"))

    async def profile(self, profile_id: str, network: str = NETWORK) -> JSON:
        status = await self.status(network)
        return next(dict(each) for each in status["profiles"] if each["profileID"] == profile_id)

    async def create(self, network: str = NETWORK, /, **fields: Any) -> JSON:
        """Create a profile and wait until its shadows run, it is published, and the Envoys have it."""
        body = self.profile_body(**fields)
        made = await self.acall("POST", f"/networks/{network}/shadowing/create", body)

        async def running() -> JSON | None:
            now = await self.profile(made["profileID"], network)
            states = {each["status"] for each in now["instances"]}
            assert "Failed" not in states, now["instances"]
            return now if states == {"Running"} else None

        found: JSON = await until(running, "its shadows run")
        await self.settled(network)
        return found

    async def attached(self) -> None:
        """Wait until the engine has found the manager: from then on it is there for what Envoys log."""

        async def connected() -> bool:
            return any(engine["connected"] for engine in (await self.status())["engines"])

        await until(connected, "the engine is attached")

    async def settled(self, network: str = NETWORK) -> None:
        """Wait until the connected Envoys have everything."""

        async def all_acked() -> bool:
            envoys = [e for e in (await self.status(network))["envoys"] if e["connected"]]
            errors = [r for e in envoys for r in e["resources"] if r["state"] == "NACKED"]
            assert not errors, errors
            return bool(envoys) and all(r["state"] == "ACKED" for e in envoys for r in e["resources"])

        await until(all_acked, "the Envoys have it")

    async def change(self, profile: JSON, **fields: Any) -> JSON:
        changed: JSON = await self.acall(
            "PATCH", f"/networks/{NETWORK}/shadowing/profiles/{profile['profileID']}", fields
        )
        return changed

    async def delete(self, profile: JSON, network: str = NETWORK) -> None:
        await self.acall("DELETE", f"/networks/{network}/shadowing/profiles/{profile['profileID']}")

    async def comparison(self, profile: JSON, network: str = NETWORK) -> JSON:
        return (await self.profile(profile["profileID"], network))["comparison"] or {}

    # Clients.

    async def expected(self) -> dict[Request, Reply]:
        """Return what the original of `catalog` says to each of the clients' requests."""
        return await ask(self.originals["catalog"], list(catalogue_requests([3, 6, 7, 12])))

    @asynccontextmanager
    async def traffic(self, *, rate: float = 150.0, proxy: Proxy | None = None) -> AsyncIterator[Clients]:
        """Send requests to `catalog` for the length of a `with`; fails when a single client was hurt."""
        port = (proxy or self.proxy).ports["catalog"]
        clients = Clients(port=port, expected=await self.expected(), chance=Random(7), connections=4, rate=rate)
        clients.start()
        try:
            yield clients
        finally:
            await clients.stop()
        assert clients.tally.requests > 0
        assert not clients.tally.hurt, clients.tally.hurt_examples

    async def send(
        self, requests: Sequence[Request], *, proxy: Proxy | None = None, component: str = "catalog"
    ) -> list[Reply]:
        """Send requests one after the other over one connection."""
        async with Connection((proxy or self.proxy).ports[component]) as connection:
            return [await connection.send(request) for request in requests]

    async def further(self, clients: Clients, count: int, *, seconds: float = 30.0) -> None:
        """Wait until clients have sent so many more requests."""
        wanted = clients.tally.requests + count

        async def sent() -> bool:
            return clients.tally.requests >= wanted

        await until(sent, "clients are served", seconds=seconds)

    async def quiet(self, clients: Clients, instance: str, *, seconds: float = 30.0) -> None:
        """Wait until nothing is mirrored to an instance although clients go on."""
        counter = f"cluster.shadow-in-{instance}.upstream_rq_total"

        async def unmoved() -> bool:
            before = self.proxy.stat(counter)
            await self.further(clients, 30)
            return self.proxy.stat(counter) in {before, 0}

        await until(unmoved, "mirroring has stopped", seconds=seconds)

    async def mirroring(self, instance: str, *, beyond: int = 0) -> None:
        """Wait until an instance has got more than `beyond` copies."""

        async def moves() -> bool:
            return self.proxy.copies(instance) > beyond

        await until(moves, "copies are sent")

    async def ended(self, profile: JSON) -> JSON:
        """Wait until the one instance of a profile has ended; return it."""

        async def look() -> JSON | None:
            (instance,) = (await self.profile(profile["profileID"]))["instances"]
            return dict(instance) if instance["status"] in {"Stopped", "Failed"} else None

        found: JSON = await until(look, "the shadow has ended")
        return found

    def shadows(self, version: int = 2) -> list[psutil.Process]:
        """Return the processes of a version of the catalogue that the manager started."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                line = process.cmdline()
                ours = line[-2:] == ["--version", str(version)] and process.environ().get(MARK) == str(self.folder)
                if ours and not any("supervisor.py" in word for word in line):
                    found.append(process)
        return found

    def clear(self) -> None:
        """End what a test has left of profiles."""
        for network in self.call("GET", "/networks")["items"]:
            path = f"/networks/{network['name']}/shadowing/profiles"
            for profile in self.call("GET", path)["items"]:
                self.call("DELETE", f"{path}/{profile['profileID']}")

    # Documents.

    def network_body(self, name: str = NETWORK) -> JSON:
        return {"name": name, "components": [self.component(each) for each in self.originals]}

    def profile_body(self, **more: Any) -> JSON:
        """Return the body of a profile: all of `catalog`'s traffic to a process of version 2, unless said otherwise."""
        return {
            "componentName": "catalog",
            "trafficShadowingPercentage": 1.0,
            "shadowInstanceTTL": "10m",
            "variants": [self.version()],
            **more,
        }

    def version(self, number: int = 2) -> JSON:
        """Return the variant that runs a version of the catalogue; marked, so that one that is left is found."""
        command = catalogue_command(version=number, port="{port}", plain=True)
        env = {MARK: str(self.folder)}
        return {"name": "v2", "process": {"command": command, "env": env, "readiness": {"path": "/healthz"}}}

    def component(self, name: str) -> JSON:
        return {
            "name": name,
            "protocol": self.components.get(name, "http1"),
            "listen": {"address": "127.0.0.1", "port": self.listens[name]},
            "endpoints": [{"address": "127.0.0.1", "port": self.originals[name]}],
        }


def at(port: int) -> list[JSON]:
    """Return the variants of a profile whose shadow runs already."""
    return [{"name": "v2", "endpoint": {"address": "127.0.0.1", "port": port}}]


@contextmanager
def running(folder: Path, *flags: str, mode: str = "delta") -> Iterator[Stack]:
    """Run a stack for the length of a `with`; `mode` is how its Envoys ask."""
    stack = Stack(folder, flags, mode)
    try:
        stack.open()
        yield stack
    finally:
        stack.close()
