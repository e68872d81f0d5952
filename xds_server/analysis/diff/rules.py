"""A profile's rules, made ready: what an endpoint's comparison leaves out, evens out, tells apart.

Guarantees: nothing raises, rules that cannot be compiled are left out (`check` refused them when they were given);
rules of one endpoint are made once, what they say of a field is found once, both caches are bounded. Where values are
equal nothing is looked at.
"""

from dataclasses import dataclass, field
from typing import Any

from xds_server.analysis.diff.descriptors import Descriptors, descriptors_of
from xds_server.analysis.diff.difference import ABSENT, shown
from xds_server.analysis.diff.expressions import LONGEST_VALUE, Meter
from xds_server.analysis.diff.header_names import IGNORED
from xds_server.analysis.diff.looks import same_kind
from xds_server.analysis.diff.matchers import (
    ArrayKeyRule,
    IgnoreRule,
    NormalizeRule,
    ToleranceRule,
    compile_all,
)
from xds_server.analysis.kinds import Kind
from xds_server.model.analysis import DEFAULT_ANALYSIS, RECOGNISED, Analysis

CACHED = 10_000
"""Endpoints, and fields of one endpoint, that are remembered."""
MOST_ASKED = 50_000
"""Times that a rule is tried on a field or a value, for one pair; about half a second. Long values count for more."""
_REPLACING = 4
"""So much more does replacing cost than finding."""

_NUMBERS = (int, float)


@dataclass(slots=True)
class At:
    """What the rules say of one field."""

    ignored: bool = False
    values: tuple[IgnoreRule, ...] = ()
    """Rules that ignore some values of it."""
    normalizers: tuple[NormalizeRule, ...] = ()
    unordered: bool = False
    absolute: float = 0.0
    relative: float = 0.0
    key: str = ""
    """By which member the elements of the array there are told apart."""

    def counts(self, original: Any, shadow: Any) -> bool:
        """Say whether a difference there counts."""
        if self.ignored:
            return False
        if not self.values or original is ABSENT or shadow is ABSENT:
            return True
        texts = _text(original), _text(shadow)
        return not any(rule.value is not None and all(map(rule.value.found_in, texts)) for rule in self.values)

    def evened(self, value: Any, meter: Meter) -> Any:
        """Return what stands for a value: alike for two of which the rules say that they do not differ."""
        text = _text(value) if self.values else ""
        for number, rule in enumerate(self.values):
            if rule.value is not None and rule.value.found_in(text):
                return f"\0ignored by {number}"
        return self.normal(value, meter) if type(value) is str else value

    def normal(self, text: str, meter: Meter) -> str:
        """Return a text evened out, as far as the meter allows."""
        for rule in self.normalizers:
            if meter.exhausted:
                break
            text = rule.normal(text, meter)
        return text

    def same(self, original: Any, shadow: Any, meter: Meter) -> bool:
        """Say whether two different values count as equal."""
        if type(original) is str and type(shadow) is str:
            return bool(self.normalizers) and self.normal(original, meter) == self.normal(shadow, meter)
        if (self.absolute or self.relative) and type(original) in _NUMBERS and type(shadow) in _NUMBERS:
            return _near(original, shadow, self.absolute, self.relative)
        return False


_NOTHING = At()


