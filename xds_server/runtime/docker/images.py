"""Images: there, pulled, or imported; and what is said when they are not.

Guarantees: credentials are those of Docker's own configuration (`~/.docker/config.json` and its helpers) of the user
that the manager runs as; none is ever logged. A pull is bounded in time.
"""

import time
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.utils import parse_repository_tag

from xds_server.errors import RuntimeFailedError, UnavailableError, cut
from xds_server.model.profile import DockerSpec, Pull
from xds_server.runtime.docker.engine import Engine, reason_of
from xds_server.runtime.docker.guard_image import REPOSITORY, guard_image

PULL = 600.0
"""Seconds that a pull may take."""
_FIELD = "docker.image"


async def ensure_guard(engine: Engine, tag: str) -> None:
    """Have the guard's image on an engine. Raises: RuntimeFailedError, UnavailableError."""

    def work(client: docker.APIClient) -> None:
        if client.images(name=f"{REPOSITORY}:{tag}", quiet=True):
            return
        client.import_image_from_data(guard_image()[1], repository=REPOSITORY, tag=tag)

    await engine.call(work, timeout=60.0)


async def ensure(engine: Engine, spec: DockerSpec) -> dict[str, Any]:
    """Have the image of a shadow on an engine; return its configuration (`Config` of an inspection).

    Raises:
        RuntimeFailedError: it cannot be had; says why and what to do.
        UnavailableError: the engine does not answer.
    """
    if spec.pull is not Pull.ALWAYS and (found := await _inspect(engine, spec.image)) is not None:
        return found
    if spec.pull is Pull.NEVER:
        raise RuntimeFailedError(
            f'there is no image "{spec.image}" on node "{engine.node}", and pull is never',
            field=_FIELD,
            hint="load it there first, or pull: missing",
        )
    await _pull(engine, spec.image)
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


async def _pull(engine: Engine, image: str) -> None:
    repository, tag = parse_repository_tag(image)
    end = time.monotonic() + PULL

    def work(client: docker.APIClient) -> None:
        for line in client.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if "error" in line:
                raise RuntimeFailedError(_failed(engine, image, str(line["error"])), field=_FIELD, hint=_HINT)
            if time.monotonic() > end:
                raise RuntimeFailedError(
                    _failed(engine, image, f"not done after {PULL:g} s"), field=_FIELD, hint="pull it there first"
                )

    try:
        await engine.call(work, timeout=PULL + 10.0)
    except APIError as error:
        raise RuntimeFailedError(_failed(engine, image, reason_of(error)), field=_FIELD, hint=_HINT) from error
    except RuntimeFailedError as error:
        if "no space left on device" in error.detail:
            raise UnavailableError(error.detail, hint="make room there") from error
        raise


_HINT = "is its name right, and may Docker's own configuration (docker login) pull it?"


def _failed(engine: Engine, image: str, why: str) -> str:
    return f'"{image}" could not be pulled on node "{engine.node}": {cut(why.strip(), 300)}'
