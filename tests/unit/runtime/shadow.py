"""A program to shadow with: listens on PORT and does what its arguments say. Standard library only."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    port, *wishes = sys.argv[1:]
    for wish, act in WISHES.items():
        if wish in wishes:
            act()
    server = socket.create_server(("127.0.0.1", 0 if "elsewhere" in wishes else int(port)))
    print("listening", flush=True)
    while True:
        connection, _ = server.accept()
        with connection:
            answer(connection)


def answer(connection: socket.socket) -> None:
    connection.settimeout(0.5)
    try:
        request = connection.recv(4096)
    except TimeoutError:
        return
    status = b"503 No" if b"/unwell" in request else b"200 OK"
    connection.sendall(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
    if b"/die" in request:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"/burn" in request:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass


def grandchild() -> None:
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    print(f"grandchild {child.pid}", flush=True)


def daemon() -> None:
    """Start what leaves its session and its parent, and does not care for TERM."""
    code = "import os,signal,time; signal.signal(15,1); os.fork() and os._exit(0); os.setsid(); "
    code += "print('daemon', os.getpid(), flush=True); time.sleep(600)"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def chatter() -> None:
    for number in range(100_000):
        print(f"line {number} " + "x" * 50)
    sys.stdout.flush()


def fail() -> None:
    print("first \x1b[31mred\x1b[0m line\ncannot open the database", file=sys.stderr)
    sys.exit(3)


def report() -> None:
    """Print what a shadow is born with."""
    mask = os.umask(0)
    os.umask(mask)
    facts = {
        "fds": sorted(int(path.name) for path in Path("/proc/self/fd").iterdir()),
        "stdin": str(Path("/proc/self/fd/0").readlink()),
        "umask": mask,
        "env": dict(os.environ),
        "cwd": str(Path.cwd()),
        "session": os.getsid(0) == os.getpid(),
        "ignored": next(line for line in Path("/proc/self/status").read_text().splitlines() if "SigIgn" in line),
        "blocked": next(line for line in Path("/proc/self/status").read_text().splitlines() if "SigBlk" in line),
        "oom": int(Path("/proc/self/oom_score_adj").read_text()),
    }
    Path("facts.json").write_text(json.dumps(facts))


WISHES = {
    "deaf": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "report": report,
    "grandchild": grandchild,
    "daemon": daemon,
    "chatty": chatter,
    "fails": fail,
    "silent": lambda: time.sleep(600),
}

if __name__ == "__main__":
    main()
