"""Which requests a profile samples, and which copies a fault is for."""

from typing import Annotated

import re2
from pydantic import Field, field_validator, model_validator

from api.schemas.base import OMITTED, SHOWN, Document, refuse, shown
from api.schemas.values import Text
from xds_server.errors import cut
from xds_server.model.profile import SAFE_METHODS, HeaderMatch, HeaderMatchKind, Match

_AS_ENVOY = re2.Options()
_AS_ENVOY.log_errors = False
_AS_ENVOY.encoding = re2.Options.Encoding.LATIN1
"""Envoy reads expressions as bytes; sizes are then the same as Envoy's to the step."""
_ENVOY_LARGEST = 100
"""Envoy's `re2.max_program_size.error_level` where nobody sets it. Larger is a NACK of all routes of the component."""
_LARGEST = _ENVOY_LARGEST - 5
"""What is left beside the 5 steps for a query, where an expression meets the path of another profile."""
_RIGHT = "RE2 syntax (no looking around or back); it must match the whole value"
_TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110, 5.6.2
_NEVER = ("TRACE", "CONNECT")

Method = Annotated[str, Text("[A-Z][A-Z-]*", 'a method in capitals, like "GET"', most=32)]
HeaderName = Annotated[str, Text(_TOKEN, 'the name of a header, like "x-team"', most=128)]
HeaderValue = Annotated[str, Text("[^\r\n]*", "one line of text", most=1024)]
HeaderText = Annotated[str, Text("[^\r\n]+", "one line of text; for any value present: true", most=1024)]
Path = Annotated[str, Text(r"/[^\s?#]*", 'a path that begins with "/", without a query', most=2048)]
GrpcMethod = Annotated[
    str, Text(r"[A-Za-z_][\w.]*/(\w+\*?|\*)", 'full names of methods, like "pkg.Service/Get*"; a "*" only at the end')
]


def _regex(value: str, at: str) -> None:
    try:
        size = re2.compile(value.encode(), _AS_ENVOY).programsize
    except re2.error as error:
        refuse(f"{shown(value)} is not a regular expression: {_said(error)}", _RIGHT, at=at)
    if size > _LARGEST:
        hint = f"at most {_LARGEST}, or Envoy refuses it: fewer alternatives, smaller repetitions like {{36}}"
        refuse(f"{shown(value)} is too large: compiled it has {size} steps", hint, at=at)


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return cut(said.decode(errors="replace") if isinstance(said, bytes) else str(said), SHOWN)


class HeaderMatchBody(Document):
    """One condition on a request header; exactly one of the four kinds."""

    name: HeaderName
    """Name of the header."""
    exact: HeaderValue | None = OMITTED
    """The whole value."""
    prefix: HeaderText | None = OMITTED
    """How the value begins."""
    regex: HeaderText | None = OMITTED
    """RE2 expression for the whole value."""
    present: bool | None = OMITTED
    """`true`: the header is there, whatever its value."""

    @model_validator(mode="after")
    def _one_kind(self) -> "HeaderMatchBody":
        given = [k for k in ("exact", "prefix", "regex", "present") if getattr(self, k) is not None]
        if len(given) != 1:
            told = f"has {' and '.join(given)}" if given else "has no condition"
            refuse(told, "exactly one of exact, prefix, regex, present")
        if self.present is False:
            refuse("false cannot be asked for", "true, or leave it out", at="present")
        if self.regex is not None:
            _regex(self.regex, "regex")
        return self

    def to_model(self) -> HeaderMatch:
        """Return the condition."""
        if self.present:
            return HeaderMatch(self.name.lower(), HeaderMatchKind.PRESENT)
        for kind in (HeaderMatchKind.EXACT, HeaderMatchKind.PREFIX):
            if (value := getattr(self, kind.value)) is not None:
                return HeaderMatch(self.name.lower(), kind, value)
        return HeaderMatch(self.name.lower(), HeaderMatchKind.REGEX, self.regex or "")

    @classmethod
    def of(cls, match: HeaderMatch) -> "HeaderMatchBody":
        """Return the document of a condition."""
        value: str | bool = True if match.kind is HeaderMatchKind.PRESENT else match.value
        return cls.model_validate({"name": match.name, match.kind.value: value})


Headers = Annotated[list[HeaderMatchBody], Field(max_length=20)]


class MatchBody(Document):
    """Which requests may be sampled; all conditions must hold."""

    methods: Annotated[list[Method], Field(min_length=1, max_length=20)] | None = OMITTED
    """Methods; GET, HEAD and OPTIONS when left out. Name writes here only if the version may see them twice."""
    path: Path | None = OMITTED
    """The whole path."""
    path_prefix: Path | None = OMITTED
    """How the path begins."""
    path_regex: Annotated[str, Text("/.*|[(\\[.^].*", "an RE2 expression for the whole path", most=1024)] | None = (
        OMITTED
    )
    """RE2 expression for the whole path."""
    headers: Headers = Field(default_factory=list)
    """Conditions on headers."""
    grpc: Annotated[list[GrpcMethod], Field(max_length=50)] = Field(default_factory=list)
    """gRPC methods, for a gRPC component, like `pkg.Service/Get*`."""

    @field_validator("methods")
    @classmethod
    def _never_these(cls, methods: list[str] | None) -> list[str] | None:
        for index, method in enumerate(methods or ()):
            if method in _NEVER:
                refuse(f"{method} is never mirrored", "other methods", at=f"[{index}]")
            if methods and method in methods[:index]:
                refuse(f"{method} is there twice", "each method once", at=f"[{index}]")
        if methods and re2.compile("|".join(methods).encode(), _AS_ENVOY).programsize > _ENVOY_LARGEST:
            refuse("are too many and too long for one Envoy matcher", "those that the component answers")
        return methods

    @model_validator(mode="after")
    def _one_path(self) -> "MatchBody":
        paths = {"path": self.path, "pathPrefix": self.path_prefix, "pathRegex": self.path_regex}
        given = [name for name, value in paths.items() if value is not None]
        if len(given) > 1:
            refuse(f"has {' and '.join(given)}", "at most one of path, pathPrefix, pathRegex")
        if given and self.grpc:
            refuse(f"has {given[0]} and grpc", "one of the two: grpc names the paths by itself")
        if self.path_regex is not None:
            _regex(self.path_regex, "pathRegex")
        return self

    def to_model(self) -> Match:
        """Return the conditions."""
        default = ("POST",) if self.grpc else SAFE_METHODS
        alone = self.path is not None or self.path_regex is not None
        return Match(
            methods=tuple(self.methods) if self.methods is not None else default,
            path=self.path or "",
            path_prefix="" if alone else self.path_prefix or "/",
            path_regex=self.path_regex or "",
            headers=tuple(header.to_model() for header in self.headers),
            grpc=tuple(self.grpc),
        )

    @classmethod
    def of(cls, match: Match) -> "MatchBody":
        """Return the document of the conditions."""
        return cls.model_construct(
            methods=list(match.methods),
            path=match.path or None,
            path_prefix=None if match.grpc else match.path_prefix or None,
            path_regex=match.path_regex or None,
            headers=[HeaderMatchBody.of(header) for header in match.headers],
            grpc=list(match.grpc),
        )
