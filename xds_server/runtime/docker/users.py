"""Who a shadow runs as, in numbers: names are looked up in the image's own /etc/passwd and /etc/group, as Docker does.

Guarantees: a shadow is never the guard's user, whatever its image calls that; an image's own user that is root under
another name is not taken. What is read of an image is read before anything of it runs.
"""

import io
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import NotFound

from xds_server.errors import InvalidError, RuntimeFailedError
from xds_server.model.profile import DockerSpec
from xds_server.runtime.docker import guard

NOBODY = "65534:65534"
_LARGEST = 4 * 1024 * 1024
"""Bytes of such a file."""
_LINKS = 4
_FIELD = "docker.user"
_HINT = "a user that the image knows, or a number"

Read = Callable[[str], str]
"""Returns the text of a file of the image; empty when there is none."""


@dataclass(frozen=True, slots=True)
class User:
    """`text` is for Docker, which adds the groups of a name. `uid` and `gid` are None where nobody has to know."""

    text: str
    uid: int | None
    gid: int | None


def check(spec: DockerSpec) -> None:
    """Refuse the guard's user by number. Raises: InvalidError."""
    if _number(spec.user.partition(":")[0]) == guard.UID:
        raise InvalidError(f"{spec.user} is the guard's user", field=_FIELD, hint="another one")


def choose(spec: DockerSpec, image: Mapping[str, Any], read: Read) -> User:
    """Return who a shadow runs as: who the variant says; else the image's own unless that is root.

    Raises:
        RuntimeFailedError: the image does not know the name, or it is the guard's user.
    """
    found = _find(spec.user or str(image.get("User") or "") or "0", read)
    if found.uid == guard.UID:
        raise RuntimeFailedError(
            f'user "{found.text}" of "{spec.image}" is {guard.UID}, the guard\'s', field=_FIELD, hint="another one"
        )
    if not spec.user and found.uid == 0:
        return _find(NOBODY, read)
    return found


def _find(text: str, read: Read) -> User:
    name, _, group = text.partition(":")
    uid, gid = _number(name), _number(group)
    if uid is None:
        entry = next((f for f in _entries(read("/etc/passwd"), fields=4) if f[0] == name), None)
        if entry is None:
            raise RuntimeFailedError(f'the image knows no user "{name}"', field=_FIELD, hint=_HINT)
        uid = _number(entry[2])
        gid = gid if group else _number(entry[3])
    if group and gid is None:
        listed = next((f for f in _entries(read("/etc/group"), fields=3) if f[0] == group), None)
        if listed is None:
            raise RuntimeFailedError(f'the image knows no group "{group}"', field=_FIELD, hint=_HINT)
        gid = _number(listed[2])
    return User(text, uid, gid)


def _entries(text: str, *, fields: int) -> list[list[str]]:
    split = [line.strip().split(":") for line in text.splitlines()]
    return [each for each in split if len(each) >= fields]


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def reader(client: docker.APIClient, made: Callable[[], str]) -> Read:
    """Return what reads files of an image: of a container that is made when the first is wanted, and never started.

    Args:
        client: of the engine.
        made: makes the container and returns its id.
    """
    containers: list[str] = []

    def read(path: str) -> str:
        if not containers:
            containers.append(made())
        for _ in range(_LINKS):
            try:
                chunks, told = client.get_archive(containers[0], path)
            except NotFound:
                return ""
            data = b""
            for chunk in chunks:
                data += chunk
                if len(data) > _LARGEST:
                    return ""
            if not told.get("linkTarget"):
                return _text(data)
            path = told["linkTarget"]
        return ""

    return read


def _text(archive: bytes) -> str:
    with suppress(tarfile.TarError, StopIteration), tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        content = opened.extractfile(next(iter(opened)))
        return content.read().decode("utf-8", "replace") if content else ""
    return ""
