"""The tables at the end, which a person understands at once.

Guarantees: pure: what was read goes in, what rich can print comes out. Fits 80 columns, and ASCII; from 110 columns on
the examples are in the table.
Not guaranteed: the layout.
"""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from xds_server.analysis.diff.looks import CLOCK
from xds_server.demo.findings import Finding, is_slower
from xds_server.demo.load import Phase, Tally
from xds_server.demo.reading import Difference, Endpoint, Reading
from xds_server.demo.scenario import FAIL, PASS, RIGHT, Outcome

WIDE = 110
"""Columns from which the examples have room in the table."""
EXAMPLE = 26
"""Characters of an example's value."""
REASONS = 3
"""Reasons of a verdict that are shown; the report has all."""
FIELDS = 3
"""Fields that are named where the reasons name none."""
WORDS = {
    "status": "another status",
    "type": "another type",
    "value": "another value",
    "missing": "missing",
    "extra": "added",
    "array_order": "another order",
    "array_length": "another length",
    "header": "another value",
    "same_kind": "another value",
}
"""The classes of difference in plain words; others are shown as they are called."""


def report(outcome: Outcome, *, width: int = WIDE) -> Iterator[RenderableType]:
    """Yield the whole report, top to bottom, for a console of `width` columns."""
    reading, tally = outcome.reading, outcome.tally
    yield _title("What version 2 answers differently")
    yield differences(reading.endpoints, examples=width >= WIDE)
    if width < WIDE:
        yield examples(reading.endpoints)
    yield _title("Cancelled as noise: how often shadow and control differ from the original there")
    yield noise(reading.endpoints, words=width >= WIDE)
    yield _below(
        "control: a second version 1, asked the same, differs just so. looks: a value of a kind that is known."
    )
    yield _title("Response times side by side: ms from the request sent to the first byte back")
    yield response_times(reading.endpoints)
    yield _title("What clients saw: every answer compared, bit for bit, with the one known before")
    yield clients(tally)
    yield _below(
        "Its noise too: a random id by its form, a time by the moment it was asked; the rest follows from that id.",
        "Everything shares this machine; `make bench` measures what mirroring costs.",
    )
    yield _title("In numbers")
    yield summary(reading, tally)
    yield _title("Planted bugs")
    yield bugs(outcome.findings)
    yield amiss(outcome)
    yield _title("May it be shipped?")
    yield verdicts(outcome)
    yield last_line(outcome)


def differences(endpoints: Sequence[Endpoint], *, examples: bool) -> Table:
    """Return the table of what version 2 answers differently, with an example of each when there is room."""
    table = _table("endpoint", "field", "difference")
    _numbers(table, "pairs", "share")
    for column in ("e.g. original", "e.g. shadow") if examples else ():
        table.add_column(column, overflow="fold")
    for endpoint in _ordered(endpoints):
        rows = [_row(difference, endpoint) for difference in endpoint.differences]
        old, new = endpoint.original.p50, endpoint.shadow.p50
        if is_slower(old, new):
            pairs = f"{endpoint.pairs}"
            rows.append((_bold("response time"), _yellow("slower"), pairs, "", f"{_ms(old)} ms", f"{_ms(new)} ms"))
        for number, row in enumerate(rows or [("", Text("none", style="green"), f"0 of {endpoint.pairs}", "", "", "")]):
            table.add_row(endpoint.name if number == 0 else "", *(row if examples else row[:4]))
    return table


def examples(endpoints: Sequence[Endpoint]) -> Text:
    """Return an example of each difference, where the table has no room for them."""
    lines = []
    for endpoint in _ordered(endpoints):
        for difference in endpoint.differences:
            *_, old, new = _row(difference, endpoint)
            lines.append(Text.assemble(" e.g. ", _bold(difference.field), ": ", old, " -> ", new))
    return Text("\n").join([*lines, Text("")])


