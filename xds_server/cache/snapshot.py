"""A consistent set of resources: what one group of Envoys should have, at one moment."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xds_server.cache.resource import Resource

_NONE: Mapping[str, Resource] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Resources by type URL and name. `versions` holds a hash a type, which changes when any of its resources does."""

    resources: Mapping[str, Mapping[str, Resource]]
    versions: Mapping[str, str]

    def of_type(self, type_url: str) -> Mapping[str, Resource]:
        """Return the resources of one type by name; empty when there are none."""
        return self.resources.get(type_url, _NONE)

    def version(self, type_url: str) -> str:
        """Return the version of one type; `0` when it has no resources."""
        return self.versions.get(type_url, "0")


def make_snapshot(resources: Iterable[Resource]) -> Snapshot:
    """Return the snapshot of these resources; of two with the same type and name the later one stays."""
    by_type: dict[str, dict[str, Resource]] = {}
    for resource in resources:
        by_type.setdefault(resource.type_url, {})[resource.name] = resource
    versions = {}
    for type_url, named in by_type.items():
        digest = hashlib.blake2b(digest_size=8)
        for name in sorted(named):
            digest.update(f"{name}\0{named[name].version}\0".encode())
        versions[type_url] = digest.hexdigest()
    return Snapshot(
        resources=MappingProxyType({t: MappingProxyType(named) for t, named in by_type.items()}),
        versions=MappingProxyType(versions),
    )


EMPTY = make_snapshot(())
