"""The container of a shadow: how it is confined, and what its state means. Pure.

Guarantees: nothing is loosened that the variant does not loosen: read-only root, all capabilities dropped, no new
privileges, not root, limits of CPU, memory (no swap) and processes, no volume, no device, no port.
"""

from collections.abc import Mapping
from signal import SIGKILL
from typing import Any

import docker
from docker.types import LogConfig

from xds_server.errors import InvalidError, RuntimeFailedError
from xds_server.model.profile import DockerSpec, EgressMode
from xds_server.model.quantity import format_bytes
from xds_server.runtime.base import Condition, Ending, Life
from xds_server.runtime.docker import guard
from xds_server.runtime.docker.users import User

PLACEHOLDER = "{port}"
PERIOD = 100_000
"""Microseconds over which its part of the processors is counted."""
LOG_SIZE, LOG_FILES = "1m", "2"
"""Log kept of each container, by the engine."""
_WRITABLE = "rw,nosuid,nodev,size=64m,mode=1777"
NO_MEMORY = "out of memory"
_SIGNALLED = 128
_AROUND = {
    "ALL",
    "BPF",
    "NET_ADMIN",
    "NET_RAW",
    "SYS_ADMIN",
    "SYS_MODULE",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "DAC_READ_SEARCH",
}
"""Capabilities with which rules in a network namespace are no rules: packet sockets go past them, others undo them."""


def options(
    client: docker.APIClient,
    spec: DockerSpec,
    image: Mapping[str, Any],
    *,
    user: User,
    name: str,
    labels: Mapping[str, str],
    owner: str,
    instance: str,
) -> dict[str, Any]:
    """Return the arguments of `create_container` for a shadow.

    Args:
        client: makes the host's part.
        spec: what to run.
        image: configuration of its image.
        user: who it runs as.
        name: of the container.
        labels: that find it again.
        owner: id of its guard.
        instance: id of the instance, for its environment.
    """
    if not (spec.command or spec.entrypoint or image.get("Cmd") or image.get("Entrypoint")):
        raise RuntimeFailedError(
            f'"{spec.image}" says nothing of what to run', field="docker.command", hint="give the command, as a list"
        )
    port = str(spec.port)
    environment = {"PORT": port, "SHADOW_INSTANCE": instance}
    environment |= {key: value.replace(PLACEHOLDER, port) for key, value in spec.env.items()}
    return {
        "image": spec.image,
        "name": name,
        "command": [word.replace(PLACEHOLDER, port) for word in spec.command] or None,
        "entrypoint": [word.replace(PLACEHOLDER, port) for word in spec.entrypoint] or None,
        "environment": environment,
        "working_dir": spec.working_directory or None,
        "user": user.text,
        "labels": dict(labels),
        "host_config": client.create_host_config(
            network_mode=f"container:{owner}",
            pid_mode=f"container:{owner}",
            ipc_mode="private",
            cap_drop=["ALL"],
            cap_add=list(spec.capabilities) or None,
            security_opt=None if spec.new_privileges else ["no-new-privileges:true"],
            read_only=spec.read_only,
            tmpfs=_in_memory(spec, image, user) or None,
            **limits(spec.cpus, spec.memory),
            pids_limit=spec.pids,
            log_config=LogConfig(type="json-file", config={"max-size": LOG_SIZE, "max-file": LOG_FILES}),
        ),
    }


def _in_memory(spec: DockerSpec, image: Mapping[str, Any], user: User) -> dict[str, str]:
    """Return the folders that are in memory: the writable ones, and the image's volumes, which would fill the disk."""
    # A folder that is in the image keeps its mode there (runc), and would be root's.
    owner = (f",uid={user.uid}" if user.uid is not None else "") + (f",gid={user.gid}" if user.gid is not None else "")
    return dict.fromkeys([*spec.writable, *(image.get("Volumes") or ())], _WRITABLE + owner)


def limits(cpus: float, memory: int) -> dict[str, Any]:
    """Return the arguments of processors and bytes of memory, for a new container and for one that runs alike."""
    # No swap. Not nano_cpus: an engine refuses to change those later.
    quota = max(1000, round(cpus * PERIOD))
    return {"cpu_period": PERIOD, "cpu_quota": quota, "mem_limit": memory, "memswap_limit": memory}


def check_capabilities(spec: DockerSpec) -> None:
    """Refuse what goes around egress or the guard, unless egress is open.

    Raises:
        InvalidError: naming it.
    """
    if spec.egress.mode is EgressMode.OPEN:
        return
    for i, name in enumerate(spec.capabilities):
        if name.upper().removeprefix("CAP_") in _AROUND:
            raise InvalidError(
                f"{name} lets it go around its egress",
                field=f"docker.capabilities[{i}]",
                hint="leave it out, or say egress: open, as that is what it comes to",
            )


def condition(
    shadow: Mapping[str, Any], owner: Mapping[str, Any] | None, *, memory: int, log: tuple[str, ...]
) -> Condition:
    """Say what the `State` of a shadow and that of its guard mean.

    Args:
        shadow: state of the container.
        owner: state of its guard; None when that is gone.
        memory: its limit in bytes, for words about it; 0: not known.
        log: its last lines.
    """
    if shadow.get("Running"):
        return Condition(Life.ALIVE, log=log)
    if shadow.get("Status") == "created":
        return Condition(Life.UNKNOWN, detail="it was made and never started")
    code = int(shadow.get("ExitCode", 0))
    signal = code - _SIGNALLED if code > _SIGNALLED else None
    if shadow.get("OOMKilled"):
        limit = f" of {format_bytes(memory)}" if memory else ""
        detail = f"{NO_MEMORY}: it needs more than its limit{limit} (docker.memory)"
        return Condition(Life.EXITED, Ending.OWN, signal=signal or SIGKILL, detail=detail, log=log)
    over = owner is None or not owner.get("Running")
    if over and owner is not None and owner.get("ExitCode") == guard.OVER:
        return Condition(Life.EXITED, Ending.DEADLINE, log=log)
    code_or_none = None if signal is not None else code
    if over:
        detail = "its guard was killed, or its engine ended"
        return Condition(Life.EXITED, Ending.LOST, exit_code=code_or_none, signal=signal, detail=detail, log=log)
    detail = str(shadow.get("Error") or "")
    return Condition(Life.EXITED, Ending.OWN, exit_code=code_or_none, signal=signal, detail=detail, log=log)
