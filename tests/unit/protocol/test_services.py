"""What tools learn of the services without knowing them."""

import subprocess
import sys

ASK = """
from google.protobuf import descriptor_pool
from xds_server.protocol.services import ADS, SINGLE_TYPES
import xds_server.protocol.server
pool = descriptor_pool.Default()
for each in SINGLE_TYPES:
    methods = {method.name for method in pool.FindServiceByName(each.service).methods}
    wanted = {"Delta"} if each.delta_only else {"Stream", "Delta", "Fetch"}
    print(each.service, methods == {verb + each.noun for verb in wanted})
print(len(pool.FindServiceByName(ADS).methods) == 2)
"""


def test_reflection_can_describe_every_service() -> None:
    """In a process of its own: the tests around import descriptions that the server may have forgotten."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 10
    assert all(line.endswith("True") for line in lines), lines
