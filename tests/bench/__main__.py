"""Runs the benches: `python -m tests.bench [name ...]`, all of them without a name.

A bench is a module of this package with `run() -> dict`: it prints its table and returns figures that JSON can hold.
Results go to build/bench/<name>.json, with what they were measured on. No figure is asserted: a bench reports.
"""

import argparse
import datetime as dt
import importlib
import os
import pkgutil
import platform
import sys
from pathlib import Path

import orjson

import tests.bench
from tests.bench._scale import VARIABLE, quick

RESULTS = Path(__file__).parents[2] / "build" / "bench"


def names() -> list[str]:
    """Return the benches there are, in order of name."""
    found = (m.name for m in pkgutil.iter_modules(tests.bench.__path__) if not m.name.startswith("_"))
    return sorted(name for name in found if hasattr(importlib.import_module(f"tests.bench.{name}"), "run"))


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "",
    )
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()}


def main() -> int:
    """Run the benches named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"one of: {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help=f"seconds, to see that it runs (also: {VARIABLE}=1)")
    arguments = parser.parse_args()
    chosen = arguments.name or names()
    if unknown := set(chosen) - set(names()):
        parser.error(f"no bench called {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if arguments.quick:
        os.environ[VARIABLE] = "1"
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        print(f"\n=== {name}", flush=True)
        figures = importlib.import_module(f"tests.bench.{name}").run()
        stamp = dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds")
        body = {"bench": name, "at": stamp, "quick": quick(), "machine": machine(), "figures": figures}
        (RESULTS / f"{name}.json").write_bytes(orjson.dumps(body, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    print(
        f"\nJSON in {RESULTS.relative_to(Path.cwd())}" if RESULTS.is_relative_to(Path.cwd()) else f"\nJSON in {RESULTS}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
