"""A service whose answers are never the same twice: a random number, the time, now and then another order.

Run as `python noisy.py --port N --seed S [--price P] [--record FILE]`: `seed` makes chance the same in each run,
`price` is what a planted bug changes, FILE gets the number of each answer, so that a test can tell who gave it.
Standard library alone: it is also what shadows run.
"""

import argparse
import json
import random
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SHUFFLED = 0.4
"""Share of the answers whose tags come in another order."""
_lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece, or the kernel waits 40 ms between them
    price = 5
    record = ""
    chance = random.Random()

    def do_GET(self) -> None:
        # How often it is probed is no matter of chance.
        chance = random if self.path == "/healthz" else self.chance
        with _lock:
            nonce = chance.randrange(10**12)
            tags = ["a", "b", "c"] if chance.random() >= SHUFFLED else ["c", "a", "b"]
        answer = {"nonce": nonce, "at": datetime.now(UTC).isoformat(), "tags": tags, "price": self.price, "stock": 7}
        body = json.dumps(answer).encode()
        if self.record and self.path != "/healthz":
            with _lock, Path(self.record).open("a", encoding="utf-8") as file:
                file.write(f"{nonce}\n")
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library calls it
        """Say nothing."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--price", type=int, default=5)
    parser.add_argument("--record", default="")
    given = parser.parse_args()
    Handler.price, Handler.record, Handler.chance = given.price, given.record, random.Random(given.seed)
    server = ThreadingHTTPServer(("127.0.0.1", given.port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()
