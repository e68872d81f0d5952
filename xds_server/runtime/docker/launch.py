"""The start of a shadow on an engine: its guard, the rules of egress, then the shadow itself, in this order.

Guarantees: nothing of the shadow runs before its rules are in force. A launch that was given up makes nothing more: it
stops before the next step, so that whoever gave it up can remove what there is.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import docker

from xds_server.errors import RuntimeFailedError
from xds_server.model.network import Address
from xds_server.model.profile import DockerSpec
from xds_server.runtime.docker import container, egress, guard, users

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds for the call to the engine that is under way when a launch is given up."""


@dataclass(slots=True)
class Launch:
    """One start.

    `labels` and `role` (the label that tells the containers of an instance apart) find them again; `publish` is the
    address of the node that the port is published at; `now` is asked when the time starts to run.
    """

    instance: str
    spec: DockerSpec
    image: Mapping[str, Any]
    rules: egress.Rules
    tag: str
    deadline: datetime
    labels: Mapping[str, str]
    role: str
    publish: str
    now: Callable[[], datetime]
    has_guard: bool = False
    _over: threading.Event = field(default_factory=threading.Event)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def give_up(self) -> None:
        """Have it make nothing more; return when it makes nothing, or after `PATIENCE` (a silent engine)."""
        self._over.set()
        if self._busy.acquire(timeout=PATIENCE):
            self._busy.release()

    def run(self, client: docker.APIClient) -> tuple[str, str, Mapping[str, Any], bool]:
        """Return the shadow's id, its guard's, the guard's network, and whether egress is guarded.

        Raises:
            RuntimeFailedError: there is no time left, or the image does not know the user.
            APIError: the engine will not run the guard (`has_guard` is False then), or the shadow.
        """
        owner, network, guarded = self._guard(client)
        self.has_guard = True
        shadow = self._shadow(client, owner)
        return shadow, owner, network, guarded

    def _guard(self, client: docker.APIClient) -> tuple[str, Mapping[str, Any], bool]:
        seconds = (self.deadline - self.now()).total_seconds()
        if seconds <= 0:
            raise RuntimeFailedError("its time to live was over before it could be started", hint="a longer ttl")
        made = guard.options(
            client,
            tag=self.tag,
            name=f"{self._name}-guard",
            labels=self._labels("guard"),
            seconds=seconds,
            hosts=self.rules.hosts,
            publish=(self.spec.port, self.publish) if self.publish else None,
        )
        self._check_length()
        owner = self._step(lambda: str(client.create_container(**made)["Id"]))
        self._step(lambda: client.start(owner))
        network: Mapping[str, Any] = client.inspect_container(owner)["NetworkSettings"]
        script = egress.script(self.rules, gateway=network.get("Gateway") or "")
        if script is not None:
            guard.allow(client, owner, script)
        return owner, network, script is not None

    def _check_length(self) -> None:
        script = egress.script(self.rules, gateway="255.255.255.255")
        if script is not None and len(script) > egress.LONGEST:
            raise RuntimeFailedError(
                f"{len(self.spec.egress.allow)} places, and the addresses of their names, are too many rules",
                field="docker.egress",
                hint="networks instead of single addresses, like 10.1.0.0/16:443",
            )

    def _shadow(self, client: docker.APIClient, owner: str) -> str:
        user = self._user(client)
        made = container.options(
            client,
            self.spec,
            self.image,
            user=user,
            name=self._name,
            labels=self._labels("shadow"),
            owner=owner,
            instance=self.instance,
        )
        shadow: str = self._step(lambda: str(client.create_container(**made)["Id"]))
        self._step(lambda: client.start(shadow))
        return shadow

    def _user(self, client: docker.APIClient) -> users.User:
        made: list[str] = []

        def for_reading() -> str:
            name, labels = f"{self._name}-read", self._labels("read")
            make = partial(client.create_container, self.spec.image, ["/never-started"], name=name, labels=labels)
            made.append(self._step(lambda: str(make()["Id"])))
            return made[0]

        try:
            return users.choose(self.spec, self.image, users.reader(client, for_reading))
        finally:
            for one in made:
                client.remove_container(one, force=True, v=True)

    def _labels(self, role: str) -> dict[str, str]:
        return {**self.labels, self.role: role}

    @property
    def _name(self) -> str:
        return f"shadowmesh-{self.instance}"

    def _step(self, step: Callable[[], T]) -> T:
        with self._busy:
            if self._over.is_set():
                raise RuntimeFailedError("its start was given up")
            return step()


def address(network: Mapping[str, Any], port: int, *, reached_at: str) -> Address:
    """Return where the shadow answers: on the bridge, or at its published port."""
    if not reached_at:
        return Address(network["IPAddress"], port)
    return Address(reached_at, int(network["Ports"][f"{port}/tcp"][0]["HostPort"]))
