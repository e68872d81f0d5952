"""The commands, loaded one at a time, and what becomes of errors.

Guarantees: an error is a line on standard error that begins with `error:` (one a problem, never a traceback), and an
exit code that scripts can rely on (`EXIT_CODES`). `--help` loads no command.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module, metadata
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from xds_server.errors import InvalidFieldsError, RuntimeFailedError, ShadowmeshError

EXIT_CODES = (
    "Exit codes: 0 done; 1 failed (a shadow, a check, the unexpected); 2 wrong usage or input; 3 not found; "
    "4 conflict or changed meanwhile; 5 refused (token, host); 6 unavailable (no manager, not in time); "
    "130 interrupted."
)
DECIDING = {"gate", "try"}
"""Commands of which the exit codes 0, 1 and 2 are a decision, and nothing else."""
OTHERWISE = 7
"""What these three become when they come of anything else (an error, bad usage, nobody who reads)."""
DEBUG = "SHADOWMESH_DEBUG"
"""Environment variable that shows the traceback of what is unexpected."""

_RUN, _USE, _READ, _KEEP = "Run", "Change", "Look", "Keep"
COMMANDS = {
    "serve": (_RUN, "Run the manager: xDS server, REST API, and an analysis engine for this machine."),
    "analyze": (_RUN, "Run the analysis engine of a node."),
    "try": (_RUN, "Judge a new version of a service that runs here: no manifest, no server to start."),
    "demo": (_RUN, "Watch the main job on a real Envoy: a new version judged on live traffic."),
    "apply": (_USE, "Create or change what manifests say."),
    "delete": (_USE, "Delete networks and profiles."),
    "inject": (_USE, "Inject a fault into a shadow instance."),
    "lift": (_USE, "Lift a fault early."),
    "rollout": (_USE, "Pause, resume, promote or abort the steps of a profile."),
    "get": (_READ, "List networks, profiles, instances, faults, Envoys, nodes or the archive."),
    "status": (_READ, "Show a network: its shadows, what was compared, and what its Envoys accepted."),
    "verdict": (_READ, "Show a profile's verdict: each check with its interval and limit, the ranking of versions."),
    "gate": (_READ, "Wait for a verdict; the exit code says it: 0 PASS, 1 FAIL, 2 INCONCLUSIVE."),
    "report": (_READ, "Write a profile's report: one HTML page, Markdown, JUnit or JSON."),
    "diffs": (_READ, "Show what differs, from the whole to the request; suggest rules."),
    "events": (_READ, "Show who did what to a network, when and why."),
    "render": (_READ, "Print what Envoy would get for manifests, without a server."),
    "bootstrap": (_READ, "Print an Envoy bootstrap for a network."),
    "backup": (_KEEP, "Copy a manager's database to a file, while it runs or not."),
    "restore": (_KEEP, "Put a backup in the place of a manager's database."),
    "completion": (_READ, "Print the completion script of a shell."),
}


class LazyGroup(TyperGroup):
    """Knows each command's name and line, and loads the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (panel, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line, rich_help_panel=panel))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that the arguments name, loaded."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if command is not None and name else None, rest


def load(name: str) -> Any:
    """Return the command called `name`."""
    module = import_module(f"xds_server.cli.commands.{name}{'_' if iskeyword(name) else ''}")
    one = typer.Typer(add_completion=False, rich_markup_mode=None)
    one.command(name, help=module.__doc__, epilog=getattr(module, "EXIT_CODES", EXIT_CODES))(module.command)
    return get_command(one)


app = typer.Typer(cls=LazyGroup, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})


def _version(value: bool) -> None:  # noqa: FBT001 - the library's form of a callback
    if value:
        sys.stdout.write(f"shadowmesh {metadata.version('shadowmesh')}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001, FBT002 - a flag; its callback prints it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Judge new versions of a service on live traffic, behind Envoy, before a user depends on them."""
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def run(arguments: Sequence[str]) -> int:
    """Run a command line; errors go to standard error.

    Args:
        arguments: without the program's name.

    Returns:
        The exit code.
    """
    code, decided = _run(arguments)
    mistaken = not decided and code in {0, 1, 2} and not DECIDING.isdisjoint(arguments[:1])
    return OTHERWISE if mistaken else code


def _run(arguments: Sequence[str]) -> tuple[int, bool]:
    """Return the exit code, and whether the command itself chose it."""
    try:
        result = get_command(app).main(list(arguments), prog_name="shadowmesh", standalone_mode=False)
    except ShadowmeshError as error:
        return report(error), False
    except typer.TyperException as error:
        complain(error.format_message() or "see --help")
        return error.exit_code, False
    except (typer.Abort, KeyboardInterrupt):
        return 130, False
    except BrokenPipeError:
        # Whoever read our output has enough of it (`| head`); Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0, False
    except Exception as error:  # noqa: BLE001 - the last line of defence against a traceback
        if os.environ.get(DEBUG):
            traceback.print_exc()
        complain(f"unexpected: {type(error).__name__}: {error} ({DEBUG}=1 shows where)")
        return 1, False
    return (result, True) if isinstance(result, int) else (0, True)


def report(error: ShadowmeshError, *, about: str = "") -> int:
    """Write an error down, each problem on a line of its own that names what it is about; return its exit code."""
    prefix = f"{about}: " if about else ""
    for problem in error.problems if isinstance(error, InvalidFieldsError) else (error,):
        complain(f"{prefix}{problem}")
    if isinstance(error, RuntimeFailedError):
        for line in error.log:
            sys.stderr.write(f"  | {line}\n")
    return error.exit_code


def complain(text: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"error: {' '.join(text.split())}\n")
