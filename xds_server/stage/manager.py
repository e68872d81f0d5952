"""The manager's REST API as the stages use it: what a user would send with curl.

Guarantees: an answer that is not a success becomes an error with the problem's own words.
Not guaranteed: completeness; it has the calls that are made there.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from xds_server.errors import ShadowmeshError, UnavailableError, cut

JSON = dict[str, Any]


class Manager:
    """One manager.

    Args:
        url: of its REST API.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # Settings of a proxy in the environment are for the world outside, not for this machine.
        self._http = httpx.AsyncClient(base_url=url, timeout=30.0, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ready(self) -> bool:
        """Tell whether it is up."""
        try:
            return (await self._http.get("/readyz", timeout=2.0)).is_success
        except httpx.HTTPError:
            return False

    async def create_network(self, body: Mapping[str, Any]) -> JSON:
        """Create a virtual network."""
        return await self._call("POST", "/networks", body)

    async def create_profile(self, network: str, body: Mapping[str, Any]) -> JSON:
        """Create a shadowing profile."""
        return await self._call("POST", f"/networks/{network}/shadowing/create", body)

    async def change_profile(self, network: str, profile_id: str, body: Mapping[str, Any]) -> JSON:
        """Change a profile."""
        return await self._call("PATCH", f"/networks/{network}/shadowing/profiles/{profile_id}", body)

    async def status(self, network: str) -> JSON:
        """Return the status of a network."""
        return await self._call("GET", f"/networks/{network}/shadowing/status")

    async def inject_fault(self, network: str, body: Mapping[str, Any]) -> JSON:
        """Inject a fault into a shadow instance."""
        return await self._call("POST", f"/networks/{network}/shadowing/inject_fault", body)

    async def lift_fault(self, network: str, fault_id: str) -> None:
        """Lift a fault."""
        await self._call("DELETE", f"/networks/{network}/shadowing/faults/{fault_id}")

    async def delete_profile(self, network: str, profile_id: str) -> None:
        """End a profile; returns when its shadows are gone."""
        await self._call("DELETE", f"/networks/{network}/shadowing/profiles/{profile_id}")

    async def delete_network(self, network: str) -> None:
        """Remove a network with all its profiles."""
        await self._call("DELETE", f"/networks/{network}")

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> JSON:
        try:
            reply = await self._http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise UnavailableError(f"{method} {path}: {type(error).__name__} {error}") from error
        if not reply.is_success:
            raise ShadowmeshError(f"{method} {path} answered {reply.status_code}: {cut(reply.text)}")
        return dict(reply.json()) if reply.content else {}
