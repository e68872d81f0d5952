"""Users, each with a key of their own in a header or cookie, who remember which version answered them."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

CONNECTIONS = 8


@dataclass
class Users:
    """Clients of one listener, over connections that are kept alive.

    `name` says how a user is told to Envoy; `{}` becomes the user, and a user of "" sends none of it. A request without
    a good answer fails the test at once (or is kept in `bad`, when `keep_bad`).
    """

    port: int
    name: str = "x-user: {}"
    path: str = "/ok"
    keep_bad: bool = False
    patience: float = 0.0
    """Seconds after which a user who has no answer gives up, and leaves; 0: never."""
    bad: list[str] = field(default_factory=list)
    answered: int = 0
    gave_up: int = 0

    async def ask(self, users: Sequence[str]) -> dict[str, str]:
        """Let each ask once; return who answered whom."""
        found: dict[str, str] = {}
        await asyncio.gather(*(self._many(users[n::CONNECTIONS], found) for n in range(CONNECTIONS)))
        return found

    async def _many(self, users: Iterable[str], found: dict[str, str]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        for user in users:
            key = f"{self.name.format(user)}\r\n" if user else ""
            writer.write(f"GET {self.path} HTTP/1.1\r\nhost: a\r\n{key}\r\n".encode())
            try:
                async with asyncio.timeout(self.patience or None):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except TimeoutError:
                self.gave_up += 1
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                continue
            length = int(head.lower().partition("content-length: ")[2].split("\r\n")[0])
            body = await reader.readexactly(length)
            self.answered += 1
            if head.startswith("HTTP/1.1 200"):
                found[user] = json.loads(body)["from"]
                continue
            assert self.keep_bad, head
            self.bad.append(head + body.decode())
        writer.close()
        await writer.wait_closed()


def names(count: int, *, seed: str = "user") -> list[str]:
    return [f"{seed}-{n}" for n in range(count)]


def at(answers: dict[str, str], version: str) -> set[str]:
    """Return the users whom a version answered."""
    return {user for user, by in answers.items() if by == version}
