"""Which runtimes there are, on which node.

Guarantees: an instance is asked for where it was started, whatever has been chosen since. Runtimes that are not tied to
a node (`endpoint`, `self`) may be shared by all of them.
"""

from collections.abc import Iterator, Mapping

from xds_server.errors import InvalidError
from xds_server.model.profile import DockerSpec, EndpointSpec, ProcessSpec, SelfSpec, VariantSpec
from xds_server.runtime.base import Runtime

KINDS: Mapping[type[VariantSpec], str] = {
    ProcessSpec: "process",
    DockerSpec: "docker",
    EndpointSpec: "endpoint",
    SelfSpec: "self",
}
"""Which runtime takes which spec."""


def kind_of(spec: VariantSpec) -> str:
    """Return the kind of runtime that takes `spec`."""
    return KINDS[type(spec)]


class Fleet:
    """The runtimes of each node by kind.

    Args:
        nodes: by name of the node, then by kind; looked at anew each time.
    """

    def __init__(self, nodes: Mapping[str, Mapping[str, Runtime]]) -> None:
        self._nodes = nodes

    def find(self, node: str, spec: VariantSpec) -> Runtime | None:
        """Return the runtime that takes `spec` on a node; None when there is none."""
        return self._nodes.get(node, {}).get(kind_of(spec))

    def of(self, node: str, spec: VariantSpec) -> Runtime:
        """Return the runtime that takes `spec` on a node.

        Raises:
            InvalidError: there is no such node, or it has none of that kind.
        """
        runtime = self.find(node, spec)
        if runtime is None:
            raise InvalidError(f'there is no {kind_of(spec)} runtime on node "{node}"', field=kind_of(spec))
        return runtime

    def check(self, spec: VariantSpec) -> None:
        """Refuse what can be known to be wrong on whichever node it will run.

        Raises:
            InvalidError: no node runs this kind, or as `Runtime.check`.
        """
        kind = kind_of(spec)
        runtime = next((runtimes[kind] for runtimes in self._nodes.values() if kind in runtimes), None)
        if runtime is None:
            kinds = sorted({kind for runtimes in self._nodes.values() for kind in runtimes})
            hint = f"one of: {', '.join(kinds)}" if kinds else ""
            if kind == "docker":
                hint = "serve --docker-host unix:///var/run/docker.sock, or nodes with docker in --nodes"
            raise InvalidError(f"no node here has a {kind} runtime", field=kind, hint=hint)
        runtime.check(spec)

    def kinds(self, node: str) -> tuple[str, ...]:
        """Return the kinds of variants that a node can run."""
        return tuple(self._nodes.get(node, {}))

    def all_kinds(self) -> set[str]:
        """Return the kinds of variants that some node can run."""
        return {kind for runtimes in self._nodes.values() for kind in runtimes}

    def all(self) -> Iterator[tuple[str, Runtime]]:
        """Return each runtime once, with the name of its (first) node."""
        seen: set[int] = set()
        for node, runtimes in self._nodes.items():
            for runtime in runtimes.values():
                if id(runtime) not in seen:
                    seen.add(id(runtime))
                    yield node, runtime
