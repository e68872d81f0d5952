"""Ports of process shadows."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.errors import UnavailableError
from xds_server.runtime.ports import Ports, is_free


@given(st.integers(1, 20), st.integers(0, 40), st.lists(st.booleans(), max_size=60))
def test_no_port_is_held_twice(count: int, start: int, takes: list[bool]) -> None:
    ports = Ports(100, 99 + count, start=start, free=lambda _: True)
    held: list[int] = []
    for number, take in enumerate(takes):
        if take and len(held) < count:
            held.append(ports.take(f"owner {number}"))
            assert len(set(held)) == len(held)
            assert all(100 <= port <= 99 + count for port in held)
        elif held:
            port = held.pop(0)
            ports.release(port, ports.held()[port])
    assert set(ports.held()) == set(held)


def test_a_port_that_was_given_back_rests_while_there_are_others() -> None:
    ports = Ports(1, 3, free=lambda _: True)
    assert ports.take("a") == 1
    ports.release(1, "a")
    assert [ports.take("b"), ports.take("c"), ports.take("d")] == [2, 3, 1]


def test_ports_in_use_are_passed_over_and_an_exhausted_range_says_so() -> None:
    ports = Ports(1, 3, free=lambda port: port == 2)
    assert ports.take("a") == 2
    with pytest.raises(UnavailableError, match="from 1 to 3 are in use"):
        ports.take("b")


def test_only_the_owner_gives_a_port_back() -> None:
    ports = Ports(1, 1, free=lambda _: True)
    ports.hold(1, "a")
    ports.release(1, "b")
    ports.release(7, "a")
    assert ports.held() == {1: "a"}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "0.0.0.0", "::1", "::"])
def test_a_listener_on_any_address_takes_a_port(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        assert not is_free(server.getsockname()[1])
    assert is_free(server_port := _unused())
    assert is_free(server_port), "looking leaves no trace"


def _unused() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
