"""`shadowmesh demo`: set up, play, report, take down; the exit code says whether it went well.

Guarantees: whatever happens (a failure, Ctrl-C, TERM), all that was started is ended and the folder removed, and it is
said. On a failure the last lines of each log are shown first.
Not guaranteed: anything after KILL.
"""

import asyncio
import io
import shlex
import signal
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.markup import escape

from xds_server.demo.report import report
from xds_server.demo.scenario import Scenario
from xds_server.demo.show import Show, make_console
from xds_server.demo.stage import NETWORK, Stage
from xds_server.errors import ShadowmeshError

SECONDS = 20.0
"""How long clients send requests, unless told otherwise."""
INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + SIGINT), as shells have it."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(*, keep: bool = False, seconds: float = SECONDS, console: Console | None = None) -> int:
    """Run the demo; from the main thread, since Envoy ends with the thread that started it.

    Args:
        keep: leave it running after the report, until Ctrl-C.
        seconds: how long clients send requests, about.
        console: where to print; standard output when None.

    Returns:
        0 when each planted bug was found, nothing else was reported as a difference and no client was hurt; 1 when not,
        or when a part failed; 130 after Ctrl-C before the report.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    show = Show(console or make_console())
    return asyncio.run(_run(show, keep=keep, seconds=seconds))


async def _run(show: Show, *, keep: bool, seconds: float) -> int:
    show.print(
        "[bold]Shadowmesh demo[/bold]: clients use version 1 of a catalogue service through a real Envoy.\n"
        "Version 2, with planted bugs, gets copies of their requests; its answers are compared and thrown away.\n"
        "Both versions are noisy: times, random ids, orders. A control, version 1 once more, tells noise from bugs.\n"
    )
    chance = Random()  # noqa: S311 - chooses ports and requests
    stage = Stage(Path(tempfile.mkdtemp(prefix="shadowmesh-demo-")), chance=chance, say=show.say)
    scenario = Scenario(stage, show, seconds=seconds, ttl="24h" if keep else "10m", chance=chance)
    code, played = INTERRUPTED, False
    with _signals() as told:
        try:
            code = await _unless_told(_play(stage, scenario, show, keep=keep), told)
            played = True
            if keep:
                _invite(stage, show)
                await _unless_told(_watch_over(stage), told)
        except asyncio.CancelledError:
            show.say("interrupted", style="bold yellow")
        except ShadowmeshError as error:
            code = 1
            show.say(f"failed: {error}", style="bold red")
            _tails(stage, show)
        finally:
            await scenario.abandon()
            clean = await _strike(stage, show)
    if played and not keep:
        _next(show)
    return code if clean else code or 1


async def _play(stage: Stage, scenario: Scenario, show: Show, *, keep: bool) -> int:
    await stage.set_up()
    outcome = await scenario.play()
    if not keep:
        await scenario.end_profile()
    show.print(*report(outcome, width=show.console.width))
    if not outcome.good:
        _tails(stage, show)
    return 0 if outcome.good else 1


async def _watch_over(stage: Stage) -> int:
    """Wait for ever, or until a part ends by itself."""
    while True:
        stage.check()
        await asyncio.sleep(1)


async def _unless_told(work: Coroutine[Any, Any, int], told: asyncio.Event) -> int:
    """Do the work, unless we are told to stop before it is done: then CancelledError is raised."""
    task, waiting = asyncio.create_task(work), asyncio.create_task(told.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.wait({task, waiting})
    return await task


async def _strike(stage: Stage, show: Show) -> bool:
    show.say("taking everything down")
    struck = await stage.strike()
    for process in struck.left:
        show.say(f"had to end a process that was left behind: {process}", style="yellow")
    for port in struck.taken:
        show.say(f"port {port} is still in use", style="bold red")
    folder = "folder removed" if struck.folder_removed else f"folder {stage.folder} could not be removed"
    show.say(f"{struck.processes} processes and their children ended, {struck.ports} ports free again, {folder}")
    return struck.clean


def _tails(stage: Stage, show: Show) -> None:
    for name, lines in stage.tails():
        show.lines(f"last lines of {name}", lines)


def _next(show: Show) -> None:
    """Say how to see more."""
    here = Path(sys.executable).with_name("shadowmesh")
    name = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    show.console.print(
        f"\nNext: {escape(shlex.quote(str(name)))} demo --keep leaves it running, and prints its address. There,\n"
        f"shadowmesh diffs {NETWORK} goes from each difference down to the request: both answers side by side,\n"
        "and a curl line that sends it again.",
        soft_wrap=True,
    )


def _invite(stage: Stage, show: Show) -> None:
    ports, url = stage.ports, stage.manager.url
    ours = escape(shlex.quote(str(Path(sys.executable).parent)))
    # Not wrapped: these are commands to be copied.
    show.console.print(
        f"""
[bold]It keeps running, with its clients.[/bold] Everything listens on this machine only:

  clients' way     http://127.0.0.1:{ports.envoy}/api/items/6
  Envoy's admin    http://127.0.0.1:{ports.admin}
  REST API         {url}/networks/{NETWORK}/shadowing/status
                   {url}/openapi.json
  xDS              127.0.0.1:{ports.xds}

Some commands to try:

  export PATH={ours}:$PATH SHADOWMESH_SERVER={url}
  shadowmesh status {NETWORK} --watch
  shadowmesh diffs {NETWORK}
  shadowmesh diffs {NETWORK} --all
  shadowmesh diffs {NETWORK} --pairs --endpoint 'GET /api/items/{{id}}'
  shadowmesh diffs {NETWORK} --suggest
  curl -s '{url}/networks/{NETWORK}/shadowing/status'
  curl -s 'http://127.0.0.1:{ports.admin}/stats?filter=shadow'

[bold]Ctrl-C[/bold] ends it and cleans up.
""",
        soft_wrap=True,
    )


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """Turn signals into an event for the length of a `with`; so that taking down cannot be interrupted half way."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, told.set)
    try:
        yield told
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
