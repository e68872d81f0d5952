"""Get, status, diffs, and faults from the command line."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from tests.unit.api.fake import NOW, FakeController, compared
from tests.unit.cli.conftest import Shell
from xds_server.alerts.alert import Alert, labels_of
from xds_server.alerts.courier import SinkStatus
from xds_server.cli.output import clean, number, since
from xds_server.errors import InvalidError
from xds_server.model.shadow import InstanceStatus


@pytest.fixture
def applied(shell: Shell, shop: Path, desk: FakeController) -> Shell:
    desk.first_status = InstanceStatus.RUNNING
    assert shell("apply", "-f", str(shop)).code == 0
    return shell


def test_a_node_is_shown_with_its_health_and_what_is_left_alone(applied: Shell) -> None:
    out = " ".join(applied("get", "nodes").out.split())
    assert "docker left alone until 00:00:00: the engine is away" in out
    assert "gpu=yes:NoSchedule" in out
    assert "3/100" in out


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("networks", "shop"),
        ("network", "catalog"),
        ("profiles", "catalog-v2"),
        ("instances", "Running"),
        ("faults", "FAULT"),
        ("envoys", "ACKED 1/1"),
        ("nodes", "local"),
    ],
)
def test_each_kind_is_listed_as_a_table(applied: Shell, kind: str, shown: str) -> None:
    done = applied("get", kind)
    assert (done.code, done.err) == (0, "")
    assert shown in done.out


def test_lists_are_json_and_yaml_for_programs(applied: Shell) -> None:
    as_json = applied("get", "networks", "-o", "json").json
    assert as_json["items"][0]["name"] == "shop"
    assert yaml.safe_load(applied("get", "networks", "-o", "yaml").out) == as_json


def test_one_thing_is_found_by_name(applied: Shell) -> None:
    assert applied("get", "profile", "catalog-v2", "-o", "json").json["componentName"] == "catalog"
    done = applied("get", "profile", "nope")
    assert (done.code, done.err) == (3, 'error: there is no profile "nope" (get profiles lists them)\n')


def test_the_status_shows_shadows_comparison_and_envoys(applied: Shell) -> None:
    out = applied("status").out
    for part in ("network shop", "mirrors 50 % of GET", "Running", "edge-1", "nothing compared yet"):
        assert part in out
    assert applied("status", "shop", "-o", "json").json["name"] == "shop"


def test_the_network_must_be_named_when_there_are_several(applied: Shell, tmp_path: Path, shop: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(shop.read_text().split("---")[0].replace("name: shop", "name: other"))
    applied("apply", "-f", str(other))
    done = applied("status")
    assert (done.code, done.err) == (2, "error: network: there are 2 networks (name one: shop, other)\n")
    assert applied("get", "profiles", "-n", "other").code == 0


def test_a_fault_is_injected_by_the_name_of_the_version_and_lifted(applied: Shell, desk: FakeController) -> None:
    done = applied("inject", "v2", "--abort", "503", "--delay", "200ms", "--delay-percentage", "50", "--duration", "1m")
    assert (done.code, done.err) == (0, "")
    fault = next(iter(desk.in_force.values()))
    assert fault.parameters.delay is not None
    assert (fault.parameters.delay.percentage, fault.expires_at is not None) == (50, True)
    assert applied("lift", fault.id[:8]).out == f"fault/{fault.id} lifted\n"
    assert desk.in_force == {}


def test_an_instance_that_has_ended_takes_no_faults(applied: Shell, desk: FakeController) -> None:
    desk.later_status = InstanceStatus.STOPPED
    done = applied("inject", "v2", "--abort", "503")
    assert (done.code, "no living instance" in done.err, desk.in_force) == (3, True, {})


def test_all_injected_faults_are_lifted_at_once(applied: Shell, desk: FakeController) -> None:
    for _ in range(2):
        applied("inject", "v2", "--rate-limit", "64", "--header", "x-chaos")
    assert applied("lift", "--all").code == 0
    assert desk.in_force == {}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["v2"], "inject: names no fault (at least one of --delay, --abort, --grpc-abort, --rate-limit, --pause, "),
        (["v2", "--abort", "99"], "--abort: 99 is out of range"),
        (["v2", "--delay", "200"], '--delay: "200" is not a duration'),
        (["v2", "--delay-percentage", "5"], "--delay-percentage is given without --delay"),
        (
            ["v2", "--abort", "503", "--grpc-abort", "14"],
            "--abort: has --abort and --grpc-abort (exactly one of --abort, --grpc-abort)",
        ),
        (["v2", "--abort", "503", "--duration", "0s"], "--duration: "),
        (["v2", "--abort", "503", "--abort-percentage", "101"], "--abort-percentage: 101"),
        (["v2", "--grpc-abort", "99"], "--grpc-abort: 99"),
        (["v2", "--rate-limit", "0"], "--rate-limit: 0"),
        (["v2", "--abort", "503", "--header", "a b:c"], "--header: "),
        (["v2", "--header", "a"], "--delay, --abort, --grpc-abort, --rate-limit"),
        (["", "--abort", "503"], "instance: is empty"),
        (["v9", "--abort", "503"], 'no living instance is called "v9"'),
    ],
)
def test_a_bad_fault_is_one_clear_line(applied: Shell, desk: FakeController, arguments: list[str], told: str) -> None:
    done = applied("inject", *arguments)
    assert done.code in {2, 3}
    assert told in done.err
    assert len(done.err.splitlines()) == 1
    assert desk.in_force == {}


def test_what_the_manager_says_of_a_fault_names_the_flag_too(
    applied: Shell, desk: FakeController, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        field = "faultInjectionParameters.abort.grpcStatus"
        raise InvalidError("has no gRPC status", field=field, hint="httpStatus, for example 503")

    monkeypatch.setattr(desk, "inject_fault", refuse)
    done = applied("inject", "v2", "--grpc-abort", "14")
    assert (done.code, done.err) == (2, "error: --grpc-abort: has no gRPC status (--abort, for example 503)\n")


def test_numbers_and_times_read_as_people_read_them() -> None:
    assert number(0.0123, "s") == "12.3 ms"
    assert number(3 * 1024 * 1024, "bytes") == "3 MiB"
    assert number(0.125, "%") == "12.5 %"
    assert number(None) == ""
    assert since(None) == ""
    assert clean("a\x1b[31m\tb\x9b") == "a\\x1b[31m\tb\\x9b"


def test_the_status_shows_what_differs_by_endpoint(applied: Shell, desk: FakeController) -> None:
    desk.views = {name: replace(view, comparison=compared()) for name, view in desk.views.items()}
    out = applied("status").out
    assert "2 pairs, 1 identical, 0 noise, 1 discrepancies" in out
    assert "noise was not measured" in out
    row = next(line for line in out.splitlines() if line.startswith("GET /b"))
    assert row.split()[2:5] == ["1", "0", "1"]
    assert "29.9 ms" in row


def test_the_status_shows_what_fires_and_who_is_not_told_of_it(applied: Shell, desk: FakeController) -> None:
    assert "alert" not in applied("status").out
    words = {"summary": "catalog v2: GET / differs in $.price (type)", "description": "3 of 4 pairs\x1b[31m"}
    desk.alerts = (Alert(labels_of("ShadowmeshNewDifference", network="shop"), words, NOW),)
    for name, error in (("webhook", "answered 503"), ("log", "")):
        sink = SinkStatus(name, "http://127.0.0.1:9", not error, error, NOW if error else None, 7, 1, 2, 0)
        desk.alert_sinks = (*desk.alert_sinks, sink)
    out = " ".join(applied("status").out.split())
    assert "catalog v2: GET / differs in $.price (type) | 3 of 4 pairs" in out
    assert "\x1b" not in out
    assert "webhook (http://127.0.0.1:9) is not told of alerts, 7 wait: answered 503" in out
    assert "log (" not in out
    shown = applied("status", "-o", "json").json
    assert shown["alerts"][0]["labels"]["alertname"] == "ShadowmeshNewDifference"
    assert shown["alertSinks"][0]["failingSince"] is not None


def test_a_watched_status_is_printed_again_and_again_until_interrupted(
    applied: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("xds_server.cli.commands.status.time.sleep", nap)
    done = applied("status", "--watch", "--interval", "0.5")
    assert (done.code, naps) == (130, [0.5] * 3)
    assert done.out.count("network shop") == 3


def test_ages_are_told_by_the_managers_clock_whatever_ours_was_set_to(applied: Shell, desk: FakeController) -> None:
    (view,) = desk.views.values()
    (seen,) = view.instances
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    instance = replace(seen.instance, created_at=now - timedelta(hours=3), expires_at=now + timedelta(minutes=10))
    desk.views = {view.profile.id: replace(view, instances=(replace(seen, instance=instance),))}
    desk.clock = now
    assert "in 10m" in applied("status").out
    desk.clock = now + timedelta(minutes=5)
    assert "in 5m" in applied("status").out
