"""A program to shadow with, in an image: answers, and does what its path says. Standard library only."""

import json
import os
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

HELD: list[bytearray] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        act = ACTS.get(url.path)
        found = act(**dict(parse_qsl(url.query))) if act else {"path": url.path}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def who() -> dict[str, object]:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return {
        "uid": os.getuid(),
        "caps": status["CapBnd"].strip(),
        "no_new_privs": status["NoNewPrivs"].strip(),
        "pid": os.getpid(),
        "one": Path("/proc/1/comm").read_text().strip(),
        "port": os.environ.get("PORT"),
        "env": os.environ.get("GREETING"),
    }


def connect(host: str, port: str) -> dict[str, object]:
    began = time.monotonic()
    try:
        with socket.create_connection((host, int(port)), timeout=3) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return {"connected": True, "read": len(connection.recv(100))}
    except OSError as error:
        return {"connected": False, "why": str(error), "after": time.monotonic() - began}


def datagram(host: str, port: str) -> dict[str, object]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.sendto(b"x", (host, int(port)))
        except OSError as error:
            return {"sent": False, "why": str(error)}
    return {"sent": True}


def write(path: str) -> dict[str, object]:
    try:
        Path(path).write_text("x")
    except OSError as error:
        return {"written": False, "why": str(error)}
    return {"written": True}


def eat(mib: str) -> dict[str, object]:
    HELD.extend(bytearray(os.urandom(1024) * 1024) for _ in range(int(mib)))
    return {"eaten": mib}


def eat_apart(mib: str) -> dict[str, object]:
    code = f"x = [bytearray(b'x' * 1048576) for _ in range({mib})]"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=False)
    return {"code": done.returncode}


def fork(count: str) -> dict[str, object]:
    made = 0
    for _ in range(int(count)):
        try:
            pid = os.fork()
        except OSError:
            break
        if pid == 0:
            time.sleep(600)
            os._exit(0)
        made += 1
    return {"made": made}


def burn(seconds: str) -> dict[str, object]:
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        pass
    return {"burnt": time.process_time()}


def kill_one() -> dict[str, object]:
    found = {}
    for number in (9, 15, 19):
        try:
            os.kill(1, number)
            found[number] = "sent"
        except OSError as error:
            found[number] = str(error)
    return {"found": found}


def leave(code: str) -> dict[str, object]:
    os._exit(int(code))


ACTS = {
    "/who": who, "/connect": connect, "/datagram": datagram, "/write": write, "/eat": eat, "/eat_apart": eat_apart,
    "/fork": fork, "/burn": burn, "/kill_one": kill_one, "/leave": leave,
}  # fmt: skip


def main() -> None:
    print("listening", flush=True)
    ThreadingHTTPServer((os.environ.get("HOST", "0.0.0.0"), int(sys.argv[1])), Handler).serve_forever()


main()
