"""Differences for people: endpoint, field, class, the most surprising first, noise folded into one line.

Guarantees: lines fit the terminal; when they go elsewhere nothing is cut.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from xds_server.analysis.windows.noise import OPEN
from xds_server.cli.client import JSON
from xds_server.cli.output import clean, lived, number, rows, since, table

ORIGINAL, SHADOW = "red", "green"
"""Colours of the two sides, as `diff` has them; the markers - and + say the same."""
_BARS = "▁▂▃▄▅▆▇█"
_SPARK = 8
SHORT = 8
"""Letters by which a pair is named, at least."""
_LEAST = 0.001
_CLASS = 13
"""Width of the longest usual name of a class."""


def classes(page: JSON, *, width: int | None, everything: bool = False) -> Iterator[RenderableType]:
    """Return a page of classes (or fields, endpoints), by version, endpoint and field in the order of the page.

    Args:
        page: what the API answered.
        width: of the terminal; None: nothing is cut.
        everything: whether noise is shown like everything else.
    """
    items = [i for i in page["items"] if everything or i["nature"] in OPEN]
    names = Short(i["example"]["pairID"] for i in items if i.get("example"))
    for version in _grouped(items, lambda i: (i["profileID"], i["variant"])):
        yield _version(version[0])
        for endpoint in _grouped(version, lambda i: i["endpoint"]):
            yield Text.assemble(" ", (clean(endpoint[0]["endpoint"]), "bold"), (_pairs(endpoint[0]), "dim"))
            for field in _grouped(endpoint, lambda i: i["field"]):
                if field[0]["field"] is not None:
                    yield Text("   " + _fit(field[0]["field"], width, 3))
                for item in field:
                    yield from _class(item, names, width)
        yield Text("")
    if not items:
        yield Text("no differences" + (" but noise" if any(page["natures"].values()) else ""))
    yield from _folded(page, everything=everything)
    yield from _window(page)
    yield from more(page)


def _version(item: JSON) -> Text:
    name = item["profile"] or item["profileID"]
    gone = " (deleted)" if item.get("archived") else ""
    told = f"{gone}  version {clean(item['variant'] or '(gone)')} of {clean(item['componentName'])}"
    return Text.assemble(("profile ", "dim"), (clean(name), "bold"), (told, "dim"))


def _pairs(item: JSON) -> str:
    return f"  {number(item['pairs'])} pairs"


def _class(item: JSON, names: "Short", width: int | None) -> Iterator[Text]:
    real = item["nature"] in OPEN
    bits = f"{item['surprise']:.1f} bits" if real else item["nature"]
    share = "<0.1 %" if 0 < item["rate"] < _LEAST else f"{item['rate'] * 100:.3g} %"
    line = Text.assemble(
        "     ",
        (f"{_label(item):<{_CLASS}}", "yellow" if real else "dim"),
        f"{'' if item['countIs'] == 'exact' else '≥'}{number(item['count'])}".rjust(9) + f"{share:>8}",
        (f"{bits:>11}  ", "bold" if real else "dim"),
        (f"{spark(item['timeline']['counts']):<{_SPARK}}", "cyan"),
        (f"  since {since(item['firstSeen'])}{_control(item)}", "dim"),
    )
    if item.get("what"):
        line.append(f"  {clean(item['what'])}", "dim")
    yield line
    if example := item.get("example"):
        yield from _example(example, names, width)


def _label(item: JSON) -> str:
    if item["class"] is not None:
        return clean(item["class"])
    words = (
        ", ".join(item["classes"]) if "fields" not in item else f"{item['fields']} field{'s' * (item['fields'] != 1)}"
    )
    return words if cell_len(words) <= _CLASS else f"{len(item['classes'])} classes"


def _example(example: JSON, names: "Short", width: int | None) -> Iterator[Text]:
    name = names.of(example["pairID"])
    before, after = (_shown(example[side]) for side in ("original", "shadow"))
    room = None if width is None else width - 7
    if room is None or cell_len(before) + cell_len(after) + cell_len(name) + 13 <= room:
        yield Text.assemble(
            "       ",
            ("- ", ORIGINAL),
            (before, ORIGINAL),
            "  ",
            ("+ ", SHADOW),
            (after, SHADOW),
            (f"  pair {name}", "dim"),
        )
        return
    yield Text.assemble("       ", ("- ", ORIGINAL), (_fit(before, room, 2), ORIGINAL))
    yield Text.assemble(
        "       ", ("+ ", SHADOW), (_fit(after, room, cell_len(name) + 9), SHADOW), (f"  pair {name}", "dim")
    )


def _shown(value: Any) -> str:
    return "(not there)" if value is None else clean(str(value)).replace("\n", "\\n")


def _fit(text: str, width: int | None, taken: int) -> str:
    room = None if width is None else max(width - taken, 8)
    text = clean(text)
    return text if room is None or cell_len(text) <= room else set_cell_size(text, room - 1).rstrip() + "…"


def spark(counts: Sequence[int]) -> str:
    """Return counts as bars, in at most eight of them."""
    size = -(-len(counts) // _SPARK) or 1
    sums = [sum(counts[i : i + size]) for i in range(0, len(counts), size)]
    most = max(sums, default=0)
    return "".join(" " if not one else _BARS[min(one * len(_BARS) // (most + 1), 7)] for one in sums)


def _control(item: JSON) -> str:
    """Return what the control says to it: how often it differs there too, and whether that rules noise out."""
    noise = item.get("noise") or {}
    if noise.get("controlRate") is None:
        return ""
    sure = "" if item["nature"] not in OPEN or noise.get("proven") else ", not proven yet"
    return f", control {noise['controlRate'] * 100:.3g} %{sure}"


def _folded(page: JSON, *, everything: bool) -> Iterator[Text]:
    left = {name: count for name, count in page["natures"].items() if name not in OPEN and count}
    if everything or not left:
        return
    told = " and ".join(f"{number(count)} {_word(name, count)}" for name, count in left.items())
    yield Text(f"left out: {told}; --all shows them, --suggest makes rules of them", style="dim")


def _word(nature: str, count: int) -> str:
    plural = "" if count == 1 else "s"
    if nature == "noise":
        return f"difference{plural} that the control shows too"
    return f"value{plural} of a kind that is another each time"


def _window(page: JSON) -> Iterator[Text]:
    if window := page.get("window"):
        told = f"counts are those of whole buckets of up to {window['resolutionSeconds']} s"
        yield Text(told, style="dim")


def more(page: JSON) -> Iterator[Text]:
    """Return how to see the next page."""
    if page["nextCursor"]:
        yield Text(
            f"{len(page['items'])} of {number(page['total'])}; --cursor {page['nextCursor']} shows more", style="dim"
        )


def pairs(page: JSON, *, width: int | None) -> Iterator[RenderableType]:
    """Return a page of pairs, and how to see one in full, and the next page."""
    if not page["items"]:
        yield Text("no differing pairs")
        return
    names = Short(one["pairID"] for one in page["items"])
    for one in page["items"]:
        yield from _pair(one, names, width)
    yield from more(page)
    yield Text(f"--pair {names.of(page['items'][0]['pairID'])} shows one in full", style="dim")


def _pair(one: JSON, names: "Short", width: int | None) -> Iterator[Text]:
    real = one["nature"] in OPEN
    told = f"{one['surprise']:.1f} bits" if real else one["nature"]
    end = f"  {clean(one['variant'])}  {told}  {since(one['time'])} ago"
    name = names.of(one["pairID"])
    request = _fit(f"{one['method']} {one['path']}", width, cell_len(name) + cell_len(end) + 2)
    yield Text.assemble((name, "cyan"), "  ", (request, "bold"), (end, "dim"))
    for each in one["differences"]:
        style = "" if each.get("nature", "difference") in OPEN else "dim"
        at = _fit(each["field"], width, cell_len(each["class"]) + 7)
        yield Text.assemble(
            ("   ! " if not style else "   ~ ", "yellow"), (at, style), (f"  {clean(each['class'])}", "dim")
        )
        yield from _values(each, width, dim=bool(style))
    if left := one.get("moreDifferences"):
        yield Text(f"     and {left} more differences", style="dim")


def _values(each: JSON, width: int | None, *, dim: bool) -> Iterator[Text]:
    before, after = (_shown(each.get(side)) for side in ("original", "shadow"))
    sides = ((f"- {before}", "dim" if dim else ORIGINAL), (f"+ {after}", "dim" if dim else SHADOW))
    if width is None or cell_len(before) + cell_len(after) + 13 <= width:
        yield Text.assemble("       ", sides[0], "  ", sides[1])
        return
    for text, style in sides:
        yield Text.assemble("       ", (_fit(text, width, 7), style))


class Short:
    """Short names of pairs: as many letters as tell those that are shown apart."""

    def __init__(self, ids: Iterable[str]) -> None:
        known = set(ids)
        self._letters = SHORT
        while len({name[: self._letters] for name in known}) < len(known):
            self._letters += 1

    def of(self, name: str) -> str:
        """Return the short name."""
        return clean(name[: self._letters])


def _grouped(items: Iterable[JSON], key: Any) -> list[list[JSON]]:
    """Return items of one key together, in the order in which keys first come."""
    found: dict[Any, list[JSON]] = {}
    for item in items:
        found.setdefault(key(item), []).append(item)
    return list(found.values())


def archive(items: Iterable[Mapping[str, Any]]) -> Table:
    """Return comparisons of deleted profiles as a table."""
    made = table("NAME", "COMPONENT", "VERSIONS", "PAIRS", "DIFFER", "ENDED", "KEPT FOR", "ID")
    return rows(
        made,
        (
            (
                one["name"],
                one["componentName"],
                ", ".join(one["variants"]),
                number(one["pairs"]),
                number(one["discrepancies"]),
                f"{lived(one['endedAt'])} ago",
                lived(one["expiresAt"]).removeprefix("in "),
                one["profileID"],
            )
            for one in items
        ),
    )
