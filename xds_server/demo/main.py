"""`shadowmesh demo`: set up, play, report, take down; the exit code says whether it went well.

Guarantees: whatever happens (a failure, Ctrl-C, TERM), all that was started is ended and the folder removed, and it is
said. On a failure the last lines of each log are shown first.
Not guaranteed: anything after KILL.
"""

import asyncio
import io
import shlex
import sys
import tempfile
from pathlib import Path
from random import Random

from rich.console import Console
from rich.markup import escape

from xds_server.demo.image import catalogue_image
from xds_server.demo.report import report
from xds_server.demo.scenario import Outcome, Scenario
from xds_server.demo.stage import NETWORK, Stage, profile_name
from xds_server.errors import InvalidError, ShadowmeshError
from xds_server.runtime.docker.runtime import DockerRuntime
from xds_server.stage.curtain import INTERRUPTED, fall, signals, tell_tails, unless_told
from xds_server.stage.show import Show, make_console

SECONDS = 20.0
"""How long clients send requests until version 2 is judged, about, unless told otherwise."""


def run(
    *,
    keep: bool = False,
    seconds: float = SECONDS,
    runtime: str = "process",
    reports: Path | None = None,
    console: Console | None = None,
) -> int:
    """Run the demo; from the main thread, since Envoy ends with the thread that started it.

    Args:
        keep: leave it running after the report, until Ctrl-C.
        seconds: how long clients send requests until version 2 is judged, about.
        runtime: of the shadows: `process`, or `docker`.
        reports: folder for a page on each version; made when needed, none are written when None.
        console: where to print; standard output when None.

    Returns:
        0 when each planted bug was found, nothing else was reported as a difference, both verdicts are right and no
        client was hurt; 1 when not, or when a part failed; 130 after Ctrl-C before the report.

    Raises:
        InvalidError: the folder for reports cannot be made.
    """
    if reports is not None:
        try:
            reports.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidError(f"{reports} cannot be made: {error.strerror}", field="--reports") from error
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    show = Show(console or make_console())
    return asyncio.run(_run(show, keep=keep, seconds=seconds, runtime=runtime, reports=reports))


async def _run(show: Show, *, keep: bool, seconds: float, runtime: str, reports: Path | None) -> int:
    show.print(
        "[bold]Shadowmesh demo[/bold]: clients use version 1 of a catalogue service through a real Envoy.\n"
        "Version 2, with planted bugs, gets copies of their requests; its answers are compared and thrown away.\n"
        "Then version 3, rewritten without the bugs. May they be shipped? The verdicts say it at the end.\n"
        "All versions are noisy: times, random ids, orders. A control, version 1 once more, tells noise from bugs.\n"
    )
    chance = Random()  # noqa: S311 - chooses ports and requests
    stage = Stage(Path(tempfile.mkdtemp(prefix="shadowmesh-demo-")), chance=chance, say=show.say)
    scenario = Scenario(stage, show, seconds=seconds, ttl="24h" if keep else "10m", chance=chance)
    code, played = INTERRUPTED, False
    with signals() as told:
        try:
            code = await unless_told(_play(stage, scenario, show, keep=keep, runtime=runtime, reports=reports), told)
            played = True
            if keep:
                _invite(stage, show)
                await unless_told(_watch_over(stage), told)
        except asyncio.CancelledError:
            show.say("interrupted", style="bold yellow")
        except ShadowmeshError as error:
            code = 1
            show.say(f"failed: {error}", style="bold red")
            tell_tails(stage, show)
        finally:
            await scenario.abandon()
            clean = await fall(stage, show)
    if played and not keep:
        _next(show)
    return code if clean else code or 1


async def _play(stage: Stage, scenario: Scenario, show: Show, *, keep: bool, runtime: str, reports: Path | None) -> int:
    if runtime == DockerRuntime.kind:
        scenario.image = await catalogue_image()
        show.say(f"shadows are containers of the image {scenario.image}, which was made here")
    await stage.set_up()
    outcome = await scenario.play()
    written = await _write(stage, outcome, reports) if reports else []
    if not keep:
        await scenario.end_profile()
    show.print(*report(outcome, width=show.console.width))
    for path in written:
        show.console.print(f"The whole report: {escape(str(path))}", soft_wrap=True)
    if not outcome.good:
        tell_tails(stage, show)
    return 0 if outcome.good else 1


async def _write(stage: Stage, outcome: Outcome, folder: Path) -> list[Path]:
    """Write a page on each version, as a user would; return where they are."""
    pages = {version: folder / f"demo-version-{version}.html" for version in outcome.verdicts}
    url = stage.manager.url
    for version, page in pages.items():
        await stage.output("report", NETWORK, profile_name(version), "--output", str(page), "--server", url)
    return [*pages.values()]


async def _watch_over(stage: Stage) -> int:
    """Wait for ever, or until a part ends by itself."""
    while True:
        stage.check()
        await asyncio.sleep(1)


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
  shadowmesh verdict {NETWORK} {profile_name(2)}
  shadowmesh gate {NETWORK} {profile_name(3)} --timeout 1m
  shadowmesh report {NETWORK} {profile_name(2)} -o report.html
  curl -s '{url}/networks/{NETWORK}/shadowing/status'
  curl -s 'http://127.0.0.1:{ports.admin}/stats?filter=shadow'

[bold]Ctrl-C[/bold] ends it and cleans up.
""",
        soft_wrap=True,
    )