@dataclass(slots=True)
class Rules:
    """What holds for one endpoint. `ignore_headers` holds names in lower case, with those that are always ignored."""

    ignore_headers: frozenset[str] = IGNORED
    keep_credentials: bool = False
    analysis: Analysis = DEFAULT_ANALYSIS
    ignores: tuple[IgnoreRule, ...] = ()
    normalizers: tuple[NormalizeRule, ...] = ()
    tolerances: tuple[ToleranceRule, ...] = ()
    array_keys: tuple[ArrayKeyRule, ...] = ()
    recognise: frozenset[str] = frozenset(RECOGNISED)
    everything: bool = False
    """Nothing of this endpoint counts."""
    descriptors: Descriptors | None = None
    """By which gRPC messages are read."""
    plain: bool = field(init=False)
    """There are no rules of fields."""
    evens: bool = field(init=False)
    """There are rules by which values in bodies that are not equal may count as equal."""
    meter: Meter = field(init=False, repr=False, compare=False)
    """What trying rules has cost for this pair."""
    _size: int = field(init=False, default=0, repr=False, compare=False)
    _cache: dict[str, At] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        sorts = self.ignores, self.normalizers, self.tolerances, self.array_keys
        self._size = sum(map(len, sorts))
        self.plain = not self._size
        self.evens = any(not rule.header for rule in (*self.ignores, *self.normalizers))
        self.meter = Meter(MOST_ASKED)

    def begin(self) -> None:
        """Begin with another pair: what rules may cost is bounded for each."""
        self.meter.spent = 0

    def exhausted(self, at: At, original: Any, shadow: Any) -> bool:
        """Take note that the rules of a field are about to be tried on two values; say whether that was enough."""
        if rules := len(at.values) + _REPLACING * len(at.normalizers):
            length = len(original) + len(shadow) if isinstance(original, str) and isinstance(shadow, str) else 0
            self.meter.spent += rules * (1 + length // 200)
        return self.meter.exhausted

    def at(self, name: str) -> At:
        """Return what the rules say of a field."""
        if self.plain:
            return _NOTHING
        found = self._cache.get(name)
        if found is None:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self.meter.spent += self._size
            found = self._cache[name] = self._made(name)
        return found

    def leaf(self, name: str, kind: Kind, original: Any, shadow: Any) -> tuple[Kind, str] | None:
        """Return the class of a difference of two values with what was recognised; None when it does not count."""
        if not self.plain:
            at = self.at(name)
            if self.exhausted(at, original, shadow):
                return Kind.TOO_COMPLEX, ""
            same = not at.counts(original, shadow) or at.same(original, shadow, self.meter)
            if self.meter.exhausted:
                return Kind.TOO_COMPLEX, ""
            if same:
                return None
        what = same_kind(original, shadow, self.recognise, name) if self.recognise else ""
        return (Kind.SAME_KIND, what) if what else (kind, "")

    def _made(self, name: str) -> At:
        at = At()
        ignores = [rule for rule in self.ignores if rule.concerns(name)]
        at.ignored = any(rule.value is None for rule in ignores)
        at.values = tuple(rule for rule in ignores if rule.value is not None)
        normalizers = [rule for rule in self.normalizers if rule.concerns(name)]
        at.normalizers = tuple(rule for rule in normalizers if rule.for_texts)
        at.unordered = any(rule.unordered for rule in normalizers)
        for rule in self.tolerances:
            if rule.concerns(name):
                at.absolute, at.relative = max(at.absolute, rule.absolute), max(at.relative, rule.relative)
        at.key = next((rule.key for rule in self.array_keys if rule.concerns(name)), "")
        return at


DEFAULT_RULES = Rules()


class RuleBook:
    """The rules of a profile, by endpoint.

    Args:
        analysis: of the profile.
        keep_credentials: whether copies carry them.
    """

    def __init__(self, analysis: Analysis = DEFAULT_ANALYSIS, *, keep_credentials: bool = False) -> None:
        self._analysis, self._keep_credentials = analysis, keep_credentials
        self._ignores = compile_all(IgnoreRule, analysis.ignore)
        self._normalizers = compile_all(NormalizeRule, analysis.normalize)
        self._tolerances = compile_all(ToleranceRule, analysis.tolerance)
        self._array_keys = compile_all(ArrayKeyRule, analysis.array_keys)
        self._descriptors = descriptors_of(analysis.descriptor_set)
        self._rules: dict[str, Rules] = {}

    def of(self, endpoint: str) -> Rules:
        """Return the rules of an endpoint."""
        rules = self._rules.get(endpoint)
        if rules is None:
            if len(self._rules) >= CACHED:
                self._rules.clear()
            rules = self._rules[endpoint] = self._made(endpoint)
        return rules

    def _made(self, endpoint: str) -> Rules:
        ignores = [rule for rule in self._ignores if rule.at_endpoint(endpoint)]
        whole = {rule.whole_header for rule in ignores} - {""}
        return Rules(
            ignore_headers=IGNORED | whole,
            keep_credentials=self._keep_credentials,
            analysis=self._analysis,
            ignores=tuple(rule for rule in ignores if not rule.everything),
            normalizers=tuple(rule for rule in self._normalizers if rule.at_endpoint(endpoint)),
            tolerances=tuple(rule for rule in self._tolerances if rule.at_endpoint(endpoint)),
            array_keys=tuple(rule for rule in self._array_keys if rule.at_endpoint(endpoint)),
            recognise=frozenset(self._analysis.recognise),
            everything=any(rule.everything for rule in ignores),
            descriptors=self._descriptors,
        )


def _near(original: Any, shadow: Any, absolute: float, relative: float) -> bool:
    try:
        largest = float(max(abs(original), abs(shadow)))
        # A little is given for the way numbers are stored: 0.3 and 0.2 differ by a bit more than 0.1.
        return bool(abs(original - shadow) <= max(absolute, relative * largest) + largest * 4e-16)
    except OverflowError:
        return False


def _text(value: Any) -> str:
    return value if isinstance(value, str) else shown(value, LONGEST_VALUE) or ""
