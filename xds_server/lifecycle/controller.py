"""The manager's front desk: every question and every change of networks, profiles, instances and faults comes here.

Guarantees: what a method accepted is on disk before it returns; what it refused left nothing behind. Changes of one
network happen one after another, those of different networks side by side. The original's resources never depend on a
shadow: whatever goes wrong with one, Envoys keep the last good configuration.
Not guaranteed: that Envoys have ACKed a change when its method returns (see `status`), or that a shadow is Running
when its profile was created (it is Pending until it has answered its health check).
"""

from collections.abc import Sequence
from typing import Any

from xds_server.lifecycle.views import NetworkStatus, ProfileChange, ProfileView
from xds_server.model.ids import FaultID, InstanceID, ProfileID
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import Fault, FaultParameters, ShadowingProfile


class Controller:
    """Create, change and end things; see the module. All methods belong on one event loop.

    A `ref` is a network's id or its name. Ids of what is handed in may be empty (`""`): the controller chooses them.
    """

    def __init__(
        self,
        *,
        store: Any,
        runtimes: Any,
        inventory: Any,
        publisher: Any,
        collector: Any,
        board: Any,
        clock: Any,
        settings: Any,
    ) -> None:
        """See the class."""

    async def start(self) -> None:
        """Read the state from disk, take up shadows that still run, publish every network. Raises: StoreError."""
        raise NotImplementedError

    async def stop(self, *, keep_shadows: bool = False) -> None:
        """Mirroring off, wait (bounded) for Envoys, end the shadows unless they are kept, write the rest, close."""
        raise NotImplementedError

    async def create_network(self, network: VirtualNetwork) -> VirtualNetwork:
        """Create a network; the answer carries id, revision 1 and time. Raises: InvalidError, ConflictError."""
        raise NotImplementedError

    async def networks(self) -> Sequence[VirtualNetwork]:
        """Return all networks, oldest first."""
        raise NotImplementedError

    async def network(self, ref: str) -> VirtualNetwork:
        """Return one network. Raises: NotFoundError."""
        raise NotImplementedError

    async def replace_network(
        self, ref: str, network: VirtualNetwork, *, if_match: int | None = None
    ) -> VirtualNetwork:
        """Replace the definition (components, labels); the same definition again keeps the revision.

        Raises: NotFoundError, StaleError, InvalidError (another name), ConflictError (a component with profiles gone).
        """
        raise NotImplementedError

    async def delete_network(self, ref: str, *, if_match: int | None = None) -> None:
        """End all its shadows, then take it from its Envoys. Returns when done. Raises: NotFoundError, StaleError."""
        raise NotImplementedError

    async def create_profile(
        self,
        ref: str,
        profile: ShadowingProfile,
        *,
        idempotency_key: str | None = None,
        body_hash: str | None = None,
    ) -> tuple[ProfileView, bool]:
        """Create a profile and, at a percentage above 0, its instances (Pending). True: created just now.

        Raises: NotFoundError, InvalidError, ConflictError, UnavailableError (no node has room).
        """
        raise NotImplementedError

    async def profiles(self, ref: str) -> Sequence[ProfileView]:
        """Return a network's profiles, oldest first. Raises: NotFoundError."""
        raise NotImplementedError

    async def profile(self, ref: str, profile: str) -> ProfileView:
        """Return one profile by id or name. Raises: NotFoundError."""
        raise NotImplementedError

    async def change_profile(
        self, ref: str, profile: str, change: ProfileChange, *, if_match: int | None = None
    ) -> ProfileView:
        """Change percentage, TTL or faults; published when this returns.

        Raises: NotFoundError, StaleError, InvalidError, ConflictError, UnavailableError.
        """
        raise NotImplementedError

    async def delete_profile(self, ref: str, profile: str, *, if_match: int | None = None) -> None:
        """Mirroring off, shadows ended, profile gone; returns when done. Raises: NotFoundError, StaleError."""
        raise NotImplementedError

    async def inject_fault(
        self, ref: str, instance_id: InstanceID, parameters: FaultParameters, *, duration: float | None = None
    ) -> Fault:
        """Put a fault on one instance, for `duration` seconds or until lifted (or the instance ends).

        Raises: NotFoundError, InvalidError, ConflictError (the instance has ended).
        """
        raise NotImplementedError

    async def faults(self, ref: str) -> Sequence[Fault]:
        """Return the faults in force, oldest first. Raises: NotFoundError."""
        raise NotImplementedError

    async def lift_fault(self, ref: str, fault_id: FaultID) -> None:
        """Take a fault away before its time. Raises: NotFoundError."""
        raise NotImplementedError

    async def status(self, ref: str) -> NetworkStatus:
        """Return everything known of a network at this moment. Raises: NotFoundError."""
        raise NotImplementedError

    async def nodes(self, ref: str) -> Sequence[Any]:
        """Return the candidate nodes (`placement.Node`). Raises: NotFoundError."""
        raise NotImplementedError

    async def select_node(self, ref: str, component: str) -> Any:
        """Return the `placement.Choice` that a shadow of this component would get now, and why.

        Raises: NotFoundError.
        """
        raise NotImplementedError

    async def examples(
        self,
        ref: str,
        profile: str | ProfileID,
        *,
        endpoint: str | None = None,
        field: str | None = None,
        kind: str | None = None,
    ) -> Sequence[Any]:
        """Return differing pairs of a profile (`analysis.Example`), filtered. Raises: NotFoundError."""
        raise NotImplementedError
