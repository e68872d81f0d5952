"""Judge a new version of a service that runs here already: no manifest, no server to start.

\b
shadowmesh try --original http://127.0.0.1:9001 -- python app.py --port {port}
shadowmesh try --original http://127.0.0.1:9001 --get /api/items --rate 50 -- ./new-version --port {port}
shadowmesh try --original http://127.0.0.1:9001 --control self --json - -- ./new-version --port {port}

Puts an Envoy in front of the original, starts the command as its new version, and says where to send requests. The
original answers them; the new version gets copies of those that change nothing (GET, HEAD, OPTIONS), its answers are
compared and thrown away. It ends with the first PASS or FAIL, when the time is over, or at Ctrl-C: with the verdict and
a report. All that was started is ended then; the original is never touched. Old reports of the same
names are removed first.
"""  # noqa: D301 - \b keeps the lines of the list as they are

import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from xds_server.cli.commands.bootstrap import address
from xds_server.cli.entry import OTHERWISE
from xds_server.cli.reporting import STDOUT, clear_places
from xds_server.cli.waiting import seconds
from xds_server.errors import InvalidError
from xds_server.model.network import Protocol
from xds_server.report.formats import Form

EXIT_CODES = (
    "Exit codes: 0 PASS; 1 FAIL; 2 INCONCLUSIVE; and nothing else is one of these: 3 no Envoy; 4 a port is taken; "
    f"6 the original does not answer, a part failed; {OTHERWISE} wrong usage or input, the new version does not start, "
    "the unexpected; 130 interrupted before it was up."
)
_MOST_RATE = 1000.0
_ITSELF = "self"
SHORTEST_START, LONGEST_START = 0.1, 600.0
"""Seconds that the API takes as the `timeout` of a readiness."""


def command(
    shadow: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- COMMAND...", help="The new version; {port} becomes its port.", show_default=False),
    ] = None,
    *,
    original: Annotated[str, typer.Option(metavar="URL", help="Where the service answers now.")],
    share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the requests that is copied.")] = 1.0,
    listen: Annotated[
        str, typer.Option(metavar="[HOST:]PORT", help="Where Envoy takes requests, on 127.0.0.1; 0 is any free port.")
    ] = "127.0.0.1:0",
    protocol: Annotated[Protocol, typer.Option(help="What the service speaks.")] = Protocol.HTTP1,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="METHOD", help="Copy these methods; POST only if the new version may do it too."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=VALUE]", help="Hand a variable on; the command gets PATH, HOME, LANG and these."),
    ] = None,
    readiness: Annotated[
        str, typer.Option(metavar="PATH", help="Up once this answers 200-399.", show_default="a TCP connect")
    ] = "",
    start_timeout: Annotated[
        str, typer.Option(metavar="DURATION", help="It failed if it is not up by then; the control too.")
    ] = "30s",
    control: Annotated[
        str | None, typer.Option(metavar="self", help="The original answers each copied request twice: shows noise.")
    ] = None,
    control_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Start the old version once more, which shows what is noise.")
    ] = None,
    min_pairs: Annotated[int, typer.Option(min=1, help="No verdict before so many pairs.")] = 100,
    warm_up: Annotated[
        str, typer.Option(metavar="DURATION", help="What the new version answers first is left out.")
    ] = "5s",
    timeout: Annotated[str, typer.Option(metavar="DURATION", help="Longest wait for a verdict.")] = "10m",
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Go on after the verdict, until Ctrl-C.")] = False,
    get: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Send GETs for it meanwhile; more than once.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=_MOST_RATE, help="GETs a second, all paths together.")] = 50.0,
    report: Annotated[str, typer.Option(metavar="FILE", help="Write a page about it; '' writes none.")] = "report.html",
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write everything as JSON; - is standard output.")
    ] = None,
) -> int:
    """Try a new version."""
    places = {Form.HTML: report or None, Form.JSON: json}
    clear_places({"--report": report or None, "--json": json})
    from xds_server.cli.trial.original import original_of  # noqa: PLC0415 - --help does not wait for it
    from xds_server.cli.trial.plan import Plan, check_program, env_of, words_of  # noqa: PLC0415
    from xds_server.cli.trial.run import run  # noqa: PLC0415
    from xds_server.stage.show import Show, make_console  # noqa: PLC0415

    if not shadow:
        hint = "shadowmesh try --original http://127.0.0.1:9001 -- python app.py --port {port}"
        raise InvalidError("there is no command for the new version", field="-- COMMAND", hint=hint)
    if not share:
        raise InvalidError("0 copies nothing, so nothing would be judged", field="--share", hint="0.1 is every tenth")
    if control not in {None, _ITSELF}:
        raise InvalidError(f'"{control}" is not known', field="--control", hint="self, or use --control-command")
    if control and control_command:
        raise InvalidError("given together with --control-command", field="--control", hint="one of the two")
    for path in get or ():
        if not path.startswith("/") or not path.isascii() or " " in path:
            raise InvalidError(f'"{path}" is not a path', field="--get", hint="like /api/items?page=1, ASCII")
    if get and protocol is Protocol.GRPC:
        raise InvalidError("gRPC has no GET", field="--get", hint="send calls to the address that is shown")
    plan = Plan(
        original=original_of(original),
        command=tuple(shadow),
        protocol=protocol,
        listen=_port(listen),
        share=share,
        methods=tuple(each.upper() for each in method or ()),
        env=env_of(env or (), os.environ),
        readiness=readiness,
        start_timeout=_start_timeout(start_timeout),
        control_self=control == _ITSELF,
        control_command=words_of(control_command, "--control-command") if control_command is not None else (),
        min_pairs=min_pairs,
        warm_up=seconds(warm_up, "--warm-up"),
        timeout=seconds(timeout, "--timeout"),
        keep_going=keep_going,
        gets=tuple(get or ()),
        rate=rate,
    )
    check_program(plan.command, "-- COMMAND", env=plan.env)
    if plan.control_command:
        check_program(plan.control_command, "--control-command", env=plan.env)
    show = Show(Console(file=sys.stderr, highlight=False) if STDOUT in places.values() else make_console())
    if plan.told_by_env:
        show.say("no {port} in the command: the environment (PORT) tells it where to listen", style="yellow")
    return run(plan, show, places)


def _start_timeout(text: str) -> float:
    found = seconds(text, "--start-timeout")
    if not SHORTEST_START <= found <= LONGEST_START:
        hint = f"from {SHORTEST_START:g} s to {LONGEST_START:g} s"
        raise InvalidError(f'"{text}" is not within what a start may take', field="--start-timeout", hint=hint)
    return found


def _port(text: str) -> int:
    """Return the port; it is taken on loopback alone."""
    found = address(text if ":" in text else f"127.0.0.1:{text}", "--listen", free=True)
    if found.address not in {"127.0.0.1", "localhost"}:
        raise InvalidError(f'"{found.address}" is not this machine alone', field="--listen", hint="127.0.0.1:PORT")
    return found.port
