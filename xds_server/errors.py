"""The one tree of errors.

Purpose: everything that can go wrong and that a caller may want to tell apart has a class here; each knows the field
it is about and what would be right, so the REST API can make a problem document (RFC 9457) and the command line one
clear line of it.

Guarantees: the text is fit for a user: no traceback, foreign payloads cut to `FOREIGN_LIMIT` characters.
Not guaranteed: that the text is stable; `code` is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

FOREIGN_LIMIT = 500
"""Characters kept of a text that somebody else wrote (a log line, a server's answer)."""


def cut(text: str, limit: int = FOREIGN_LIMIT) -> str:
    """Return `text`, at most `limit` characters of it, with a mark where something was cut."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"


class ShadowmeshError(Exception):
    """Base of all errors that are meant for a user.

    Args:
        detail: what is wrong, with the value that was given.
        field: where, as a path in the user's document (`variants[0].process.command`); empty when about no field.
        hint: what would be right.
    """

    code: ClassVar[str] = "internal"
    """Stable machine-readable name; the last part of a problem document's `type`."""
    status: ClassVar[int] = 500
    """The HTTP status it becomes."""
    exit_code: ClassVar[int] = 1
    """The exit code it becomes on the command line."""

    def __init__(self, detail: str, *, field: str = "", hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.hint = hint

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        then = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.detail}{then}"


class InvalidError(ShadowmeshError):
    """What was given cannot be right, whatever the state of the system."""

    code = "invalid"
    status = 422
    exit_code = 2


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing that is wrong in a document; the three parts are those of `ShadowmeshError`."""

    field: str
    detail: str
    hint: str = ""

    def __str__(self) -> str:
        return str(InvalidError(self.detail, field=self.field, hint=self.hint))


class InvalidFieldsError(InvalidError):
    """A document in which one or more fields cannot be right; all of them are listed, the first one is the text.

    Args:
        problems: at least one.
    """

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        first = problems[0]
        super().__init__(first.detail, field=first.field, hint=first.hint)
        self.problems = tuple(problems)


class NotFoundError(ShadowmeshError):
    """What was named does not exist."""

    code = "not-found"
    status = 404
    exit_code = 3


class ConflictError(ShadowmeshError):
    """It is right in itself and clashes with what is there: a name, a port, a share of the traffic."""

    code = "conflict"
    status = 409
    exit_code = 4


class StaleError(ConflictError):
    """`If-Match` names a revision that is no longer the newest."""

    code = "stale"
    status = 412


class RefusedError(ShadowmeshError):
    """Understood and not allowed: an origin, a token, a kind of variant on an open address."""

    code = "refused"
    status = 403
    exit_code = 5


class UnauthorizedError(RefusedError):
    """A token is needed, and none or another one was given."""

    code = "unauthorized"
    status = 401


class UnavailableError(ShadowmeshError):
    """Not now: draining, a limit reached, a part that is away."""

    code = "unavailable"
    status = 503
    exit_code = 6


class InconsistentError(ShadowmeshError):
    """A resource set that refers to what is not in it; it is not served."""

    code = "inconsistent"


class RuntimeFailedError(ShadowmeshError):
    """A shadow could not be started, or ended; `log` holds its last lines."""

    code = "shadow-failed"

    def __init__(self, detail: str, *, field: str = "", hint: str = "", log: tuple[str, ...] = ()) -> None:
        super().__init__(detail, field=field, hint=hint)
        self.log = log


class StoreError(ShadowmeshError):
    """The state on disk cannot be read or written; what is refused now can be tried again once it can."""

    code = "store"
    status = 503


class UnrecordedError(StoreError):
    """What took something away is in effect at the Envoys, and the disk did not take it: it is tried until it does."""

    code = "not-recorded"