def noise(endpoints: Sequence[Endpoint], *, words: bool) -> Table:
    """Return the table of what was cancelled, with both rates and why; `words` for what differs when there is room."""
    table = _table("endpoint", "field", *(("difference",) if words else ()))
    _numbers(table, *(("shadow differs", "control differs") if words else ("shadow", "control")))
    table.add_column("why")
    for endpoint in sorted(endpoints, key=lambda each: each.name):
        for number, found in enumerate(sorted(endpoint.cancelled, key=lambda each: each.field)):
            what = "timestamp" if found.what == CLOCK else found.what
            word = f"another {what}" if what else WORDS.get(found.kind, found.kind)
            rates = (_rate(found.shadow_rate), _rate(found.control_rate))
            name = endpoint.name if number == 0 else ""
            table.add_row(name, found.field, *((word,) if words else ()), *rates, why(found))
    return table


def why(difference: Difference) -> str:
    """Tell by what a difference was cancelled."""
    measured, recognised = difference.nature == "noise", bool(difference.what)
    return ", ".join(word for word, holds in (("control", measured), ("looks", recognised)) if holds)


def response_times(endpoints: Sequence[Endpoint]) -> Table:
    """Return the table of response times, side by side."""
    table = _table("endpoint")
    _numbers(table, "original p50", "shadow p50", "original p99", "shadow p99")
    for endpoint in _ordered(endpoints):
        old, new = endpoint.original, endpoint.shadow
        table.add_row(endpoint.name, _ms(old.p50), _slower(old.p50, new.p50), _ms(old.p99), _slower(old.p99, new.p99))
    return table


def clients(tally: Tally) -> Table:
    """Return the table of what clients saw, phase by phase."""
    table = _table("phase")
    _numbers(table, "requests", "p50 ms", "p99 ms", "clients hurt")
    for phase in tally.phases:
        if phase.requests:
            hurt = Text(str(phase.hurt), style="bold red" if phase.hurt else "green")
            times = (_ms(_quantile(phase, share)) for share in (0.5, 0.99))
            table.add_row(phase.name, str(phase.requests), *times, hurt)
    return table


