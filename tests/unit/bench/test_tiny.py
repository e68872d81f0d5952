"""The smallest shadow answers HTTP and is up at once."""

import sys
from pathlib import Path

from tests.bench import _tiny
from tests.bench._children import child
from tests.bench._envoy import free_ports, until
from tests.bench._http import call_json


def test_the_tiny_shadow_answers_each_request() -> None:
    port = free_ports(1)[0]
    command = [sys.executable, "-I", "-S", str(Path(_tiny.__file__)), str(port)]
    with child(command):
        address = f"127.0.0.1:{port}"
        assert until(lambda: call_json(address, "GET", "/items/1"), 10, "the shadow")["price"] == 19.5
        assert call_json(address, "GET", "/items/2")["price"] == 19.5
