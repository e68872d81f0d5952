"""What a response is to hold: decided by a subscription, encoded once however many streams are sent the same."""

from dataclasses import dataclass

from xds_server.cache.resource import Resource


@dataclass(frozen=True, slots=True)
class Plan:
    """One response without its nonce.

    `changed` are the resources whose content is new to the client; `alive` are heartbeats: name, version, TTL.
    """

    type_url: str
    version: str
    resources: tuple[Resource, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[Resource, ...] = ()
    alive: tuple[tuple[str, str, float], ...] = ()
