"""The campaign: points of chaos by seed, one after the other, under constant traffic through a real Envoy.

    hack/chaos                       # 100 points, and 12 with containers (from 1001 on)
    hack/chaos --point 37            # just that one
    hack/chaos --each-kind           # one point of each kind of blow
    hack/chaos --without-us          # a plain Envoy, killed in the same way

Prints a line a point, then a table; writes `build/chaos/table.json` and `table.md`. Fails when anything did not hold.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.chaos.act import Act
from tests.chaos.books import Counters
from tests.chaos.callers import Callers
from tests.chaos.desk import Desk
from tests.chaos.invariants import RATE, Result
from tests.chaos.plain import without_us
from tests.chaos.points import OF_CLOCK, OF_DISK, OF_DOCKER, Blow, Moment, Point, schedule, silences, with_containers
from tests.chaos.table import markdown, summary
from tests.chaos.theatre import FAKETIME, Theatre
from tests.docker.engines import DockerEngine, engine, why_not

FOLDER = Path("build/chaos")
STAGES = 3
"""Stages that are set up at most, in case that somebody takes a port between our look and our use."""


def main() -> int:
    """Play the points that the command line names."""
    parser = argparse.ArgumentParser(prog="hack/chaos", description="Points of chaos by seed.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--points", type=int, default=100, help="how many (default 100)")
    parser.add_argument("--containers", type=int, default=12, help="points with containers (default 12)")
    parser.add_argument("--point", type=int, action="append", help="only this one; may be given more than once")
    parser.add_argument("--each-kind", action="store_true", help="a quick point of each kind of blow")
    parser.add_argument("--without-us", action="store_true", help="kill a plain Envoy instead, for comparison")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the stage is struck
    if given.without_us:
        say(without_us(given.seed))
        return 0
    everything = [*schedule(given.seed, given.points), *with_containers(given.seed, given.containers)]
    points = chosen(everything, given.point, each_kind=given.each_kind)
    results: list[Result] = []
    try:
        play_all(points, results)
    finally:
        write(results, seed=given.seed)
    skipped = len(points) - len(results)
    return any(result.wrong for result in results) or bool(skipped and os.environ.get("CI"))


def play_all(points: list[Point], results: list[Result]) -> None:
    """Play the points, each on the stage that it takes; what cannot be had here is said."""
    contained = [point for point in points if point.blow in OF_DOCKER]
    faked = [point for point in points if point.blow in OF_CLOCK]
    if plain := [point for point in points if point not in contained and point not in faked]:
        stage(plain, results)
    if faked and FAKETIME is None:
        say(f"skipped {len(faked)} points: libfaketime is not installed (apt-get install libfaketime)")
    elif faked:
        stage(faked, results, faked=True)
    if contained and (why := why_not()):
        say(f"skipped {len(contained)} points with containers: {why}")
    elif contained:
        with engine() as docker:
            stage(contained, results, docker=docker)


def write(results: list[Result], *, seed: int) -> None:
    """Write the tables, and say what came out."""
    results.sort(key=lambda result: result.point.number)
    FOLDER.mkdir(parents=True, exist_ok=True)
    document = {"seed": seed, "results": [result.document() for result in results]}
    (FOLDER / "table.json").write_text(json.dumps(document, indent=1))
    (FOLDER / "table.md").write_text(markdown(results, seed=seed))
    say(summary(results))


def chosen(points: list[Point], numbers: list[int] | None, *, each_kind: bool) -> list[Point]:
    """Return the points that were asked for."""
    if numbers:
        return [point for point in points if point.number in numbers]
    if not each_kind:
        return points
    # The quickest of each kind; but one at which the dead man's switch is seen, which takes its time.
    found = sorted(silences(points), key=lambda p: (p.blow is not Blow.KILL_MANAGER, p.blow in OF_CLOCK | OF_DISK))[:1]
    for blow in set(Blow) - {each.blow for each in found}:
        quickest = sorted((p for p in points if p.blow is blow), key=lambda p: (p.moment is Moment.TTL, p.hold))
        found += quickest[:1]
    return sorted(found, key=lambda p: p.number)


def stage(
    points: list[Point], results: list[Result], *, faked: bool = False, docker: DockerEngine | None = None
) -> None:
    """Play points on one stage. It is opened and closed in this thread: Envoy ends with the thread that started it."""
    for left in reversed(range(STAGES)):
        with tempfile.TemporaryDirectory(prefix="shadowmesh-chaos-") as folder:
            theatre = Theatre(Path(folder), faked=faked, docker=docker)
            try:
                theatre.open()
                if left and asyncio.run(port_taken(theatre)):
                    say("a port of Envoy's was taken meanwhile; another stage")
                    continue
                asyncio.run(play(theatre, points, results))
            except BaseException:
                keep(theatre)
                raise
            finally:
                theatre.close()
        return


async def port_taken(theatre: Theatre) -> bool:
    """Tell whether Envoy could not have all its listeners: somebody else has come first."""
    try:
        await theatre.settled()
    except AssertionError:
        return True
    return False


async def play(theatre: Theatre, points: list[Point], results: list[Result]) -> None:
    """Play the points, one after the other."""
    await theatre.attached()
    port = theatre.proxy.ports["catalog"]
    callers = Callers(port, await theatre.expected(), RATE, Random(7))
    counters, desk = Counters(theatre), Desk(theatre)
    callers.start()
    counters.start()
    try:
        for point in points:
            if point.blow in OF_DISK and not theatre.disk:
                say(f"{point.number:3} skipped: no right to mount a small disk")
                continue
            result = await Act(theatre, callers, counters, desk, point).play()
            results.append(result)
            say(line(result))
            if result.wrong:
                keep(theatre, point)
                await restore(theatre, desk)
            if theatre.faked:
                theatre.set_clock(0)
    finally:
        await counters.stop()
        await callers.stop()
        await desk.close()


async def restore(theatre: Theatre, desk: Desk) -> None:
    """After a point that went wrong: all parts run, no profile is left."""
    theatre.free_disk()
    for relay in theatre.relays.values():
        await asyncio.to_thread(relay.mend)
    if not theatre.manager.alive:
        await theatre.revive()
    if not theatre.proxy.child.alive:
        theatre.start_envoy_again()
    with suppress(AssertionError):
        for profile in await desk.profiles():
            await desk.delete(profile)


def keep(theatre: Theatre, point: Point | None = None) -> None:
    """Keep the logs of what went wrong."""
    folder = FOLDER / f"point-{point.number if point else 'none'}"
    folder.mkdir(parents=True, exist_ok=True)
    for log in [*theatre.folder.glob("*.log"), *theatre.state.glob("engine/log"), *theatre.state.glob("shadows/*/log")]:
        with suppress(OSError):
            (folder / str(log.relative_to(theatre.folder)).replace("/", "_")).write_bytes(log.read_bytes())


def line(result: Result) -> str:
    point = result.point
    state = "ok" if not result.wrong else "WRONG " + " | ".join(result.wrong)
    where = f"{point.number:3} {point.blow} / {point.moment} (+{point.delay:g} s, {point.hold:g} s)"
    return f"{time.strftime('%H:%M:%S')} {where}: {state} [{result.took:g} s]"


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
