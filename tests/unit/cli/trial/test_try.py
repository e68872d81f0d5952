"""Wrong usage is told before anything starts; hints come when they help; GETs are sent at a pace."""

import asyncio
import io
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tests.unit.cli.conftest import Shell
from tests.unit.demo.conftest import catalogue_port
from tests.unit.report.samples import profile, verdict
from xds_server.cli.trial import run as module
from xds_server.cli.trial.gets import Gets
from xds_server.cli.trial.original import Original
from xds_server.cli.trial.plan import Plan
from xds_server.cli.trial.run import _Wait, advice
from xds_server.errors import RuntimeFailedError
from xds_server.report.subject import Subject
from xds_server.stage.show import Show

__all__ = ["catalogue_port"]

TRY = ("try", "--original", "http://127.0.0.1:1")


def plan(**more: Any) -> Plan:
    return Plan(**{"original": Original("127.0.0.1", 9001), "command": ("app", "{port}"), "env": {}} | more)


def subject(name: str = "pass") -> Subject:
    return Subject.now("try", profile(verdict(name)))


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 7, "there is no command for the new version"),
        (("--control", "x", "--", "app"), 7, '--control: "x" is not known'),
        (("--control", "self", "--control-command", "y", "--", "app"), 7, "one of the two"),
        (("--get", "api", "--", "app"), 7, '--get: "api" is not a path'),
        (("--get", "/", "--protocol", "grpc", "--", "app"), 7, "gRPC has no GET"),
        (("--listen", "0.0.0.0:1", "--", "app"), 7, "is not this machine alone"),
        (("--share", "0", "--", "app"), 7, "--share: 0 copies nothing"),
        (("--timeout", "soon", "--", "app"), 7, "--timeout"),
        (("--start-timeout", "11m", "--", "app"), 7, "from 0.1 s to 600 s"),
        (("--report", "/no/such/folder/x.html", "--", "app"), 7, "cannot be written"),
        (("--env", "NOT_SET_ANYWHERE", "--", "app"), 7, "is not set"),
        (("--", "/no/such/cmd"), 7, '-- COMMAND: "/no/such/cmd" does not exist or cannot be executed'),
        (("--control-command", "no-such-program", "--", "true"), 7, '--control-command: "no-such-program" does not'),
        (("--env", "PATH=/nowhere", "--", "true"), 7, '"true" does not exist'),
        (("--", "true", "{port}"), 6, "the original does not answer"),
    ],
)
def test_what_cannot_be_is_one_clear_line_and_no_decision(
    offline: Shell, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = offline(*TRY, *arguments)
    assert (done.code, done.err.startswith("error: ")) == (code, True), done.err
    assert words in done.err


def test_a_taken_port_is_a_conflict_before_anything_starts(offline: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    async def there(*_: Any) -> object:
        return object()

    monkeypatch.setattr(module, "reach", there)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = offline(*TRY, "--listen", port, "--", "true", "{port}")
    assert done.code == 4
    assert f"--listen: port {port} is taken" in done.err


def test_a_version_that_is_not_up_in_time_is_told_with_the_option_that_gives_it_longer() -> None:
    slow = RuntimeFailedError("try: new is Failed: not ready on 127.0.0.1:5 after 30 s: connection refused")
    assert "--start-timeout" in str(module._explained(slow, plan()))
    assert "--start-timeout" not in str(module._explained(RuntimeFailedError("exited with code 1"), plan()))


def waiting(seconds: float, **more: Any) -> _Wait:
    mesh: Any = SimpleNamespace()
    made = _Wait(plan(**more), mesh, SimpleNamespace(), "http://127.0.0.1:5")  # type: ignore[arg-type]
    made._began -= seconds
    return made


@pytest.mark.parametrize(
    ("seconds", "requests", "more", "words"),
    [
        (1, 0, {}, ""),
        (11, 0, {}, "no request has come yet: send some to http://127.0.0.1:5"),
        (11, None, {}, ""),
        (11, 50, {}, "only GET, HEAD and OPTIONS are copied"),
        (11, 50, {"methods": ("POST",)}, ""),
    ],
)
def test_it_is_said_how_to_send_requests_when_none_come_or_none_is_copied(
    seconds: float, requests: int | None, more: dict[str, Any], words: str
) -> None:
    nothing = Subject.now("try", profile(None) | {"comparison": None})
    found = waiting(seconds, **more)._hint(nothing, requests)
    assert words in found
    assert bool(words) == bool(found)


def test_pairs_need_no_hint() -> None:
    assert waiting(11)._hint(subject(), 50) == ""


async def test_a_decision_ends_it_unless_one_keeps_going_and_a_signal_always_does() -> None:
    told = asyncio.Event()
    assert waiting(0)._end(subject("fail"), told) == ""
    assert waiting(0, keep_going=True)._end(subject("fail"), told) is None
    assert waiting(601, keep_going=True)._end(subject("fail"), told) == "no decision within 10m 00s"
    told.set()
    assert waiting(0, keep_going=True)._end(subject(), told) == "it was ended before there was a decision"


def test_a_control_is_offered_where_answers_differ_and_there_is_none() -> None:
    assert "--control self" in advice(plan(), subject("fail"))
    assert advice(plan(control_self=True), subject("fail")) == ""
    assert "--control self" not in advice(plan(methods=("POST",)), subject("fail"))
    assert "--control-command" in advice(plan(methods=("POST",)), subject("fail"))


def test_the_verdict_is_told_with_the_last_words_of_a_version_that_ended() -> None:
    document = profile(verdict("fail"))
    document["instances"] = [{"variant": "new", "status": "Failed", "logTail": ["out of [memory]"]}]
    console = Console(file=io.StringIO(), width=120)
    module._tell(plan(), Subject.now("try", document), Show(console))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.lstrip().startswith("FAIL")
    assert "last words of new" in text or "last lines of new" in text
    assert "out of [memory]" in text


async def test_gets_go_to_each_path_in_turn_and_one_that_fails_stops_nothing(catalogue_port: int) -> None:
    gets = Gets(catalogue_port, ["/api/items/3", "/nowhere"], rate=2000)
    gets.start()
    await asyncio.sleep(0.2)
    await gets.stop()
    assert gets.failed == 0
    nobody = Gets(1, ["/"], rate=2000)
    nobody.start()
    async with asyncio.timeout(5):
        while nobody.failed < 10:  # noqa: ASYNC110 - it has no event for it
            await asyncio.sleep(0.01)
    await nobody.stop()
