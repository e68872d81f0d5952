"""An application of others behind the real Envoy, its copies judged by the real engine.

Guarantees: a copy has been answered by each instance before the next request is sent, so whatever an application keeps
is the same in all its instances, but for what they chose themselves; processes keep their files in the stack's folder.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.envoy.stack import JSON, NETWORK, Stack, until, wait_for
from xds_server.model.profile import SAFE_METHODS
from xds_server.stage.children import MARK
from xds_server.stage.client import Connection, Reply, Request

Difference = tuple[str, str, str]
"""Endpoint, field, class."""
Said = list[tuple[Request, Reply]]
"""What clients asked and were answered."""
Ask = Callable[..., Awaitable[Reply]]
"""Sends a request, `ask(method, target, body)`, and returns the answer of the original."""
Talk = Callable[[Ask], Awaitable[None]]
"""What clients of an application do."""


@dataclass(frozen=True, slots=True)
class Application:
    """How to run each version of an application. `{port}` in a command becomes the port; `ready` is a path."""

    name: str
    commands: Mapping[str, Sequence[str]]
    ready: str
    methods: Sequence[str] = SAFE_METHODS

    def process(self, version: str, folder: Path) -> JSON:
        """Return how to run a version, for a profile or a component."""
        readiness = {"path": self.ready, "timeout": "60s"}
        return {"process": {"command": [*self.commands[version]], "env": _environment(folder), "readiness": readiness}}


@dataclass(frozen=True, slots=True)
class Judged:
    """What the engine says of a profile at the end, and what clients were answered."""

    comparison: JSON
    profile: JSON
    said: Said

    def found(self, nature: str) -> set[Difference]:
        """Return the differences that are taken for this."""
        return {
            (endpoint["endpoint"], each["field"], each["class"])
            for endpoint in self.comparison["endpoints"]
            for each in endpoint["differences"]
            if each["nature"] == nature
        }


@contextmanager
def mesh(folder: Path, application: Application) -> Iterator[Stack]:
    """Run a stack with a component for the application; its original is for `original` to start."""
    stack = Stack(folder)
    stack.originals[application.name] = stack.household.free_port()
    stack.listens[application.name] = stack.household.free_port()
    try:
        stack.open()
        yield stack
    finally:
        stack.close()


@contextmanager
def original(stack: Stack, application: Application, version: str) -> Iterator[None]:
    """Run a version as the original, with nothing kept from before; at the end the profiles go first."""
    port = stack.originals[application.name]
    command = [word.replace("{port}", str(port)) for word in application.commands[version]]
    child = stack.household.start(application.name, command, env=_environment(stack.folder))

    def answers() -> bool:
        child.check()
        try:
            url = f"http://127.0.0.1:{port}{application.ready}"
            return httpx.get(url, trust_env=False, timeout=5).is_success
        except httpx.HTTPError:
            return False

    try:
        wait_for(answers, f"{application.name} {version} answers")
        yield
    finally:
        stack.clear()
        stack.end(child)


def tell_version(stack: Stack, application: Application, version: str) -> None:
    """Tell the manager how to run the component's own version: from now on the control of profiles that name none."""
    body = stack.network_body()
    (component,) = [each for each in body["components"] if each["name"] == application.name]
    component["version"] = application.process(version, stack.folder)
    stack.call("PUT", f"/networks/{NETWORK}", body)


async def judge(stack: Stack, application: Application, talk: Talk, *, version: str, **more: Any) -> Judged:
    """Shadow an application with a version of it while clients talk to the original; there must be a control."""
    variants = [{"name": "other", **application.process(version, stack.folder)}]
    match = {"methods": list(application.methods)}
    await stack.attached()
    profile = await stack.create(componentName=application.name, variants=variants, match=match, **more)
    assert [each["control"] for each in profile["instances"]].count(True) == 1
    said = await conversation(stack, application, talk, [each["instanceID"] for each in profile["instances"]])

    async def all_in() -> JSON | None:
        now = await stack.comparison(profile)
        counted = now.get("pairs"), now.get("noiseMeasured", {}).get("requests")
        # What ends as Envoy counts may be taken for lost until Envoy counts again (`ledger`).
        return now if counted == (len(said), len(said)) and now["lost"] == {} else None

    comparison: JSON = await until(all_in, "all pairs are in and none is lost")
    return Judged(comparison, await stack.profile(profile["profileID"]), said)


async def conversation(stack: Stack, application: Application, talk: Talk, instances: Sequence[str] = ()) -> Said:
    """Let clients talk to the original through Envoy; return what was said."""
    said: Said = []
    admin = httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.proxy.admin}", trust_env=False)
    async with admin, Connection(stack.proxy.ports[application.name]) as connection:

        async def ask(method: str, target: str, body: bytes = b"") -> Reply:
            request = Request(method, target, target, body)
            reply = await connection.send(request)
            said.append((request, reply))
            while any(n < len(said) for n in await _copies(admin, instances)):  # noqa: ASYNC110 - Envoy's count is asked
                await asyncio.sleep(0.01)
            return reply

        async with asyncio.timeout(100):
            await talk(ask)
    return said


async def _copies(admin: httpx.AsyncClient, instances: Sequence[str]) -> list[int]:
    """Return how many copies each instance has answered."""
    if not instances:
        return []
    answer = await admin.get("/stats", params={"format": "json", "filter": r"^http\.shadow-.*\.downstream_rq_"})
    stats = {stat["name"]: stat["value"] for stat in answer.json()["stats"] if "value" in stat}
    at = [f"http.shadow-{instance}.downstream_rq_" for instance in instances]
    return [stats.get(f"{each}total", 0) - stats.get(f"{each}active", 0) for each in at]


def _environment(folder: Path) -> dict[str, str]:
    return {MARK: str(folder), "TMPDIR": str(folder)}
