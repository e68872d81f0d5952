"""What is to be tried: the options put together, and the documents that are made of them."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xds_server.cli.trial.original import Original
from xds_server.errors import InvalidError, cut
from xds_server.model.network import Address, Protocol

NETWORK, COMPONENT, PROFILE, VARIANT = "try", "service", "new-version", "new"
PORT = "{port}"
SELF = "self"
ALL_GRPC = ("POST",)
"""gRPC has no other method."""
SPARE = 600.0
"""Seconds that the shadow may live on after the trial's time, should nobody end it."""
_DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One trial. `listen` 0: any free port. `timeout`, `start_timeout` and `warm_up` are seconds."""

    original: Original
    command: tuple[str, ...]
    protocol: Protocol = Protocol.HTTP1
    listen: int = 0
    share: float = 1.0
    methods: tuple[str, ...] = ()
    env: Mapping[str, str]
    readiness: str = ""
    start_timeout: float = 30.0
    control_self: bool = False
    control_command: tuple[str, ...] = ()
    min_pairs: int = 100
    warm_up: float = 5.0
    timeout: float = 600.0
    keep_going: bool = False
    gets: tuple[str, ...] = ()
    rate: float = 50.0

    @property
    def told_by_env(self) -> bool:
        """Whether only an environment variable tells the new version its port."""
        return not any(PORT in word for word in self.command)

    @property
    def controlled(self) -> bool:
        """Whether there is a control."""
        return self.control_self or bool(self.control_command)

    def network_body(self, address: Address, listen: int) -> dict[str, Any]:
        """Return the body of `POST /networks`.

        Args:
            address: of the original.
            listen: Envoy's port.
        """
        component = {
            "name": COMPONENT,
            "protocol": self.protocol.value,
            "listen": {"address": "127.0.0.1", "port": listen},
            "endpoints": [{"address": address.address, "port": address.port}],
        }
        return {"name": NETWORK, "components": [component]}

    def profile_body(self) -> dict[str, Any]:
        """Return the body of `POST /networks/{network_id}/shadowing/create`."""
        methods = self.methods or (ALL_GRPC if self.protocol is Protocol.GRPC else ())
        control: dict[str, Any] = {}
        if self.control_self:
            control = {"control": {"self": True}}
        elif self.control_command:
            control = {"control": {"process": self._process(self.control_command)}}
        return {
            "name": PROFILE,
            "componentName": COMPONENT,
            "trafficShadowingPercentage": self.share,
            "shadowInstanceTTL": f"{min(self.start_timeout + self.timeout + SPARE, _DAY):.0f}s",
            "variants": [{"name": VARIANT, "process": self._process(self.command)}],
            "analysis": {"minPairs": self.min_pairs, "warmUp": f"{self.warm_up:g}s"},
            **({"match": {"methods": list(methods)}} if methods else {}),
            **control,
        }

    def _process(self, command: Sequence[str]) -> dict[str, Any]:
        told = any(PORT in text for text in (*command, *self.env.values()))
        return {
            "command": list(command),
            "env": {**({} if told else {"PORT": PORT}), **self.env},
            "workingDirectory": str(Path.cwd()),
            "readiness": {
                "timeout": f"{self.start_timeout:g}s",
                **({"path": self.readiness} if self.readiness else {}),
            },
        }


def words_of(text: str, field: str) -> tuple[str, ...]:
    """Return the words of a command in one text, as a shell would; no shell runs it.

    Raises:
        InvalidError: a quote is not closed, or there are none.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise InvalidError(f"{error}", field=field, hint='like "python old.py --port {port}"') from error
    if not words:
        raise InvalidError("is empty", field=field, hint='like "python old.py --port {port}"')
    return words


def check_program(command: Sequence[str], field: str, *, env: Mapping[str, str]) -> None:
    """Look whether the program of a command can be run here.

    Args:
        command: its words; nothing is said of one whose first word becomes complete only with a port.
        field: the option that names it.
        env: what is handed on; a PATH among it is the one that is searched.

    Raises:
        InvalidError: it cannot.
    """
    name = command[0]
    if PORT not in name and shutil.which(name, path=env.get("PATH")) is None:
        hint = "a program on PATH, or a path from this folder with a / in it"
        raise InvalidError(f'"{cut(name, 200)}" does not exist or cannot be executed', field=field, hint=hint)


def env_of(given: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are handed on: `NAME=VALUE`, or `NAME` as it is set here.

    Raises:
        InvalidError: it is not set here.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals and name not in environ:
            raise InvalidError(f'"{name}" is not set', field="--env", hint="NAME=VALUE, or the name of one that is")
        found[name] = value if equals else environ[name]
    return found
