"""Rules that a user may want, made of the differences that were seen.

Reads the items of `group=class` as REST shows them, so that the command line can do it with any manager.
Guarantees: pure; a rule is proposed for a reason that is told, and once; order is that of the items.
What a control has shown to be the new version's doing gets none.
Not guaranteed: that a rule is right: whether an order means nothing or a number is close enough, only the user knows.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from xds_server.analysis.diff.expressions import BadRuleError
from xds_server.analysis.diff.jsonpath import compile_path
from xds_server.analysis.kinds import OTHER, Kind
from xds_server.analysis.windows.noise import ALPHA, OPEN

HEADER = "header:"
CLOSE = 0.02
"""Numbers that are no further apart than this share of the larger one are taken for jitter without a control."""
CLOSE_NOISE = 0.5
"""With a control that shows that they are noise."""
ENOUGH = 2
"""Examples that must agree before a rule is made of a difference that may be real."""
_KEYS = ("id", "uuid", "key", "name")
"""Members by which elements are told apart without a rule."""
_ALIKE = 0.5
"""Share of elements whose key must be in both answers."""

_Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One rule: the list of `analysis` that it belongs to, the rule as it is written there, and why."""

    section: str
    rule: Mapping[str, Any]
    why: str


def suggest(items: Iterable[_Json], pair: Callable[[str], _Json] = lambda _: {}) -> list[Suggestion]:
    """Return rules for what was seen.

    Args:
        items: of `group=class`, of one profile.
        pair: returns a pair in full by its `pairID`; asked for pairs that differ in arrays.
    """
    items = [item for item in items if OTHER not in {item["field"], item["endpoint"]}]
    meant = [(item["endpoint"], item["field"]) for item in items if item["nature"] in OPEN]
    found: list[Suggestion] = []
    for item in items:
        if _proven(item):
            continue
        made = _header(item) if item["field"].startswith(HEADER) else _body(item, pair)
        if made is not None and not (made.section == "ignore" and _hides(item, meant)):
            found.append(made)
    return _without_doubles(found, {field for _, field in meant})


def _proven(item: _Json) -> bool:
    """Tell whether a control has shown that a difference is the new version's: no rule should hide it."""
    evidence = float((item.get("noise") or {}).get("evidence") or 0.0)
    return item["nature"] in OPEN and evidence >= 1 / ALPHA


def _hides(item: _Json, meant: Sequence[tuple[str, str]]) -> bool:
    """Tell whether leaving out the field of an item that is noise would leave out something that is not."""
    if item["nature"] in OPEN:
        return False
    place, here = item["field"], [field for endpoint, field in meant if endpoint == item["endpoint"]]
    if not place.startswith("$"):
        return place in here
    try:
        path = compile_path(place)
    except BadRuleError:
        return True
    return any(field.startswith("$") and path.covers(field) for field in here)


def _header(item: _Json) -> Suggestion | None:
    rule = {"header": item["field"].removeprefix(HEADER), "endpoint": item["endpoint"]}
    if item["nature"] not in OPEN:
        return Suggestion("ignore", rule, _why(item))
    values = item.get("values", ())
    each = {value["original"] for value in values}, {value["shadow"] for value in values}
    if len(values) >= ENOUGH and all(len(side) == len(values) for side in each) and not each[0] & each[1]:
        told = f"another value in each of {len(values)} examples, on both sides; {_counted(item)}"
        return Suggestion("ignore", rule, told)
    return None


def _body(item: _Json, pair: Callable[[str], _Json]) -> Suggestion | None:
    is_path, kind = item["field"].startswith("$"), item["class"]
    place = {"path": item["field"], "endpoint": item["endpoint"]}
    if kind == Kind.ARRAY_ORDER and is_path:
        return Suggestion("normalize", {**place, "unordered": True}, f"only the order differs; {_counted(item)}")
    if is_path and (keyed := _keyed(item, pair)) is not None:
        return keyed
    noise = item["nature"] not in OPEN
    far = _far(item.get("values", ())) if kind == Kind.VALUE and is_path else None
    if far is not None and far <= (CLOSE_NOISE if noise else CLOSE) and (noise or len(item["values"]) >= ENOUGH):
        told = f"numbers at most {_percent(far)} apart in {len(item['values'])} examples"
        return Suggestion("tolerance", {**place, "relative": _up(far)}, f"{told}; {_counted(item)}")
    if not noise:
        return None
    if is_path:
        return Suggestion("ignore", place, _why(item))
    # No `endpoint` alone: that would ignore all of its differences.
    return Suggestion("ignore", {"field": re.escape(item["field"]), "endpoint": item["endpoint"]}, _why(item))


