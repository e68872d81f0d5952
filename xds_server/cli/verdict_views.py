"""A verdict on a terminal: the checks, the ranking of versions, and how the waiting for it goes."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from xds_server.cli.client import JSON
from xds_server.cli.fitting import Fitting
from xds_server.cli.gating import Look, critical, needed, span
from xds_server.cli.output import clean, lived, rows, table
from xds_server.report.geometry import WIDTH, Bar, bars
from xds_server.report.subject import Subject
from xds_server.report.words import (
    DECISIONS,
    FAIL,
    INCONCLUSIVE,
    PASS,
    bound,
    effect,
    figure,
    interval,
    measured,
    missing,
    place,
    title,
)

STYLES = {PASS: "green", FAIL: "red", INCONCLUSIVE: "yellow"}
SHOWN = 12
"""Checks that are shown while one waits."""
DRAWN, CELLS = 110, 24
"""Columns from which there is room for pictures, and how wide these are."""
_NUMBERS = ("ORIGINAL", "SHADOW", "EFFECT", "INTERVAL", "AT MOST", "PAIRS", "NEEDED")


def verdict(subject: Subject) -> Iterator[RenderableType]:
    """Return a verdict, part by part."""
    yield headline(subject)
    yield from (Text(f"  {clean(reason)}") for reason in subject.reasons)
    if len(subject.ranking) > 1 and not subject.variant:
        yield Text("")
        yield ranking(subject.ranking)
    if subject.checks:
        yield Text("")
        yield checks(subject.checks)
        yield Text("* critical: its FAIL is the whole's", style="dim")
    yield from _beside(subject.verdict)


def headline(subject: Subject) -> Text:
    """Return the decision in a line."""
    found = subject.verdict
    told = f"  {clean(subject.meant)} of {clean(subject.component)}"
    if found.get("pairs") is not None:
        told += f", {figure(found['pairs'])} pairs"
    if found.get("since"):
        told += f", since {lived(found['since'])}"
    return Text.assemble((subject.decision, f"bold {STYLES[subject.decision]}"), told)


def brief(profile: JSON, subject: Subject, *, most: int = 3) -> Iterator[Text]:
    """Return a verdict as the status shows it: the decision and the first reasons; nothing before there is one."""
    if not profile.get("verdict"):
        return
    yield Text.assemble("verdict ", headline(subject))
    yield from (Text(f"  {clean(reason)}", style=STYLES[subject.decision]) for reason in subject.reasons[:most])
    if (left := len(subject.reasons) - most) > 0:
        yield Text(f"  and {left} more reasons; `shadowmesh verdict` shows all", style="dim")


def ranking(items: Iterable[JSON]) -> Table:
    """Return versions as a table, the best one first."""
    made = table("RANK", "VERSION", "DECISION", "SCORE", "WHY")
    return rows(
        made,
        (
            (
                each.get("rank"),
                each.get("variant"),
                each.get("decision"),
                figure(each.get("score")),
                (each.get("reasons") or [""])[0],
            )
            for each in items
        ),
    )


def checks(items: Sequence[JSON]) -> Fitting:
    """Return checks as a table, those that decide with a star."""
    several = len({each.get("variant") for each in items}) > 1
    columns = ("DECISION", *(("VERSION",) if several else ()), "CHECK", "WHERE", *_NUMBERS)
    return Fitting(columns, (_check(each, several=several) for each in items))


def _check(each: JSON, *, several: bool) -> Sequence[str | Text | None]:
    notes = (" *" if each.get("critical") else "") + (" (muted)" if each.get("muted") else "")
    return (
        _decided(each) if each.get("judged") is not False else Text("not judged", style="dim"),
        *((each.get("variant"),) if several else ()),
        title(each) + notes,
        place(each),
        measured(each, each.get("original")),
        measured(each, each.get("shadow")),
        effect(each, each.get("effect")),
        interval(each),
        bound(each),
        figure(each.get("pairs")),
        figure(each["pairsNeeded"]) if each.get("pairsNeeded") else "",
    )


def waiting(items: Sequence[JSON], *, width: int) -> Fitting:
    """Return checks as a table with a picture each: the interval, the effect in it, and the limit.

    Args:
        items: the checks.
        width: of the terminal; a narrow one has no pictures.
    """
    drawn = _pictures(items) if width >= DRAWN else [None for _ in items]
    return Fitting(
        ("DECISION", "CHECK", "WHERE", "NOW", "INTERVAL", *(("",) if width >= DRAWN else ()), "AT MOST", "NEEDED"),
        (
            (
                _decided(each),
                title(each),
                place(each),
                effect(each, each.get("effect")),
                interval(each),
                *((picture,) if width >= DRAWN else ()),
                bound(each),
                figure(each["pairsNeeded"]) if each.get("pairsNeeded") else "",
            )
            for each, picture in zip(items, drawn, strict=True)
        ),
    )


def _pictures(items: Sequence[JSON]) -> list[Text | None]:
    """Return the interval of each check as a line of characters; all of one metric have one scale."""
    kinds = [(each.get("variant"), each.get("name")) for each in items]
    made: list[Text | None] = [None for _ in items]
    for kind in dict.fromkeys(kinds):
        alike = [at for at, each in enumerate(kinds) if each == kind]
        for at, bar in zip(alike, bars([items[at] for at in alike]), strict=True):
            made[at] = None if bar is None else _picture(bar, STYLES[_decided(items[at])])
    return made


def _picture(bar: Bar, style: str) -> Text:
    line = Text("─" * CELLS, style="dim")
    left, right, effect_at, limit_at = (
        min(CELLS - 1, int(x / WIDTH * CELLS)) for x in (bar.left, bar.right, bar.effect, bar.limit)
    )
    marks = dict.fromkeys(range(left, right + 1), ("━", style))
    marks[limit_at] = ("┃", "red")
    marks[effect_at] = ("●", style)
    return Text.assemble(*(marks.get(at, (character, "dim")) for at, character in enumerate(line.plain)))


def _decided(each: JSON) -> str:
    found = str(each.get("decision"))
    return found if found in DECISIONS else INCONCLUSIVE


def _beside(found: JSON) -> Iterator[Text]:
    harm = found.get("harm") or {}
    if told := missing(found.get("missing")):
        yield Text(told, "yellow")
    if harm.get("decision") == "HARM":
        yield Text(f"the mirroring harms the original: {clean(str(harm.get('reason')))}", style="red")
    if (found.get("resilience") or {}).get("summary"):
        yield Text(clean(f"under faults: {found['resilience']['summary']}"))


def progress(look: Look, *, width: int) -> Iterator[RenderableType]:
    """Return how the waiting goes, for a terminal."""
    subject = look.subject
    left = f"{span(look.left)} left"
    if look.requests is not None:
        left = f"{figure(look.requests)} requests, {left}"
    if subject is None:
        yield Text.assemble("waiting for a manager, ", left)
    else:
        more = f", about {figure(needed(subject))} more needed" if needed(subject) else ""
        yield Text.assemble(headline(subject), f"{more}, {left}")
        shown = sorted(critical(subject), key=lambda each: DECISIONS.index(_decided(each)))
        if shown:
            yield waiting(shown[:SHOWN], width=width)
        elif subject.reasons:
            yield Text(f"  {clean(subject.reasons[0])}", style="dim")
        if len(shown) > SHOWN:
            yield Text(f"and {len(shown) - SHOWN} more critical checks", style="dim")
    if look.away:
        yield Text(clean(f"not reached: {look.away}"), style="red")
    if look.hint:
        yield Text(clean(look.hint), style="yellow")


def line(look: Look) -> str:
    """Return how the waiting goes, for a log."""
    subject = look.subject
    parts = [subject.decision if subject else "waiting for a manager"]
    if look.requests is not None:
        parts.append(f"{figure(look.requests)} requests")
    if subject:
        parts.append(f"{figure(subject.verdict.get('pairs') or 0)} pairs")
        parts += [f"about {figure(needed(subject))} more needed"] if needed(subject) else []
    parts.append(f"{span(look.left)} left")
    if look.away:
        parts.append(f"not reached: {look.away}")
    elif look.hint:
        parts.append(look.hint)
    elif subject and subject.reasons:
        parts.append(subject.reasons[0])
    return clean(", ".join(parts))
