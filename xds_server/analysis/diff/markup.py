"""HTML and XML compared by what they say: elements, their attributes and texts, each with the path of its element.

Fields: `body:html/body/div/p` for a text, `body:html/body/a/@href` for an attribute, `body:html/body/ul/li` too for an
element that is missing or extra. Values of one path are compared in order; when there are more of them on one side,
those that the other side lacks are missing or extra. Where there are as many, but between others than before (a price
that moved to the record beside its own), it is `array_order`, once.

Guarantees: white space and the order of attributes do not matter, nor do comments; linear, bounded by `LONGEST`;
whatever is no markup is read in some way, alike on both sides.
Not guaranteed: the tree that a browser would build; that more than the first change of order is told.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator

from xds_server.analysis.diff.difference import ABSENT, Difference, first_difference, window
from xds_server.analysis.diff.rules import Rules
from xds_server.analysis.kinds import Kind

LONGEST = 512 * 1024
"""Characters read; the rest is compared as text."""
LONGEST_FIELD = 300
"""Characters of a field."""
DEEPEST = 20
"""Elements in a path."""
MOST_NODES = 50_000
MOST = 200
"""Differences of one pair."""
_NAME = 60

_TOKEN = re.compile(
    r"<!--(?:.*?-->|.*)"
    r"|<!\[CDATA\[(?P<cdata>.*?)(?:\]\]>|\Z)"
    r"|<(?P<mark>[!?])[^>]*+>?"
    r"|<(?P<close>/?)(?P<name>[A-Za-z_][^\s/<>]*+)(?P<rest>(?:[^\"'<>]++|\"[^\"]*+\"|'[^']*+')*+)>"
    r"|(?P<text>[^<]++|<)",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(r"([^\s=/\"'<>]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++)))?")
_VOID = frozenset(
    {
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
    }
)
_RAW = {"script": re.compile("</script", re.IGNORECASE), "style": re.compile("</style", re.IGNORECASE)}

_TEXT = "/#"
_Nodes = dict[str, list[str]]
"""Texts and attributes by path, in order."""
_Counts = Counter[str]
"""Elements by path."""
_Order = list[str]
"""Paths of elements, attributes and texts as they stand; attributes by name, texts end with `_TEXT`."""


_Read = tuple[_Nodes, _Counts, _Order]


def markup_differences(left: str, right: str, rules: Rules, *, is_html: bool) -> list[Difference] | None:
    """Return how two documents differ; None when they are too large to be read."""
    if len(left) > LONGEST or len(right) > LONGEST:
        return None
    ours, theirs = _read(left, is_html=is_html), _read(right, is_html=is_html)
    if ours is None or theirs is None:
        return None
    found: list[Difference] = []
    for path in [*ours[0], *(path for path in theirs[0] if path not in ours[0])]:
        if len(found) >= MOST:
            found.append(Difference("body", Kind.TOO_COMPLEX, ABSENT, ABSENT))
            return found
        a, b = ours[0].get(path, []), theirs[0].get(path, [])
        if a != b:
            found += _of_path(_field(path), a, b, rules)
    # Elements of which nothing else tells: they are empty.
    told = tuple(difference.field for difference in found)
    for path in [*(ours[1] - theirs[1]), *(theirs[1] - ours[1])]:
        field, shown = _field(path), f"<{path.rpartition('/')[2]}>"
        if not any(each.startswith(field) for each in told) and len(found) < MOST:
            values = (shown, ABSENT) if ours[1][path] > theirs[1][path] else (ABSENT, shown)
            if rules.at(field).counts(*values):
                found.append(Difference(field, Kind.MISSING if values[1] is ABSENT else Kind.EXTRA, *values))
    if ours[2] != theirs[2] and len(found) < MOST and (moved := _moved(ours, theirs, rules)) is not None:
        found.append(moved)
    return found


def _moved(ours: _Read, theirs: _Read, rules: Rules) -> Difference | None:
    """Return the first place where other things stand, of those of which there are as many on both sides."""

    def left_out(path: str, kind: str) -> bool:
        if kind == _TEXT:
            path = path.removesuffix(_TEXT)
        if kind and len(ours[0].get(path, ())) != len(theirs[0].get(path, ())):
            return True
        return (not kind and ours[1][path] != theirs[1][path]) or rules.at(_field(path)).ignored

    kinds = {step: _TEXT if step.endswith(_TEXT) else "@" if "/@" in step else "" for step in {*ours[2], *theirs[2]}}
    out = {step for step, kind in kinds.items() if left_out(step, kind)}
    orders = ([step for step in read[2] if step not in out] for read in (ours, theirs))
    for a, b in zip(*orders, strict=False):
        if a != b:
            field = _field(common) if (common := _common(a, b)) else "body"
            values = f"<{a.removesuffix(_TEXT)}>", f"<{b.removesuffix(_TEXT)}>"
            return Difference(field, Kind.ARRAY_ORDER, *values) if rules.at(field).counts(*values) else None
    return None


def _common(a: str, b: str) -> str:
    """Return the path of the element that both are in."""
    steps: list[str] = []
    for ours, theirs in zip(a.split("/")[:-1], b.split("/")[:-1], strict=False):
        if ours != theirs:
            break
        steps.append(ours)
    return "/".join(steps)


def _field(path: str) -> str:
    field = f"body:{path}"
    return field if len(field) <= LONGEST_FIELD else field[:LONGEST_FIELD] + "…"


def _of_path(field: str, a: list[str], b: list[str], rules: Rules) -> Iterator[Difference]:
    if len(a) == len(b):
        seen: set[Kind] = set()
        for number, (ours, theirs) in enumerate(zip(a, b, strict=True)):
            if ours == theirs or len(seen) > 1:
                continue
            judged = rules.leaf(field, Kind.TEXT, ours, theirs)
            if judged is not None and judged[0] not in seen:
                seen.add(judged[0])
                at = first_difference(ours, theirs)
                where = f"{field.partition(':')[2]}[{number + 1}]" if len(a) > 1 else ""
                yield Difference(field, judged[0], window(ours, at), window(theirs, at), where, judged[1])
        return
    there = rules.at(field)
    ours_only, theirs_only = list((Counter(a) - Counter(b)).elements()), list((Counter(b) - Counter(a)).elements())
    if len(a) > len(b) and ours_only and there.counts(ours_only[-1], ABSENT):
        yield Difference(field, Kind.MISSING, window(ours_only[-1], 0), ABSENT)
    elif len(b) > len(a) and theirs_only and there.counts(ABSENT, theirs_only[-1]):
        yield Difference(field, Kind.EXTRA, ABSENT, window(theirs_only[-1], 0))


def _read(text: str, *, is_html: bool) -> _Read | None:
    """Return what a document says; None when there is too much of it, or it is nested too deep."""
    nodes: _Nodes = {}
    counts: _Counts = Counter()
    order: _Order = []
    stack: list[str] = []
    position, number = 0, 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            break
        position, number = found.end(), number + 1
        if number > MOST_NODES or len(stack) > DEEPEST * 10:
            return None
        said, name = found["text"], found["name"]
        if said is not None or found["cdata"] is not None:
            _text(nodes, order, stack, html.unescape(said) if said is not None else found["cdata"])
            continue
        if name is None:
            continue
        name = (name.lower() if is_html else name)[:_NAME]
        if found["close"]:
            if name in stack:
                del stack[len(stack) - 1 - stack[::-1].index(name) :]
            continue
        stack.append(name)
        path = "/".join(stack[:DEEPEST])
        counts[path] += 1
        order.append(path)
        order += sorted(_attributes(nodes, path, found["rest"], is_html=is_html))
        if is_html and name in _RAW:
            end = _RAW[name].search(text, position)
            stop = end.start() if end else len(text)
            _text(nodes, order, stack, text[position:stop])
            position = stop
        if found["rest"].endswith("/") or (is_html and name in _VOID):
            stack.pop()
    return nodes, counts, order


def _text(nodes: _Nodes, order: _Order, stack: list[str], text: str) -> None:
    if said := " ".join(text.split()):
        path = "/".join(stack[:DEEPEST]) or "text()"
        nodes.setdefault(path, []).append(said)
        order.append(path + _TEXT)


def _attributes(nodes: _Nodes, element: str, text: str, *, is_html: bool) -> list[str]:
    """Note the attributes of an element; return their paths."""
    paths: list[str] = []
    for found in _ATTRIBUTE.finditer(text):
        name = (found[1].lower() if is_html else found[1])[:_NAME]
        value = next((group for group in found.groups()[1:] if group is not None), "")
        words = html.unescape(value).split()
        said = " ".join(sorted(words) if is_html and name == "class" else words)
        path = f"{element}/@{name}"
        paths.append(path)
        nodes.setdefault(path, []).append(said)
    return paths