def summary(reading: Reading, tally: Tally) -> Table:
    """Return the table of everything that is one number."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    lost = ", ".join(f"{name} {count}" for name, count in reading.lost.items()) or "none"
    told = f"{reading.identical} alike, {reading.noisy} differ by noise alone, {reading.differing} different"
    table.add_row("pairs compared", f"{reading.pairs} ({told})")
    table.add_row("noise", reading.how_measured.removeprefix("noise was "))
    table.add_row("pairs lost", lost)
    if others := {name: count for name, count in reading.not_judged.items() if name != "injected"}:
        table.add_row("not judged", ", ".join(f"{name} {count}" for name, count in others.items()))
    faults = f"{reading.aborted} copies aborted and {reading.delayed} delayed, no client's request"
    table.add_row("faults injected", faults)
    if reading.cpu is not None and reading.memory is not None:
        table.add_row("shadow used", f"{reading.cpu:.2f} CPU cores, {reading.memory / 2**20:.0f} MiB of memory")
    style = "bold red" if tally.hurt else "bold green"
    table.add_row("clients hurt", Text(f"{tally.hurt} of {tally.requests}", style=style))
    for example in tally.hurt_examples:
        table.add_row("", Text(example, style="red"))
    return table


def bugs(findings: Sequence[Finding]) -> Table:
    """Return the check list of the planted bugs."""
    table = _table("", "bug", "seen as")
    for finding in findings:
        mark = Text("found", style="bold green") if finding.found else Text("NOT FOUND", style="bold red")
        table.add_row(mark, finding.bug, finding.evidence)
    return table


def amiss(outcome: Outcome) -> Text:
    """Return a line for each difference that nobody planted, and for each noise that was not cancelled."""
    lines = [f"not planted: {alarm}" for alarm in outcome.false_alarms]
    lines += [f"noise not cancelled: {check.bug}" for check in outcome.noise if not check.found]
    return Text("".join(f"{line}\n" for line in lines), style="bold red")


def verdicts(outcome: Outcome) -> Table:
    """Return the verdict on each version, with its reasons."""
    table = _table("version", "verdict")
    _numbers(table, "pairs")
    table.add_column("why", overflow="fold")
    for version, found in outcome.verdicts.items():
        told = [*found.reasons[:REASONS]]
        if (left := len(found.reasons) - REASONS) > 0:
            told.append(f"and {left} more reasons")
        if found.decision == FAIL and (worst := worst_fields(outcome.readings[version], told)):
            told.append(f"what differs most: {worst}")
        if found.under_faults:
            told.append(found.under_faults)
        style = "bold green" if found.decision == PASS else "bold red"
        if found.decision != RIGHT[version]:
            told.insert(0, f"WRONG: it should be {RIGHT[version]}")
        table.add_row(
            f"version {version}", Text(found.decision or "none", style=style), f"{found.pairs}", told[0] if told else ""
        )
        for reason in told[1:]:
            table.add_row("", "", "", reason)
    return table


def worst_fields(reading: Reading, told: Sequence[str]) -> str:
    """Return the fields that differ most, with their endpoints; empty where what is told names a field with its own."""
    found = [(each, endpoint.name) for endpoint in reading.endpoints for each in endpoint.differences]
    if any(name in reason and difference.field in reason for difference, name in found for reason in told):
        return ""
    found.sort(key=lambda each: -each[0].share)
    return ", ".join(f"{difference.field} of {name}" for difference, name in found[:FIELDS])


def last_line(outcome: Outcome) -> Text:
    """Return the last line."""
    text = (
        f"{_of(outcome.findings)} planted bugs found, {_of(outcome.noise)} noisy fields cancelled, "
        f"false alarms: {len(outcome.false_alarms)}, clients hurt: {outcome.tally.hurt} of {outcome.tally.requests}"
    )
    said = ", ".join(f"version {version}: {found.decision or 'none'}" for version, found in outcome.verdicts.items())
    return Text(f"\n{text}\n{said}\n", style="bold green" if outcome.good else "bold red")


def _of(checks: Sequence[Finding]) -> str:
    return f"{sum(check.found for check in checks)} of {len(checks)}"


def _below(*lines: str) -> Text:
    return Text("\n".join(lines) + "\n", style="dim")


def _title(text: str) -> Text:
    return Text(f"\n{text}", style="bold")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number != 1)
    return table


def _numbers(table: Table, *columns: str) -> None:
    for column in columns:
        table.add_column(column, justify="right")


def _ordered(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    return sorted(
        endpoints,
        key=lambda e: (not e.differences, not is_slower(e.original.p50, e.shadow.p50), e.name),
    )


def _row(difference: Difference, endpoint: Endpoint) -> tuple[str | Text, ...]:
    values = (_cut(difference.original or "(absent)"), _cut(difference.shadow or "(absent)"))
    word = _yellow(WORDS.get(difference.kind, difference.kind))
    return _bold(difference.field), word, f"{difference.count} of {endpoint.pairs}", _rate(difference.share), *values


def _bold(text: str) -> Text:
    return Text(text, style="bold")


def _yellow(text: str) -> Text:
    return Text(text, style="yellow")


def _cut(text: str) -> Text:
    return Text(text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 3]}...")


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def _rate(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share:.0%}" if share >= 0.01 or not share else f"{share:.1%}"  # noqa: PLR2004 - 1 %


def _slower(old: float | None, new: float | None) -> Text:
    return Text(_ms(new), style="bold yellow" if is_slower(old, new) else "")


def _quantile(phase: Phase, share: float) -> float | None:
    times = sorted(phase.seconds)
    return times[min(len(times) - 1, int(share * len(times)))] if times else None
