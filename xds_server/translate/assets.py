"""The files of `envoy/` that go into resources.

Read once, on first use. They lie in the repository's root, or, in an installed wheel, inside this package (a top-level
`envoy` would hide the packages of that name).
"""

from functools import cache
from importlib.resources import files
from pathlib import Path


@cache
def asset(name: str) -> str:
    """Return the text of an asset, for example `capture.lua`."""
    installed = files("xds_server") / "_assets" / "envoy" / name
    if installed.is_file():
        return installed.read_text(encoding="utf-8")
    return (Path(__file__).resolve().parents[2] / "envoy" / name).read_text(encoding="utf-8")
