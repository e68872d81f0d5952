"""The documents of `analysis`: rules of the comparison, what to redact, when to raise alerts; checks: see `judging`."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from api.schemas.base import OMITTED, SHOWN, Document, refuse, shown
from api.schemas.judging import JudgingBody, judging_fields
from api.schemas.match import HeaderName
from api.schemas.openapi_document import patterns_of
from api.schemas.values import Number, Text
from xds_server.analysis.diff.descriptors import check_descriptor_set
from xds_server.analysis.diff.expressions import BadRuleError, Expression, compile_replacement
from xds_server.analysis.diff.jsonpath import compile_path
from xds_server.analysis.endpoints.patterns import problem_of
from xds_server.errors import cut
from xds_server.model.analysis import (
    RECOGNISED,
    Alerting,
    Analysis,
    ArrayKey,
    Ignore,
    Normalize,
    Tolerance,
)

MOST_RULES = 200
"""Rules of each sort."""
MOST_ENDPOINTS = 1000
_HEADER = r"[!#$%&'+.^_`|~0-9A-Za-z-]+\*?"
_PATH_HINT = 'a JSONPath of names, [*] and "..", like "$.items[*].price" or "$..updatedAt"'


def _refusing(check: Callable[[str], object]) -> AfterValidator:
    """Return a validator that refuses what the rule's own compiler refuses, in its words."""

    def checked(text: str) -> str:
        try:
            check(text)
        except BadRuleError as error:
            refuse(f"{shown(text)} {cut(str(error), SHOWN)}", error.hint)
        return text

    return AfterValidator(checked)


def _compile_secret(text: str) -> object:
    return compile_path(text) if text.startswith("$") else text


EndpointGlob = Annotated[str, Text("[^\r\n]+", 'an endpoint, "*" for any part, like "GET /items/*"', most=500)]
JSONPath = Annotated[str, Text(r"\$.*", _PATH_HINT, most=500), _refusing(compile_path)]
RegularExpression = Annotated[str, Text("(?s:.+)", "an RE2 expression", most=1024), _refusing(Expression)]
IgnoredHeader = Annotated[str, Text(_HEADER, 'the name of a header, "*" at the end for any, like "x-build*"', most=128)]
Replacement = Annotated[str, Text("(?s:.*)", "text", most=1024)]
Secret = Annotated[str, Text("[^\r\n]+", "a name or a JSONPath", most=200), _refusing(_compile_secret)]
EndpointPattern = Annotated[
    str, Text(r"([A-Z]+ )?/\S*", 'a path with names in braces, like "/items/{id}" or "GET /items/{id}"', most=500)
]


class _RuleBody(Document):
    """A rule: what is left out holds for all, so a field that is there must say something."""

    @model_validator(mode="before")
    @classmethod
    def _said(cls, given: Any) -> Any:
        """Refuse null: an empty `path:` in YAML was meant to narrow the rule, not to widen it."""
        if isinstance(given, dict):
            for name, value in given.items():
                if value is None:
                    refuse("is null", "a value, or leave the field out", at=str(name))
        return given


class IgnoreBody(_RuleBody):
    """Differences that do not count. All that is given must hold."""

    endpoint: EndpointGlob | None = OMITTED
    """Only at endpoints like this; alone: all of that endpoint's."""
    path: JSONPath | None = OMITTED
    """At this place of a JSON body, or below it."""
    header: IgnoredHeader | None = OMITTED
    """In this header of the answer; `*` at the end stands for anything."""
    field: RegularExpression | None = OMITTED
    """RE2 expression for the whole field, as differences report it."""
    value: RegularExpression | None = OMITTED
    """RE2 expression that both values must match somewhere."""

    @model_validator(mode="after")
    def _something(self) -> "IgnoreBody":
        if not self.model_fields_set:
            refuse("ignores nothing in particular", "at least one of endpoint, path, header, field, value")
        if self.path is not None and self.header is not None:
            refuse("has path and header", "one of the two; a difference is in the body or in a header")
        return self

    def to_model(self) -> Ignore:
        """Return the rule."""
        return Ignore(self.endpoint or "", self.path or "", self.header or "", self.field or "", self.value or "")

    @classmethod
    def of(cls, rule: Ignore) -> "IgnoreBody":
        """Return the document of a rule."""
        return cls.model_construct(
            endpoint=rule.endpoint or None,
            path=rule.path or None,
            header=rule.header or None,
            field=rule.field or None,
            value=rule.value or None,
        )


