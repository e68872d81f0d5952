"""What is said when a shadow cannot be started: the field that it is about, and what would be right."""

from docker.errors import APIError

from xds_server.errors import RuntimeFailedError
from xds_server.model.profile import DockerSpec, EgressMode
from xds_server.runtime.base import Condition
from xds_server.runtime.docker import container
from xds_server.runtime.docker.engine import reason_of

_WORDS: tuple[tuple[str, str, str], ...] = (
    ('error mounting "tmpfs"', "docker.writable", "folders that can be there, like /var/cache"),
    ("destination can't be", "docker.writable", "a folder below the root, or readOnly: false"),
    ("is not a directory", "docker.workingDirectory", "a folder of the image"),
    ("executable file not found", "docker.command", "its first word must be a program in the image"),
    ("no such file or directory", "docker.command", "its first word must be a program in the image"),
    ("permission denied", "docker.command", "it must be executable by docker.user"),
    ("exec format error", "docker.image", "it is for another kind of processor"),
    ("unable to find user", "docker.user", "a user that the image knows, or a number"),
    ("no matching entries in passwd", "docker.user", "a user that the image knows, or a number"),
    ("memory limit", "docker.memory", "more memory"),
    ("capability", "docker.capabilities", 'like "NET_BIND_SERVICE"'),
    ("no such image", "docker.image", "was it removed just now?"),
)
"""Part of what an engine says, the field it is about, and what would be right."""
_UNREACHED = ("no route to host", "host unreachable", "network is unreachable", "name resolution", "getaddrinfo")
"""Of what a program writes that may connect to nothing."""


def no_guard(error: APIError, node: str) -> RuntimeFailedError:
    """Return what is said when an engine will not run a guard."""
    said = reason_of(error)
    ended = any(part in said.lower() for part in ("exec format error", "is not running"))
    hint = "its machine must have the manager's architecture" if ended else "the engine's own log may say more"
    return RuntimeFailedError(f'the guard of a container could not be started on node "{node}": {said}', hint=hint)


def refused(error: APIError, spec: DockerSpec, node: str) -> RuntimeFailedError:
    """Return what is said when an engine will not run a shadow."""
    said = reason_of(error)
    low = said.lower()
    for part, field, hint in _WORDS:
        if part in low:
            return RuntimeFailedError(f'could not be started on node "{node}": {said}', field=field, hint=hint)
    return RuntimeFailedError(f'"{spec.image}" could not be started on node "{node}": {said}', field="docker")


def ended_early(end: Condition, spec: DockerSpec) -> RuntimeFailedError:
    """Return what is said of a shadow that ended before it was ready."""
    hint = "its last log lines say why" if end.log else "it wrote nothing"
    low = "\n".join(end.log).lower()
    if end.detail.startswith(container.NO_MEMORY):
        return RuntimeFailedError(
            f"{end.describe()} before it was ready", field="docker.memory", hint="more memory", log=end.log
        )
    if end.exit_code == 0:
        hint = "it must stay in the foreground"
    elif "exec format error" in low:
        hint = "it is for another kind of processor, or a script without #!"
    elif "read-only file system" in low:
        hint = "its root is read-only: docker.writable for a folder, or readOnly: false"
    elif "permission denied" in low or "operation not permitted" in low:
        hint = "it runs confined: docker.user, capabilities and newPrivileges loosen that, one by one"
    elif spec.egress.mode is not EgressMode.OPEN and any(word in low for word in _UNREACHED):
        hint = "it may connect to nothing but what docker.egress lists"
    return RuntimeFailedError(f"{end.describe()} before it was ready", field="docker.command", hint=hint, log=end.log)
