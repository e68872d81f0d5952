"""The load generator counts each request once, and counts a wait from the moment that was meant."""

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.bench import _generator
from tests.bench._children import Service, backend
from tests.bench._generator import Generator


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with backend("--differ") as running:
        yield running


@pytest.fixture
def generator() -> Iterator[Generator]:
    made = Generator()
    yield made
    made.close()


def order(port: int, *, rate: float = 0, seconds: float = 0.1, connections: int = 4) -> dict[str, float]:
    return {"port": port, "rate": rate, "seconds": seconds, "connections": connections, "seed": 3}


def test_in_a_closed_loop_the_service_has_answered_what_the_generator_counts(
    service: Service, generator: Generator
) -> None:
    before = service.answered()
    outcome = generator.run(order(service.port, seconds=1.0))
    assert outcome["answered"] > 4
    assert outcome["answered"] == len(outcome["latencies"]) == service.answered() - before
    assert outcome["failed"] == 0


def test_in_an_open_loop_the_seed_decides_how_many_requests_there_are(service: Service, generator: Generator) -> None:
    outcomes = [generator.run(order(service.port, rate=500)) for _ in range(2)]
    assert 20 < outcomes[0]["answered"] == outcomes[1]["answered"] < 100


def test_connections_are_kept_from_order_to_order(service: Service, generator: Generator) -> None:
    generator.run(order(service.port))
    first = list(generator._pools[service.port])
    sockets = [connection.socket for connection in first]
    generator.run(order(service.port, rate=100))
    assert [connection.socket for connection in generator._pools[service.port]] == sockets


def test_requests_without_an_answer_fail_and_do_not_hang(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_generator, "GIVE_UP", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        outcome = generator.run(order(mute.getsockname()[1], rate=200))
    assert outcome["answered"] == 0
    assert outcome["failed"] > 4


def test_an_answer_that_is_not_200_is_a_failure(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_generator, "GIVE_UP", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        port = server.getsockname()[1]
        outcome = generator.run(order(port, rate=10_000, seconds=0.0003, connections=1))
        generator.close()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join()
    assert outcome["failed"] >= 1
    assert outcome["answered"] == 0


def test_a_wait_for_a_free_connection_is_part_of_the_latency(generator: Generator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def slow() -> None:
            connection, _ = server.accept()
            with connection:
                while connection.recv(65536):
                    threading.Event().wait(0.02)
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        thread = threading.Thread(target=slow)
        thread.start()
        outcome = generator.run(order(server.getsockname()[1], rate=1000, seconds=0.02, connections=1))
        generator.close()
        thread.join()
    assert outcome["answered"] > 5
    # All were meant within 20 ms; the last one waited for the answers before it, 20 ms each.
    assert max(outcome["latencies"]) > (outcome["answered"] - 1.5) * 20_000


def test_a_tenth_of_the_answers_differ_between_two_services(service: Service) -> None:
    def ask(number: int) -> bytes:
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            connection.sendall(b"GET /items/%d HTTP/1.1\r\nhost: x\r\n\r\n" % number)
            data = b""
            while len(data) < 1400:
                data += connection.recv(65536)
            return data

    answers = [ask(n) for n in range(100)]
    assert sum(b"21.5" in answer for answer in answers) == 10
    assert {len(answer) for answer in answers} == {len(answers[0])}
