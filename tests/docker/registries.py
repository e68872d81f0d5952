"""A registry of Debian's `docker-registry` on loopback that asks for a password, and a slow way to it."""

import asyncio
import json
import os
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import docker
import httpx

from tests.docker.engines import READY, DockerEngine
from xds_server.runtime.docker.root_fs import PATH

USER, PASSWORD = "ann", "s3cret-of-ann"
HASH = "$2b$04$CDeoL6v9J3mbht6/nPLtce7GRimraNqkzxQhwl3G.zbBmvVloXkda"
"""Of that password by bcrypt (`htpasswd -nbB`)."""


class Registry:
    """One registry; `start` and `stop` may follow each other.

    Args:
        folder: for its configuration and its data.
        port: where it listens, on loopback.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.name = f"127.0.0.1:{port}"
        self.digest = ""
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "htpasswd").write_text(f"{USER}:{HASH}\n")
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.name, "relativeurls": True},
            "auth": {"htpasswd": {"realm": "shadowmesh", "path": str(folder / "htpasswd")}},
        }
        (folder / "config.yml").write_text(json.dumps(config))

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", self.folder / "config.yml"],
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": PATH, "OTEL_TRACES_EXPORTER": "none"},
                start_new_session=True,
            )
        end = time.monotonic() + READY
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://{self.name}/v2/").status_code == httpx.codes.UNAUTHORIZED:
                    return
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def push(self, one: DockerEngine, image: str, name: str) -> str:
        """Push an image of an engine as `name` (`app:1`), forget that name there, and return the digest."""
        repository, _, tag = name.partition(":")
        full, digest = f"{self.name}/{repository}", ""
        with one.client() as client:
            client.tag(image, full, tag)
            login = {"username": USER, "password": PASSWORD}
            for line in client.push(full, tag=tag, stream=True, decode=True, auth_config=login):
                assert "error" not in line, line
                digest = (line.get("aux") or {}).get("Digest", digest)
            client.remove_image(f"{full}:{tag}", noprune=True)
        return str(digest)


@contextmanager
def registry(port: int) -> Iterator[Registry]:
    """Run a registry for the length of a `with`."""
    with tempfile.TemporaryDirectory(prefix="smr") as folder:
        one = Registry(Path(folder), port)
        try:
            one.start()
            yield one
        finally:
            one.stop()


def login(folder: Path, name: str, *, user: str = USER, password: str = PASSWORD) -> None:
    """Write what `docker login` writes."""
    word = b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {name: {"auth": word}}}))


def forget(one: DockerEngine, *images: str) -> None:
    """Remove images of an engine, if they are there."""
    with one.client() as client:
        for image in images:
            with suppress(docker.errors.APIError):
                client.remove_image(image, force=True)


class SlowWay:
    """A way to a registry that lets `rate` bytes a second through; 0: none, once it has passed `free` bytes."""

    def __init__(self, to: int, *, rate: float, free: int) -> None:
        self.rate = rate
        self.left = free
        self.name = ""
        self.connections = 0
        self.closed = asyncio.Event()
        self._to = to

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side, or the way, has ended."""
        self.connections += 1
        there, here = await asyncio.open_connection("127.0.0.1", self._to)
        tasks = [
            asyncio.create_task(self._carry(reader, here, slow=False)),
            asyncio.create_task(self._carry(there, writer, slow=True)),
            asyncio.create_task(self.closed.wait()),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
        here.close()
        self.connections -= 1

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, slow: bool) -> None:
        while data := await source.read(16384):
            self.left -= len(data) if slow else 0
            if slow and self.left < 0:
                while not self.rate:  # noqa: ASYNC110 -- a test sets it
                    await asyncio.sleep(0.05)
                await asyncio.sleep(len(data) / self.rate)
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def slow_way(to: Registry, *, rate: float, free: int = 100_000) -> AsyncIterator[SlowWay]:
    """Have a slow way to a registry for the length of a `with`."""
    way = SlowWay(to.port, rate=rate, free=free)
    server = await asyncio.start_server(way.serve, "127.0.0.1", 0)
    way.name = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield way
    finally:
        server.close()
        way.closed.set()
        while way.connections:  # noqa: ASYNC110 -- they end at once
            await asyncio.sleep(0.01)
