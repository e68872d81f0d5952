"""What time it is by the manager's clock, in each answer.

Purpose: `createdAt`, `expiresAt` and the like are moments of the clock that lives are counted by, which is not moved by
setting the machine's (decision 0026). Whoever shows how long ago one was has to compare it with this header.
"""

from collections.abc import Callable
from datetime import datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "Shadowmesh-Time"


class Dated:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, *, now: Callable[[], datetime]) -> None:
        self._app = app
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, and date its answer."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
                message["headers"] = [*message.get("headers", ()), (HEADER.lower().encode(), told.encode())]
            await send(message)

        await self._app(scope, receive, dated if scope["type"] == "http" else send)
