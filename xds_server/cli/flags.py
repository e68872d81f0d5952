"""Settings as flags: each field of `Settings` is one flag, its docstring the help, with its environment variable.

`xds.max_streams` is `--xds-max-streams` and `SHADOWMESH_XDS_MAX_STREAMS`; the flag wins. Values are handed on as they
were written; `Settings` alone says what is right, and an error names the flag.
"""

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from api.schemas.base import shown
from xds_server.config import Settings
from xds_server.errors import FieldProblem, InvalidFieldsError

GENERAL = "general"
SHORT = {"node_name": ("--node",)}
"""Other names of flags."""
_METAVARS = {"int": "NUMBER", "float": "NUMBER", "Path": "PATH"}


@dataclass(frozen=True, slots=True)
class Flag:
    """One setting: `part` is empty for those at the top."""

    part: str
    name: str
    field: FieldInfo

    @property
    def parameter(self) -> str:
        """Name of the function's parameter."""
        return f"{self.part}_{self.name}" if self.part else self.name

    @property
    def option(self) -> str:
        """Name of the flag."""
        return "--" + self.parameter.replace("_", "-")

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return f"SHADOWMESH_{self.parameter.upper()}"

    @property
    def many(self) -> bool:
        """Whether it may be given more than once."""
        return get_origin(self.field.annotation) is tuple and Ellipsis in get_args(self.field.annotation)

    @property
    def pair(self) -> bool:
        """Whether it is a range: `20000-29999`."""
        return get_origin(self.field.annotation) is tuple and not self.many

    def as_parameter(self) -> inspect.Parameter:
        """Return the parameter that Typer makes the flag of."""
        annotation = bool if self.field.annotation is bool else list[str] if self.many else str
        more = "; more than once" if self.many else ""
        option = typer.Option(
            *([f"{self.option}/--no-{self.option[2:]}"] if annotation is bool else [self.option]),
            *SHORT.get(self.parameter, ()),
            metavar=None if annotation is bool else self._metavar,
            help=f"{' '.join((self.field.description or '').split())} (env {self.variable}{self._default}{more})",
            show_default=False,
            rich_help_panel=self.part or GENERAL,
        )
        return inspect.Parameter(
            self.parameter,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[annotation | None, option],
        )

    @property
    def _metavar(self) -> str:
        if self.pair:
            return "FIRST-LAST"
        choices = [str(choice) for choice in get_args(self.field.annotation) if isinstance(choice, str)]
        if choices:
            return "|".join(choices)
        return _METAVARS.get(getattr(self.field.annotation, "__name__", ""), "TEXT")

    @property
    def _default(self) -> str:
        default = self.field.default
        if default is None or isinstance(default, SecretStr) or default in ("", ()):
            return ""
        if isinstance(default, tuple):
            text = ("-" if self.pair else ",").join(map(str, default))
        else:
            text = str(default).lower() if isinstance(default, bool) else str(default)
        return f", default {text}"


def flags(parts: Collection[str] | None = None) -> list[Flag]:
    """Return the flags of all settings, or of some parts and what is at the top."""
    return list(_flags(parts))


def _flags(parts: Collection[str] | None) -> Iterator[Flag]:
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            if parts is None or name in parts:
                for inner, its_field in field.annotation.model_fields.items():
                    yield Flag(name, inner, its_field)
        else:
            yield Flag("", name, field)


def with_flags(run: Callable[[Settings], int], parts: Collection[str] | None = None) -> Callable[..., int]:
    """Return a command that reads the settings from its flags and the environment, and runs `run` with them."""
    known = flags(parts)

    def command(**given: Any) -> int:
        return run(settings_of(known, given))

    command.__signature__ = inspect.Signature([flag.as_parameter() for flag in known])  # type: ignore[attr-defined]
    command.__annotations__ = {flag.parameter: flag.as_parameter().annotation for flag in known}
    command.__doc__ = run.__doc__
    return command


def settings_of(known: Collection[Flag], given: dict[str, Any]) -> Settings:
    """Return the settings; what is None or empty in `given` comes from the environment or is the default.

    Raises:
        InvalidFieldsError: naming the flags and environment variables.
    """
    values: dict[str, Any] = {}
    for flag in known:
        value = given.get(flag.parameter)
        if value is None or value == []:
            continue
        home = values.setdefault(flag.part, {}) if flag.part else values
        home[flag.name] = value
    try:
        return Settings(**values)
    except ValidationError as error:
        raise InvalidFieldsError([_problem(entry) for entry in error.errors(include_url=False)]) from error


def _problem(entry: Any) -> FieldProblem:
    names = [str(part) for part in entry["loc"] if isinstance(part, str)]
    option = "--" + "-".join(names).replace("_", "-")
    variable = f"SHADOWMESH_{'_'.join(names).upper()}"
    message = str(entry["msg"]).removeprefix("Value error, ")
    return FieldProblem(f"{option} ({variable})", f"{shown(entry['input'])}: {message[:1].lower()}{message[1:]}")