class NormalizeBody(_RuleBody):
    """What is done to both values before they are compared."""

    endpoint: EndpointGlob | None = OMITTED
    """Only at endpoints like this."""
    path: JSONPath | None = OMITTED
    """At this place of a JSON body."""
    header: HeaderName | None = OMITTED
    """In this header of the answer. With neither path nor header: in all texts of the body."""
    regex: RegularExpression | None = OMITTED
    """RE2 expression; what it matches becomes `replace`."""
    replace: Replacement = ""
    """What matches of `regex` become; `\\1` is the first group."""
    ignore_case: bool = False
    """Whether upper and lower case are the same."""
    unordered: bool = False
    """Whether the order of an array's elements means nothing."""

    @model_validator(mode="after")
    def _something(self) -> "NormalizeBody":
        if self.regex is None and not self.ignore_case and not self.unordered:
            refuse("does nothing", "at least one of regex, ignoreCase, unordered")
        if self.path is not None and self.header is not None:
            refuse("has path and header", "one of the two; a value is in the body or in a header")
        if self.unordered and self.header is not None:
            refuse("has unordered and header", "unordered is for arrays, which are in a body")
        if self.replace and self.regex is None:
            refuse("has no regex", "an expression for what is to be replaced", at="regex")
        if self.regex is not None:
            try:
                compile_replacement(self.replace, Expression(self.regex).groups)
            except BadRuleError as error:
                refuse(f"{shown(self.replace)} {error}", error.hint, at="replace")
        return self

    def to_model(self) -> Normalize:
        """Return the rule."""
        return Normalize(
            endpoint=self.endpoint or "",
            path=self.path or "",
            header=self.header or "",
            regex=self.regex or "",
            replace=self.replace,
            ignore_case=self.ignore_case,
            unordered=self.unordered,
        )

    @classmethod
    def of(cls, rule: Normalize) -> "NormalizeBody":
        """Return the document of a rule."""
        return cls.model_construct(
            endpoint=rule.endpoint or None,
            path=rule.path or None,
            header=rule.header or None,
            regex=rule.regex or None,
            replace=rule.replace,
            ignore_case=rule.ignore_case,
            unordered=rule.unordered,
        )


class ToleranceBody(_RuleBody):
    """How far numbers may be apart."""

    endpoint: EndpointGlob | None = OMITTED
    """Only at endpoints like this."""
    path: JSONPath | None = OMITTED
    """Only at this place of a JSON body."""
    absolute: Annotated[float, Number(0.0, 1e300, "the largest difference")] = 0.0
    """Largest difference that counts as equal."""
    relative: Annotated[float, Number(0.0, 1.0, "a share of the larger of the two; 0.01 is one per cent")] = 0.0
    """Largest difference that counts as equal, as a share of the larger of the two."""

    @model_validator(mode="after")
    def _something(self) -> "ToleranceBody":
        if not self.absolute and not self.relative:
            refuse("tolerates nothing", "absolute or relative above 0")
        return self

    def to_model(self) -> Tolerance:
        """Return the rule."""
        return Tolerance(self.endpoint or "", self.path or "", float(self.absolute), float(self.relative))

    @classmethod
    def of(cls, rule: Tolerance) -> "ToleranceBody":
        """Return the document of a rule."""
        return cls.model_construct(
            endpoint=rule.endpoint or None, path=rule.path or None, absolute=rule.absolute, relative=rule.relative
        )


class ArrayKeyBody(_RuleBody):
    """How the elements of an array are told apart."""

    endpoint: EndpointGlob | None = OMITTED
    """Only at endpoints like this."""
    path: JSONPath
    """The array."""
    key: Annotated[str, Text("[^\r\n]+", "the name of a member of the elements", most=200)]
    """Member of each element by which it is found again in the other answer."""

    def to_model(self) -> ArrayKey:
        """Return the rule."""
        return ArrayKey(self.path, self.key, self.endpoint or "")

    @classmethod
    def of(cls, rule: ArrayKey) -> "ArrayKeyBody":
        """Return the document of a rule."""
        return cls.model_construct(endpoint=rule.endpoint or None, path=rule.path, key=rule.key)


_Rate = Annotated[float, Number(0.0, 1.0, "a share; 0.01 is one per cent", share=True)]
_LOSS = 0.05


class AlertingBody(Document):
    """When to raise alerts (where to is a setting of the manager)."""

    new_differences: bool = True
    """On a class of difference that an endpoint did not have before."""
    difference_rate: _Rate | None = OMITTED
    """On a share of differing pairs above this, at an endpoint; never when left out."""
    loss_rate: _Rate | None = _LOSS
    """On a share of lost pairs above this; null: never."""
    dead_shadow: bool = True
    """On a shadow that failed."""

    def to_model(self) -> Alerting:
        """Return the conditions."""
        return Alerting(
            new_differences=self.new_differences,
            difference_rate=self.difference_rate,
            loss_rate=self.loss_rate,
            dead_shadow=self.dead_shadow,
        )

    @classmethod
    def of(cls, alerts: Alerting) -> "AlertingBody":
        """Return the document of the conditions."""
        return cls.model_construct(
            new_differences=alerts.new_differences,
            difference_rate=alerts.difference_rate,
            loss_rate=alerts.loss_rate,
            dead_shadow=alerts.dead_shadow,
        )


