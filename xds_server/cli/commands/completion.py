"""Print the completion script of a shell.

For bash, add to ~/.bashrc:  eval "$(shadowmesh completion bash)"
"""

import enum
import sys
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # it is imported there


class Shell(enum.StrEnum):
    """Shells with completion."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def command(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the script."""
    script = get_completion_script(prog_name="shadowmesh", complete_var="_SHADOWMESH_COMPLETE", shell=shell.value)
    sys.stdout.write(script + "\n")
