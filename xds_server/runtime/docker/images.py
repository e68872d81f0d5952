"""Images: there, pulled, or imported; and what is said when they are not.

Guarantees: credentials are those of Docker's own configuration (credentials.py); none is ever logged. A pull is bounded
in time (pulling.py).
"""

import asyncio
from typing import Any

import docker
from docker import auth
from docker.errors import APIError, DockerException, ImageNotFound
from docker.utils import parse_repository_tag

from xds_server.errors import RuntimeFailedError, UnavailableError, cut
from xds_server.model.profile import DockerSpec, Pull
from xds_server.runtime.docker import credentials
from xds_server.runtime.docker.credentials import Credentials
from xds_server.runtime.docker.engine import Engine, reason_of
from xds_server.runtime.docker.guard_image import REPOSITORY, guard_image
from xds_server.runtime.docker.pulling import FailedError, Pulling, StalledError

_FIELD = "docker.image"


async def ensure_guard(engine: Engine, tag: str) -> None:
    """Have the guard's image on an engine. Raises: RuntimeFailedError, UnavailableError."""

    def work(client: docker.APIClient) -> None:
        if client.images(name=f"{REPOSITORY}:{tag}", quiet=True):
            return
        client.import_image_from_data(guard_image()[1], repository=REPOSITORY, tag=tag)

    await engine.call(work, timeout=60.0)


async def ensure(engine: Engine, spec: DockerSpec, pulling: Pulling) -> dict[str, Any]:
    """Have the image of a shadow on an engine; return its configuration (`Config` of an inspection).

    Args:
        engine: where.
        spec: of the shadow.
        pulling: told how far it is; may give it up.

    Raises:
        RuntimeFailedError: it cannot be had; says why and what to do.
        UnavailableError: the engine does not answer, its disk is full, or a pull to it does not move.
    """
    if spec.pull is not Pull.ALWAYS and (found := await _inspect(engine, spec.image)) is not None:
        return found
    if spec.pull is Pull.NEVER:
        raise RuntimeFailedError(
            f'there is no image "{spec.image}" on node "{engine.node}", and pull is never',
            field=_FIELD,
            hint="load it there first, or pull: missing",
        )
    await _pull(engine, spec.image, pulling)
    found = await _inspect(engine, spec.image)
    if found is None:
        raise RuntimeFailedError(f'"{spec.image}" was pulled and is not there', field=_FIELD, hint="is it removed?")
    return found


async def _inspect(engine: Engine, image: str) -> dict[str, Any] | None:
    try:
        found = await engine.call(lambda client: client.inspect_image(image))  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return None
    except APIError as error:
        raise RuntimeFailedError(
            f'"{image}": {reason_of(error)}', field=_FIELD, hint='an image like "shop/catalog:2.1"'
        ) from error
    return dict(found.get("Config") or {})


async def _pull(engine: Engine, image: str, pulling: Pulling) -> None:
    try:
        repository, tag = parse_repository_tag(image)
        registry, _ = auth.resolve_repository_name(repository)
    except DockerException as error:
        said = _failed(engine, image, "that is no name of an image")
        raise RuntimeFailedError(said, field=_FIELD, hint='like "shop/catalog:2.1"') from error
    known = await credentials.find(registry)
    pulling.begin(image)

    def work(client: docker.APIClient) -> None:
        pulling.pull(client, repository, tag or "latest", known.header)

    try:
        await _unless_unwanted(asyncio.ensure_future(engine.call_long(work)), pulling)
    except (APIError, FailedError) as error:
        why = reason_of(error) if isinstance(error, APIError) else str(error)
        said = _failed(engine, image, why)
        if "no space left on device" in why:
            raise UnavailableError(said, hint="make room there") from error
        raise RuntimeFailedError(said, field=_FIELD, hint=_hint(why, registry, known)) from error
    except StalledError as error:
        await engine.call(lambda client: client.ping())  # is it the engine itself?
        hint = f"is {registry} up and quick enough from there? or pull it there first"
        raise UnavailableError(_failed(engine, image, f"{error}; {pulling.describe()}"), hint=hint) from error
    finally:
        pulling.image = ""
        pulling.give_up()  # for a thread that is left behind


async def _unless_unwanted(work: "asyncio.Future[None]", pulling: Pulling) -> None:
    unwanted = asyncio.create_task(pulling.unwanted.wait(), name="pull-unwanted")
    try:
        await asyncio.wait((work, unwanted), return_when=asyncio.FIRST_COMPLETED)
        if pulling.unwanted.is_set():
            raise RuntimeFailedError(f'the pull of "{pulling.image}" was given up: it is not wanted any more')
        await work
    finally:
        work.cancel()
        unwanted.cancel()
        await asyncio.gather(work, unwanted, return_exceptions=True)


_LOGIN = ("no basic auth credentials", "unauthorized", "denied", "authentication required")
_HINTS: tuple[tuple[str, str], ...] = (
    ("manifest unknown", "is its tag right?"),
    ("not found", "are its name and its tag right?"),
    ("http response to https client", "it speaks HTTP: the engine must have it among its insecure-registries"),
    ("x509", "the engine must trust the registry's authority: /etc/docker/certs.d/{registry}/ca.crt on the node"),
    ("toomanyrequests", "{registry} limits pulls: log in, or use a registry of your own"),
    ("no such host", "the node does not know {registry}: is the registry's name right?"),
    ("refused", "is {registry} up, and reached from the node?"),
    ("timeout", "is {registry} up, and reached from the node?"),
    ("deadline exceeded", "is {registry} up, and reached from the node?"),
)
"""Part of what an engine says, and what to do."""


def _hint(why: str, registry: str, known: Credentials) -> str:
    low = why.lower()
    login = f"`docker login {registry}` as the user that the manager runs as"
    if any(part in low for part in _LOGIN):
        if known.problem:
            return f"{known.problem}; or {login}"
        if known.header:
            return f"the credentials for {registry} are wrong, or may not pull it: {login}"
        return f"there are no credentials for {registry} in Docker's configuration: {login}"
    told = next((hint for part, hint in _HINTS if part in low), "is its name right, and may Docker pull it?")
    return told.format(registry=registry)


def _failed(engine: Engine, image: str, why: str) -> str:
    return f'"{image}" could not be pulled on node "{engine.node}": {cut(why.strip(), 300)}'
