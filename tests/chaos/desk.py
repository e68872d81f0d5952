"""REST as a stubborn user calls it: what was not answered is asked again, under the same key."""

import asyncio
import time
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from tests.envoy.stack import JSON, NETWORK, Stack

EVENTS = f"/networks/{NETWORK}/events"
PATIENCE = 3.0
"""Seconds after which a call that is not answered is made again."""
SERVER_ERROR = 500
NOT_FOUND = 404


class Desk:
    """Calls until there is an answer that says yes or no (no 5xx)."""

    def __init__(self, stack: Stack) -> None:
        self._client = httpx.AsyncClient(base_url=stack.url, timeout=PATIENCE, trust_env=False)
        self.refused: list[str] = []
        """Answers of 500 and more since the last look: what a user was told meanwhile."""

    async def close(self) -> None:
        await self._client.aclose()

    async def insist(
        self, method: str, path: str, body: Any = None, *, key: str = "", seconds: float = 60.0
    ) -> httpx.Response:
        """Call until it is answered."""
        deadline = time.monotonic() + seconds
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            try:
                answer = await self._client.request(method, path, json=body, headers=headers)
            except httpx.HTTPError as error:
                told = f"{type(error).__name__}"
            else:
                if answer.status_code < SERVER_ERROR:
                    return answer
                told = f"{answer.status_code} {answer.text[:200]}"
                self.refused.append(told)
            assert time.monotonic() < deadline, f"{method} {path} was not answered for {seconds:g} s: {told}"
            await asyncio.sleep(0.1)

    async def get(self, path: str) -> Any:
        answer = await self.insist("GET", path)
        assert answer.is_success, f"GET {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def create(self, body: JSON) -> JSON:
        """Create a profile, exactly once however often it takes."""
        answer = await self.insist("POST", f"/networks/{NETWORK}/shadowing/create", body, key=uuid4().hex)
        assert answer.is_success, f"create: {answer.status_code} {answer.text}"
        return dict(answer.json())

    async def change(self, profile: str, **fields: Any) -> JSON:
        answer = await self.insist("PATCH", f"/networks/{NETWORK}/shadowing/profiles/{profile}", fields)
        assert answer.is_success, f"change: {answer.status_code} {answer.text}"
        return dict(answer.json())

    async def delete(self, profile: str) -> None:
        answer = await self.insist("DELETE", f"/networks/{NETWORK}/shadowing/profiles/{profile}")
        assert answer.is_success or answer.status_code == NOT_FOUND, f"delete: {answer.status_code} {answer.text}"

    async def profiles(self) -> dict[str, JSON]:
        """Return the profiles as the status has them, by id."""
        status = await self.get(f"/networks/{NETWORK}/shadowing/status")
        return {each["profileID"]: dict(each) for each in status["profiles"]}

    async def trail_ends(self) -> str:
        """Return the cursor of what has not happened yet."""
        return str((await self.get(f"{EVENTS}?tail=1"))["nextCursor"])

    async def trail(self, after: str) -> list[JSON]:
        """Return all events of the network after a cursor, oldest first."""
        events: list[JSON] = []
        while True:
            page = await self.get(f"{EVENTS}?limit=1000&after={quote(after)}")
            events += page["items"]
            if not page["more"]:
                return events
            after = page["nextCursor"]
