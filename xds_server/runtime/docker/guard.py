"""The guard of a container: a second, tiny one that owns its network and its end.

It is there before the shadow and holds the network namespace, so the rules of egress are in force before the shadow's
first packet; and it is process 1 of the shadow's process namespace, so the kernel ends every process of the shadow the
moment the guard's time is over, whether there is a manager, or an engine, or not.

Guarantees: the shadow cannot change its rules (it has no NET_ADMIN) nor end its guard (another user; signals from
inside to process 1 are dropped). Time is boot time: clock jumps do nothing.
"""

import ipaddress
import math
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import docker
from docker.types import LogConfig

from xds_server.errors import RuntimeFailedError, cut
from xds_server.runtime.base import Denied
from xds_server.runtime.docker import egress
from xds_server.runtime.docker.guard_image import REPOSITORY

OVER = 86
"""Exit code of a guard whose time is over."""
UID = 65533
USER = f"{UID}:{UID}"
"""User of a guard; a shadow may not have it."""
MEMORY = 32 * 1024 * 1024
_PIDS = 32
_SCRIPT = """
trap 'exit 143' TERM INT
read up rest < /proc/uptime
at=$(( ${up%%.*} + $1 ))
echo $at > /guard/deadline
while read up rest < /proc/uptime; do
  read next < /guard/deadline && at=$next
  [ "${up%%.*}" -lt "$at" ] || exit 86
  sleep 1 & wait $!
done
"""
_EXTEND = "read up rest < /proc/uptime; echo $(( ${up%%.*} + $1 )) > /guard/deadline"
_LISTENERS = 'for f in /proc/net/tcp /proc/net/tcp6; do while read -r line; do echo "$line"; done < $f; done'
_SETTLE = """
each() {
  for d in /proc/[0-9]*; do
    while read -r line; do
      case "$line" in *"$2"*) kill -$1 "${d#/proc/}" 2>/dev/null; break;; esac
    done < "$d/cgroup"
  done
} 2>/dev/null
state() { end=; while [ "$end" != . ]; do read -r ends token end < /guard/pause; done; }
clock() { read -r up rest < /proc/uptime; now=${up%.*}${up#*.}; }
wanted() { state; clock; word=CONT; if [ "$ends" = - ] || [ "$now" -lt "$ends" ]; then word=STOP; fi; }
settle() {
  while wanted; was="$word $token"; do
    each $word "$1"; each $word "$1"
    wanted; [ "$word $token" != "$was" ] || return 0
  done
}
later() {
  while state; [ "$token" = "$2" ]; do
    clock; left=$((ends - now)); [ $left -gt 0 ] || break
    if [ $left -ge 100 ]; then sleep 1; else left=$((100 + left)); sleep 0.${left#1}; fi
  done
  [ "$token" != "$2" ] || settle "$1"
}
"""
"""Signals each process of a container, told by its cgroup: neither the guard's nor any other's.

/guard/pause is what is wanted: when the pause ends (hundredths of seconds of boot time; `-`: it has no end), and whose
it is. Only `pause` and `resume` write it; whoever signals looks at it again afterwards, so the last word is always
done, however they meet. What waits for the end of one pause does nothing to the next, and ends a second after its own.
"""
_PAUSE = (
    _SETTLE
    + 'clock; ends=-; [ "$2" = - ] || ends=$((now + $2)); echo "$ends $3 ." > /guard/pause\n'
    + 'if [ "$2" != - ]; then ( later "$1" "$3" ) </dev/null >/dev/null 2>&1 & fi\nsettle "$1"'
)
_RESUME = _SETTLE + 'echo "0 $2 ." > /guard/pause; settle "$1"'
_LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp."""


def options(
    client: docker.APIClient,
    *,
    tag: str,
    name: str,
    labels: Mapping[str, str],
    seconds: float,
    hosts: Mapping[str, str],
    publish: tuple[int, str] | None,
) -> dict[str, Any]:
    """Return the arguments of `create_container` for a guard.

    Args:
        client: makes the host's part.
        tag: of its image.
        name: of the container.
        labels: that find it again.
        seconds: how long it lives.
        hosts: for /etc/hosts.
        publish: port of the shadow, and the address of the node that it is published at (any port); None: not at all.
    """
    ports: dict[int | str, Any] | None = None if publish is None else {f"{publish[0]}/tcp": (publish[1], None)}
    return {
        "image": f"{REPOSITORY}:{tag}",
        "name": name,
        "command": ["/bin/sh", "-c", _SCRIPT, "guard", str(math.ceil(seconds))],
        "user": USER,
        "labels": dict(labels),
        "ports": None if publish is None else [(publish[0], "tcp")],
        "host_config": client.create_host_config(
            cap_drop=["ALL"],
            cap_add=["NET_ADMIN", "KILL"],
            # Not no-new-privileges: the rules are put in force by root beside it. Its image has nothing setuid.
            read_only=True,
            # Not there in its image: a folder that is would keep its own mode (runc).
            tmpfs={"/guard": "rw,noexec,nosuid,nodev,size=64k,mode=1777"},
            mem_limit=MEMORY,
            memswap_limit=MEMORY,
            pids_limit=_PIDS,
            extra_hosts=dict(hosts) or None,
            port_bindings=ports,
            log_config=LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"}),
        ),
    }


def allow(client: docker.APIClient, container: str, rules: str) -> None:
    """Put the rules of egress in force. Raises: RuntimeFailedError, APIError."""
    _run(client, container, ["/usr/sbin/nft", rules], user="0")


def denied(client: docker.APIClient, container: str) -> tuple[Denied, ...]:
    """Return what was denied so far. Raises: RuntimeFailedError, APIError."""
    return egress.denied(
        _run(client, container, ["/usr/sbin/nft", "-j", "list", "table", "inet", egress.TABLE], user="0")
    )


def extend(client: docker.APIClient, container: str, seconds: float) -> None:
    """Have it end `seconds` from now. Raises: RuntimeFailedError, APIError."""
    left = str(max(0, math.ceil(seconds)))
    _run(client, container, ["/bin/sh", "-c", _EXTEND, "guard", left], user=USER)


def pause(client: docker.APIClient, container: str, shadow: str, seconds: float | None) -> None:
    """Let all processes of a shadow stand still, for so long even if nobody is there to lift it (None: until then).

    By SIGSTOP and not by the freezer: of what is frozen, nothing would end with its guard.

    Raises: RuntimeFailedError, APIError.
    """
    length = "-" if seconds is None else str(max(0, math.ceil(seconds * 100)))
    _run(client, container, ["/bin/sh", "-c", _PAUSE, "guard", shadow, length, uuid4().hex], user="0")


def resume(client: docker.APIClient, container: str, shadow: str) -> None:
    """Let them go on. Raises: RuntimeFailedError, APIError."""
    _run(client, container, ["/bin/sh", "-c", _RESUME, "guard", shadow, uuid4().hex], user="0")


def listening(client: docker.APIClient, container: str) -> list[str]:
    """Return where the shadow listens, as `address:port`. Raises: RuntimeFailedError, APIError."""
    lines = _run(client, container, ["/bin/sh", "-c", _LISTENERS], user=USER).decode("ascii", "replace").splitlines()
    fields = [line.split() for line in lines]
    return sorted({_place(f[1]) for f in fields if len(f) > 3 and f[3] == _LISTEN})  # noqa: PLR2004 - local, remote, state


def _place(text: str) -> str:
    """Return `127.0.0.1:80` of `0100007F:0050` (words of 32 bits in the machine's order, proc(5))."""
    address, port = text.split(":")
    words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return f"[{found}]:{int(port, 16)}" if found.version == 6 else f"{found}:{int(port, 16)}"  # noqa: PLR2004 - IPv6


def _run(client: docker.APIClient, container: str, command: list[str], *, user: str) -> bytes:
    made = client.exec_create(container, command, user=user, stdout=True, stderr=True)
    out, err = client.exec_start(made["Id"], demux=True)
    code = client.exec_inspect(made["Id"])["ExitCode"]
    if code != 0:
        said = (err or out or b"").decode("utf-8", "replace").strip()
        raise RuntimeFailedError(f"its guard could not run {command[0]}: {cut(said or f'exit code {code}', 300)}")
    return out or b""
