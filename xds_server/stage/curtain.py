"""How a run on a stage ends: by itself, or by a signal; in any case everything is taken down, and it is said.

Not guaranteed: anything after KILL.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from xds_server.stage.mesh import Mesh
from xds_server.stage.show import Show

INTERRUPTED = 130
"""Exit code after Ctrl-C (128 + SIGINT), as shells have it."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
T = TypeVar("T")


@contextmanager
def signals() -> Iterator[asyncio.Event]:
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


async def unless_told(work: Coroutine[Any, Any, T], told: asyncio.Event) -> T:
    """Do the work, unless we are told to stop before it is done: then CancelledError is raised."""
    task, waiting = asyncio.create_task(work), asyncio.create_task(told.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.wait({task, waiting})
    return await task


async def fall(mesh: Mesh, show: Show) -> bool:
    """Take everything down, say what was found; tell whether nothing is left."""
    show.say("taking everything down")
    struck = await mesh.strike()
    for process in struck.left:
        show.say(f"had to end a process that was left behind: {process}", style="yellow")
    for port in struck.taken:
        show.say(f"port {port} is still in use", style="bold red")
    folder = "folder removed" if struck.folder_removed else f"folder {mesh.folder} could not be removed"
    show.say(f"{struck.processes} processes and their children ended, {struck.ports} ports free again, {folder}")
    return struck.clean


def tell_tails(mesh: Mesh, show: Show) -> None:
    """Print the last lines of each log."""
    for name, lines in mesh.tails():
        show.lines(f"last lines of {name}", lines)