def _why(item: _Json) -> str:
    if item["nature"] == "recognised":
        return f"another {item['what'] or 'value of its kind'} each time, by its looks; {_counted(item)}"
    rates = item["noise"]
    return (
        f"noise: the control differs in {_percent(rates['controlRate'])} of the requests, the shadow in"
        f" {_percent(rates['shadowRate'])}; {_counted(item)}"
    )


def _counted(item: _Json) -> str:
    return f"{item['class']} in {item['count']} of {item['pairs']} pairs"


def _percent(rate: float | None) -> str:
    return "?" if rate is None else f"{rate * 100:.3g} %"


def _far(values: Sequence[_Json]) -> float | None:
    """Return how far numbers are apart at most, as a share of the larger; None when something else is among them."""
    far = 0.0
    for value in values:
        try:
            one, other = float(value["original"]), float(value["shadow"])
        except (TypeError, ValueError):
            return None
        if one.is_integer() and other.is_integer() and max(abs(one), abs(other)) < 1000:  # noqa: PLR2004 - a count, an id
            return None
        larger = max(abs(one), abs(other))
        if not 0 < larger < float("inf"):
            return None
        far = max(far, abs(one - other) / larger)
    return far or None


def _up(far: float) -> float:
    """Return a round share somewhat above what was seen."""
    for digits in range(1, 8):
        for step in (1, 2, 5):
            share = float(f"{step}e-{8 - digits}")
            if share >= far * 1.5:
                return share
    return 1.0


def _keyed(item: _Json, pair: Callable[[str], _Json]) -> Suggestion | None:
    """Return the key of an array whose elements have one, when they are taken for others by their place."""
    field, kind = item["field"], item["class"]
    path = field if kind == Kind.ARRAY_LENGTH else field.rpartition("[*]")[0] if "[*]" in field else ""
    example = item.get("example")
    if not path or not example or "[*]" in path:
        return None
    whole = pair(example["pairID"])
    try:
        arrays = [_at(orjson.loads(whole[leg]["body"]), path) for leg in ("original", "shadow")]
    except (KeyError, TypeError, ValueError, IndexError):
        return None
    key = key_of(*arrays)
    if key is None:
        return None
    told = f'each element has its own "{key}", in another place in the other answer; {_counted(item)}'
    return Suggestion("arrayKeys", {"path": path, "key": key, "endpoint": item["endpoint"]}, told)


def key_of(original: Any, shadow: Any) -> str | None:
    """Return the member by which elements of two arrays of objects are told apart; None: there is none, or no need.

    Its values differ within each array, most are in both, and at least one has another place in the other.
    """
    arrays = (original, shadow)
    if not all(isinstance(a, list) and len(a) > 1 and all(isinstance(e, dict) for e in a) for a in arrays):
        return None
    elements = [*original, *shadow]
    if any(all(isinstance(e.get(key), (str, int)) for e in elements) for key in _KEYS):
        return None
    for key in original[0]:
        if not all(isinstance(element.get(key), (str, int)) for element in elements):
            continue
        one, other = ([element[key] for element in array] for array in arrays)
        common = set(one) & set(other)
        distinct = len(set(one)) == len(one) and len(set(other)) == len(other)
        if distinct and len(common) >= _ALIKE * max(len(one), len(other)):
            return key if any(one.index(value) != other.index(value) for value in common) else None
    return None


def _at(value: Any, path: str) -> Any:
    for name in re.findall(r"\.([^.\[\]]+)", path.removeprefix("$")):
        value = value[name]
    return value


def _without_doubles(found: Sequence[Suggestion], meant: Collection[str]) -> list[Suggestion]:
    """Return each rule once; one about a header that is noise at several endpoints, and nowhere more, is about all."""
    homes: dict[tuple[str, str], set[str]] = {}
    for one in found:
        homes.setdefault((one.section, one.rule.get("header", "")), set()).add(one.rule["endpoint"])
    kept: dict[str, Suggestion] = {}
    for one in found:
        rule = dict(one.rule)
        everywhere = "header" in rule and HEADER + rule["header"] not in meant
        if everywhere and len(homes[one.section, rule["header"]]) > 1:
            del rule["endpoint"]
        name = orjson.dumps([one.section, {k: v for k, v in rule.items() if k != "relative"}]).decode()
        known = kept.get(name)
        if known is not None and known.rule.get("relative", 0) >= rule.get("relative", 0):
            continue
        kept[name] = Suggestion(one.section, rule, one.why)
    return list(kept.values())
