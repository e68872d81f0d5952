"""Inject a fault into a shadow instance.

Only copies are hurt, never a client. Percentages are 0-100. For example, every second copy 200 ms late for a minute:
shadowmesh inject v2 --delay 200ms --delay-percentage 50 --duration 1m
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from api.schemas.base import validate
from api.schemas.fault import InjectFaultBody
from xds_server.cli import views
from xds_server.cli.client import JSON, Client
from xds_server.cli.options import DEFAULT_SERVER, Format, Network, Output, Server, Token
from xds_server.cli.output import emit
from xds_server.errors import ConflictError, FieldProblem, InvalidError, InvalidFieldsError, NotFoundError

_FLAGS = {
    "faultInjectionParameters": "inject",
    "faultInjectionParameters.delay": "--delay",
    "faultInjectionParameters.delay.fixedDelay": "--delay",
    "faultInjectionParameters.delay.percentage": "--delay-percentage",
    "faultInjectionParameters.abort": "--abort",
    "faultInjectionParameters.abort.httpStatus": "--abort",
    "faultInjectionParameters.abort.grpcStatus": "--grpc-abort",
    "faultInjectionParameters.abort.percentage": "--abort-percentage",
    "faultInjectionParameters.responseRateLimit.kbps": "--rate-limit",
    "faultInjectionParameters.responseRateLimit.percentage": "--rate-limit-percentage",
    "faultInjectionParameters.headers": "--header",
    "faultInjectionParameters.pause": "--pause",
    "faultInjectionParameters.kill": "--kill",
    "faultInjectionParameters.stress": "--stress-cpus",
    "faultInjectionParameters.stress.cpus": "--stress-cpus",
    "faultInjectionParameters.stress.memory": "--stress-memory",
    "duration": "--duration",
}
_WORDS = {
    "delay, abort, responseRateLimit": "--delay, --abort, --grpc-abort, --rate-limit",
    "pause, kill, stress": "--pause, --kill, --stress-cpus, --stress-memory",
    "httpStatus": "--abort",
    "grpcStatus": "--grpc-abort",
}
_WORD = re.compile("|".join(_WORDS))
_Percentage = typer.Option(metavar="0-100", help="Per cent of the copies.", show_default="100")


def command(
    instance: Annotated[str, typer.Argument(help="Instance: its id, the beginning of it, or its version's name.")],
    *,
    delay: Annotated[str | None, typer.Option(metavar="DURATION", help="Hold copies back, like 200ms.")] = None,
    delay_percentage: Annotated[float | None, _Percentage] = None,
    abort: Annotated[int | None, typer.Option(metavar="STATUS", help="Answer copies with this HTTP status.")] = None,
    grpc_abort: Annotated[int | None, typer.Option(metavar="STATUS", help="Or with this gRPC status.")] = None,
    abort_percentage: Annotated[float | None, _Percentage] = None,
    rate_limit: Annotated[int | None, typer.Option(metavar="KIB/S", help="Slow the shadow's answers down.")] = None,
    rate_limit_percentage: Annotated[float | None, _Percentage] = None,
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME[:VALUE]", help="Only copies with this header; more than once.")
    ] = None,
    pause: Annotated[bool, typer.Option("--pause", help="Let all its processes stand still; of a container.")] = False,
    kill: Annotated[bool, typer.Option("--kill", help="Kill it, and start it again at the end.")] = False,
    stress_cpus: Annotated[float | None, typer.Option(metavar="CPUS", help="Lower its processors, like 0.1.")] = None,
    stress_memory: Annotated[str | None, typer.Option(metavar="MEMORY", help="Lower its memory, like 64Mi.")] = None,
    duration: Annotated[str | None, typer.Option(metavar="DURATION", help="How long; until lifted otherwise.")] = None,
    network: Network = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Inject a fault."""
    parameters = {
        "delay": _part(delay_percentage, "--delay", fixedDelay=delay),
        "abort": _part(abort_percentage, "--abort", httpStatus=abort, grpcStatus=grpc_abort),
        "responseRateLimit": _part(rate_limit_percentage, "--rate-limit", kbps=rate_limit),
        "headers": [_header(one) for one in header or ()],
        "stress": {n: v for n, v in (("cpus", stress_cpus), ("memory", stress_memory)) if v is not None},
    }
    given = {name: part for name, part in parameters.items() if part}
    given |= {name: {} for name, wanted in (("pause", pause), ("kill", kill)) if wanted}
    body: dict[str, Any] = {"instanceID": "checked-before-it-is-sent", "faultInjectionParameters": given}
    if duration is not None:
        body["duration"] = duration
    with _by_flags():
        validate(InjectFaultBody, body)
    with Client(server, token) as client:
        home = client.the_network(network)
        body["instanceID"] = find_instance(client, home, instance)
        with _by_flags():
            made = client.post("networks", home, "shadowing", "inject_fault", body=body)
    emit(made, output, lambda: views.faults([made]))


def find_instance(client: Client, network: str, ref: str) -> str:
    """Return the id of the living instance that `ref` means.

    Raises:
        InvalidError: it is empty, which would mean each.
        NotFoundError: there is none.
        ConflictError: it may mean several.
    """
    if not ref:
        raise InvalidError("is empty", field="instance", hint="get instances lists them")
    found: list[JSON] = [
        instance
        for profile in client.items("networks", network, "shadowing", "profiles")
        for instance in profile["instances"]
        if instance["status"] in {"Pending", "Running"}
    ]
    ids = [i["instanceID"] for i in found if i["instanceID"] == ref]
    ids = ids or [i["instanceID"] for i in found if i["variant"] == ref or i["instanceID"].startswith(ref)]
    if len(ids) > 1:
        raise ConflictError(f'"{ref}" may be {len(ids)} instances', field="instance", hint=f"one of {', '.join(ids)}")
    if not ids:
        hint = "get instances lists them"
        raise NotFoundError(f'no living instance is called "{ref}"', field="instance", hint=hint)
    return str(ids[0])


@contextmanager
def _by_flags() -> Iterator[None]:
    """Tell what is wrong with the document in the words of the command line."""
    try:
        yield
    except InvalidFieldsError as error:
        raise InvalidFieldsError([_by_flag(problem) for problem in error.problems]) from error
    except InvalidError as error:
        raise InvalidFieldsError([_by_flag(FieldProblem(error.field, error.detail, error.hint))]) from error


def _by_flag(problem: FieldProblem) -> FieldProblem:
    field = re.sub(r"\[\d+\].*", "", problem.field)
    words = (_WORD.sub(lambda word: _WORDS[word[0]], text) for text in (problem.detail, problem.hint))
    return FieldProblem(_FLAGS.get(field, problem.field), *words)


def _part(percentage: float | None, flag: str, **values: Any) -> dict[str, Any]:
    given = {name: value for name, value in values.items() if value is not None}
    if not given and percentage is not None:
        raise InvalidError(f"{flag}-percentage is given without {flag}", hint=f"{flag} too")
    return given | ({"percentage": percentage} if percentage is not None else {})


def _header(text: str) -> dict[str, Any]:
    name, colon, value = text.partition(":")
    return {"name": name.strip(), "exact": value.strip()} if colon else {"name": name.strip(), "present": True}
