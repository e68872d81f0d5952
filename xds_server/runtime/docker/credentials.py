"""The credentials for a registry, as Docker's own configuration of the manager's user has them.

`config.json` in `DOCKER_CONFIG`, or in `~/.docker`: `auths`, `credHelpers`, `credsStore`. It is read anew for each
pull, so a `docker login` counts from the next one on.

Guarantees: a helper is given `HELPER` seconds; nothing that it says, and no part of a configuration, gets into a log
or an error. Never raises: without credentials a pull is tried all the same (an image may be public), as by `docker
pull`.
"""

import asyncio
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field

from docker import auth
from docker.errors import DockerException

HELPER = 10.0
"""Seconds that a credential helper may take: it may wait for somebody to type a password, where nobody is."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is sent to the engine with a pull; `problem`: why there is nothing to send, where there should be."""

    header: bytes | None = field(default=None, repr=False)
    problem: str = ""


async def find(registry: str) -> Credentials:
    """Return the credentials for a registry (`docker.io`, `registry:5000`)."""
    try:
        config = await asyncio.to_thread(auth.load_config)
        store = config.get_credential_store(registry)
        if store:
            server = auth.INDEX_URL if registry == auth.INDEX_NAME else registry
            found = await _ask(str(store), server)
            if found.header or found.problem:
                return found
        known = auth.AuthConfig({"auths": config.auths}).resolve_authconfig(registry)
    except (DockerException, ValueError, TypeError, AttributeError, OSError):
        return Credentials(problem="Docker's configuration (config.json) of the manager's user cannot be read")
    return Credentials(auth.encode_header(known)) if known else Credentials()


async def _ask(store: str, server: str) -> Credentials:
    program = f"docker-credential-{store}"
    try:
        helper = await asyncio.create_subprocess_exec(
            program,
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return Credentials(problem=f"{program} cannot be run: it must be on the manager's PATH")
    try:
        async with asyncio.timeout(HELPER):
            said, _ = await helper.communicate(server.encode())
    except TimeoutError:
        return Credentials(problem=f"{program} did not answer within {HELPER:g} s")
    finally:
        if helper.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(helper.pid, signal.SIGKILL)  # with all that it has started
            await helper.wait()
    try:
        return _read(said, server)
    except (ValueError, KeyError, TypeError):
        return Credentials(problem=f"{program} gave no credentials for {server} (exit code {helper.returncode})")


def _read(said: bytes, server: str) -> Credentials:
    if b"credentials not found" in said:
        return Credentials()
    found = json.loads(said)
    user, secret = str(found["Username"]), str(found["Secret"])
    if not user and not secret:
        return Credentials()
    if user == auth.TOKEN_USERNAME:
        return Credentials(auth.encode_header({"serveraddress": server, "identitytoken": secret}))
    return Credentials(auth.encode_header({"serveraddress": server, "username": user, "password": secret}))