DescriptorSet = Annotated[
    str,
    Text("[A-Za-z0-9+/=]*", "base64 of a FileDescriptorSet", most=4 * 1024 * 1024),
    _refusing(check_descriptor_set),
]


class AnalysisBody(JudgingBody):
    """How answers are compared, and judged."""

    ignore: Annotated[list[IgnoreBody], Field(max_length=MOST_RULES)] = Field(default_factory=list)
    """Differences that do not count."""
    normalize: Annotated[list[NormalizeBody], Field(max_length=MOST_RULES)] = Field(default_factory=list)
    """What is done to values before they are compared."""
    tolerance: Annotated[list[ToleranceBody], Field(max_length=MOST_RULES)] = Field(default_factory=list)
    """How far numbers may be apart."""
    array_keys: Annotated[list[ArrayKeyBody], Field(max_length=MOST_RULES)] = Field(default_factory=list)
    """How the elements of arrays are told apart, where it is not by `id`, `uuid`, `key`, `name` and the like."""
    recognise: list[str] = Field(default_factory=lambda: list(RECOGNISED))
    """Kinds of values that are known by their looks and expected to be others each time; all when left out."""
    redact: Annotated[list[Secret], Field(max_length=MOST_RULES)] = Field(default_factory=list)
    """Headers, query parameters and fields whose values are never shown, besides the built-in ones."""
    endpoints: Annotated[list[EndpointPattern], Field(max_length=MOST_ENDPOINTS)] = Field(default_factory=list)
    """Path templates of the component, first match wins; others are found by themselves."""
    openapi: dict[str, Any] | None = OMITTED
    """OpenAPI 3 or Swagger 2 document: its paths are added to `endpoints`, and nothing of it is kept."""
    descriptor_set: DescriptorSet = ""
    """Output of `protoc --include_imports --descriptor_set_out`, in base64: gRPC messages are compared by field."""
    alerts: AlertingBody = AlertingBody()
    """When to raise alerts."""

    @model_validator(mode="before")
    @classmethod
    def _described(cls, given: Any) -> Any:
        """Put the paths of `openapi` behind `endpoints`, so that what is shown is what was understood."""
        if not isinstance(given, dict) or given.get("openapi") is None:
            return given
        try:
            found = patterns_of(given["openapi"])
        except PydanticCustomError as error:
            context = error.context or {}
            refuse(context["detail"], context["hint"], at=f"openapi{context['at']}")
        rest = {name: value for name, value in given.items() if name != "openapi"}
        known = rest.get("endpoints", [])
        if isinstance(known, list):
            rest["endpoints"] = [*known, *(pattern for pattern in found if pattern not in known)]
            if len(known) <= MOST_ENDPOINTS < len(rest["endpoints"]):
                told = f"makes {len(rest['endpoints'])} endpoints with those that are given"
                refuse(told, f"at most {MOST_ENDPOINTS}", at="openapi")
        return rest

    @field_validator("endpoints")
    @classmethod
    def _fitting(cls, patterns: list[str]) -> list[str]:
        for index, pattern in enumerate(patterns):
            problem = problem_of(pattern)
            if problem is not None:
                refuse(*problem, at=f"[{index}]")
        return patterns

    @field_validator("recognise")
    @classmethod
    def _known(cls, kinds: list[str]) -> list[str]:
        for index, kind in enumerate(kinds):
            if kind not in RECOGNISED:
                refuse(f"{shown(kind)} is not a kind", f"known are {', '.join(RECOGNISED)}", at=f"[{index}]")
            if kind in kinds[:index]:
                refuse(f"{shown(kind)} is there twice", "each kind once", at=f"[{index}]")
        return kinds

    def to_model(self) -> Analysis:
        """Return the rules."""
        return Analysis(
            ignore=tuple(rule.to_model() for rule in self.ignore),
            normalize=tuple(rule.to_model() for rule in self.normalize),
            tolerance=tuple(rule.to_model() for rule in self.tolerance),
            array_keys=tuple(rule.to_model() for rule in self.array_keys),
            recognise=tuple(self.recognise),
            redact=tuple(self.redact),
            endpoints=tuple(self.endpoints),
            descriptor_set=self.descriptor_set,
            alerts=self.alerts.to_model(),
            judging=self.judging(),
        )

    @classmethod
    def of(cls, analysis: Analysis) -> "AnalysisBody":
        """Return the document of the rules."""
        return cls.model_construct(
            ignore=[IgnoreBody.of(rule) for rule in analysis.ignore],
            normalize=[NormalizeBody.of(rule) for rule in analysis.normalize],
            tolerance=[ToleranceBody.of(rule) for rule in analysis.tolerance],
            array_keys=[ArrayKeyBody.of(rule) for rule in analysis.array_keys],
            recognise=list(analysis.recognise),
            redact=list(analysis.redact),
            endpoints=list(analysis.endpoints),
            descriptor_set=analysis.descriptor_set,
            alerts=AlertingBody.of(analysis.alerts),
            **judging_fields(analysis.judging),
        )
