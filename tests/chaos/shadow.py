"""A shadow that counts what it is asked: version 2 of the catalogue with a counter that outlives its process.

Run by path, with the standard library alone: `shadow.py CATALOGUE COUNTS AFTER --plain --port N --version 2`. The
counter is in `COUNTS/<instance id>`: how many requests, and when the last one came (CLOCK_MONOTONIC). `AFTER` are the
seconds that it takes to start.
"""

import importlib.util
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

FORM = struct.Struct("<Qd")


def main() -> None:
    """Take the catalogue, put the counter before its answers, serve."""
    source, counts, after = sys.argv[1:4]
    sys.argv[1:4] = []
    spec = importlib.util.spec_from_file_location("catalogue", source)
    assert spec is not None
    assert spec.loader is not None
    catalogue: Any = importlib.util.module_from_spec(spec)
    sys.modules["catalogue"] = catalogue
    spec.loader.exec_module(catalogue)
    path = Path(counts) / os.environ["SHADOW_INSTANCE"]
    path.write_bytes(bytes(FORM.size))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), FORM.size) as counter:
        answer, count = catalogue.Catalogue.answer, 0

        def counted(self: Any, method: str, target: str, body: bytes = b"") -> Any:
            nonlocal count
            if target != "/healthz":
                count += 1
                FORM.pack_into(counter, 0, count, time.monotonic())
            return answer(self, method, target, body)

        catalogue.Catalogue.answer = counted
        time.sleep(float(after))
        catalogue.main()


if __name__ == "__main__":
    main()
