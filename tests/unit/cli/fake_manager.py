"""A manager that answers with documents of a script, over a real socket."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Json = dict[str, Any]
AWAY = None
"""Instead of a document: the connection is closed without an answer."""
HOME = "/networks/shop/shadowing"


@dataclass
class Manager:
    """`profiles`: what is answered, one each time; the last one again and again."""

    profiles: list[Json | None] = field(default_factory=list)
    more: dict[str, Json] = field(default_factory=dict)
    """By path."""
    posted: list[tuple[str, Json]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> Json | None:
        self.asked.append(path)
        if path == f"{HOME}/profiles/catalog-v2":
            return self.profiles.pop(0) if len(self.profiles) > 1 else self.profiles[0]
        return self.more.get(path, {"type": "urn:shadowmesh:problems:not-found", "status": 404, "detail": "not there"})


@contextmanager
def running(manager: Manager) -> Iterator[Manager]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(manager.answer(urlsplit(self.path).path))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            path = urlsplit(self.path).path
            manager.posted.append((path, body))
            self._send(manager.answer(path))

        def _send(self, document: Json | None) -> None:
            if document is None:
                self.close_connection = True
                return
            data = json.dumps(document).encode()
            self.send_response(document.get("status", 200) if "detail" in document else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    manager.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield manager
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
