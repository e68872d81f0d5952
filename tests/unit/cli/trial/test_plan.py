"""What is asked of the manager follows from the options, and is what it takes."""

from typing import Any

import pytest

from api.schemas.network import NetworkBody
from api.schemas.profile import ProfileBody
from xds_server.cli.trial.original import Original
from xds_server.cli.trial.plan import Plan, env_of, words_of
from xds_server.errors import InvalidError
from xds_server.model.network import Address, Protocol


def plan(**more: Any) -> Plan:
    return Plan(**{"original": Original("127.0.0.1", 9001), "command": ("app", "{port}"), "env": {}} | more)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"control_self": True},
        {"start_timeout": 600.0},
        {"control_command": ("old", "--port", "{port}"), "readiness": "/healthz"},
        {"protocol": Protocol.GRPC, "share": 0.1, "warm_up": 0.0, "timeout": 1e6},
        {"methods": ("GET", "POST"), "command": ("app",)},
    ],
)
def test_the_documents_are_those_that_the_manager_takes(more: dict[str, Any]) -> None:
    made = plan(**more)
    ProfileBody.model_validate(made.profile_body())
    network = NetworkBody.model_validate(made.network_body(Address("127.0.0.1", 9001), 18080))
    assert network.components[0].endpoints[0].port == 9001


def test_the_new_version_and_its_control_have_as_long_to_start_as_was_said() -> None:
    body = plan(control_command=("old", "{port}"), start_timeout=90.0, readiness="/up").profile_body()
    for process in (body["variants"][0]["process"], body["control"]["process"]):
        assert process["readiness"] == {"timeout": "90s", "path": "/up"}
    assert body["shadowInstanceTTL"] == "1290s"


def test_only_safe_methods_are_copied_unless_more_are_named_and_grpc_has_but_one() -> None:
    assert "match" not in plan().profile_body()
    assert plan(methods=("PUT",)).profile_body()["match"] == {"methods": ["PUT"]}
    assert plan(protocol=Protocol.GRPC).profile_body()["match"] == {"methods": ["POST"]}


def test_a_command_without_a_port_is_told_it_by_its_environment() -> None:
    made = plan(command=("app",), env={"MODE": "x"})
    assert made.told_by_env
    assert made.profile_body()["variants"][0]["process"]["env"] == {"PORT": "{port}", "MODE": "x"}
    assert not plan().told_by_env
    assert plan(command=("app",), env={"LISTEN": ":{port}"}).profile_body()["variants"][0]["process"]["env"] == {
        "LISTEN": ":{port}"
    }


def test_variables_are_handed_on_by_name_or_with_a_value() -> None:
    assert env_of(["A", "B=2=3", "C="], {"A": "1"}) == {"A": "1", "B": "2=3", "C": ""}
    with pytest.raises(InvalidError, match='--env: "D" is not set'):
        env_of(["D"], {})


def test_words_are_those_of_a_shell() -> None:
    assert words_of("python 'old app.py' --port {port}", "x") == ("python", "old app.py", "--port", "{port}")
    for text in ("'", " "):
        with pytest.raises(InvalidError, match="--control-command"):
            words_of(text, "--control-command")
