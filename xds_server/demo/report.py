"""The tables at the end, which a person understands at once.

Guarantees: pure: what was read goes in, what rich can print comes out. Fits 120 columns, also in ASCII.
Not guaranteed: the layout.
"""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from xds_server.demo.findings import Finding, unexpected
from xds_server.demo.load import Phase, Tally
from xds_server.demo.reading import Difference, Endpoint, Reading
from xds_server.demo.scenario import Outcome

EXAMPLE = 30
"""Characters of an example's value."""
SLOWER = 2.0
"""Ratio of the medians from which a response time is marked."""
MARK_SECONDS = 0.01


def report(outcome: Outcome) -> Iterator[RenderableType]:
    """Yield the whole report, top to bottom."""
    yield differences(outcome.reading.endpoints)
    yield response_times(outcome.reading.endpoints)
    yield clients(outcome.tally)
    yield summary(outcome.reading, outcome.tally)
    yield bugs(outcome.findings)
    yield from false_alarms(outcome.reading)
    yield verdict(outcome)


def differences(endpoints: Sequence[Endpoint]) -> Table:
    """Return the table of what version 2 answers differently."""
    table = _table("What version 2 answers differently", "endpoint", "field", "difference")
    _numbers(table, "pairs", "differ", "share")
    table.add_column("example: original", overflow="fold", max_width=EXAMPLE)
    table.add_column("shadow", overflow="fold", max_width=EXAMPLE)
    for endpoint in _ordered(endpoints):
        if not endpoint.differences:
            table.add_row(endpoint.name, Text("all alike", style="green"), "", str(endpoint.pairs), "0", "", "", "")
        for number, difference in enumerate(endpoint.differences):
            name, pairs = (endpoint.name, str(endpoint.pairs)) if number == 0 else ("", "")
            table.add_row(name, Text(difference.field, style="bold"), *_kind(difference, pairs))
    return table


def response_times(endpoints: Sequence[Endpoint]) -> Table:
    """Return the table of response times, side by side."""
    table = _table("Response times, side by side (ms, from the request sent to the first byte back)", "endpoint")
    _numbers(table, "original p50", "shadow p50", "original p99", "shadow p99")
    for endpoint in _ordered(endpoints):
        old, new = endpoint.original, endpoint.shadow
        table.add_row(
            endpoint.name,
            *(_ms(old.p50), _slower(old.p50, new.p50), _ms(old.p99), _slower(old.p99, new.p99)),
        )
    return table


def clients(tally: Tally) -> Table:
    """Return the table of what clients saw, phase by phase."""
    table = _table("What clients saw (every answer compared with the one known in advance, bit for bit)", "phase")
    _numbers(table, "requests", "p50 ms", "p99 ms", "clients hurt")
    for phase in tally.phases:
        if phase.requests:
            hurt = Text(str(phase.hurt), style="bold red" if phase.hurt else "green")
            table.add_row(
                phase.name, str(phase.requests), _ms(_quantile(phase, 0.5)), _ms(_quantile(phase, 0.99)), hurt
            )
    return table


def summary(reading: Reading, tally: Tally) -> Table:
    """Return the table of everything that is one number."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    lost = ", ".join(f"{name} {count}" for name, count in reading.lost.items()) or "none"
    table.add_row("pairs compared", f"{reading.pairs} ({reading.identical} alike, {reading.differing} different)")
    table.add_row("pairs lost", lost)
    if others := {name: count for name, count in reading.not_judged.items() if name != "injected"}:
        table.add_row("not judged", ", ".join(f"{name} {count}" for name, count in others.items()))
    table.add_row("faults injected", f"into {reading.injected} copies, into no client's request")
    if reading.cpu is not None and reading.memory is not None:
        table.add_row("shadow used", f"{reading.cpu:.2f} CPU cores, {reading.memory / 2**20:.0f} MiB of memory")
    style = "bold red" if tally.hurt else "bold green"
    table.add_row("clients hurt", Text(f"{tally.hurt} of {tally.requests}", style=style))
    for example in tally.hurt_examples:
        table.add_row("", Text(example, style="red"))
    return table


def bugs(findings: Sequence[Finding]) -> Table:
    """Return the check list of the planted bugs."""
    table = _table("Planted bugs", "", "bug", "seen as")
    for finding in findings:
        mark = Text("found", style="bold green") if finding.found else Text("NOT FOUND", style="bold red")
        table.add_row(mark, finding.bug, finding.evidence)
    return table


def false_alarms(reading: Reading) -> Iterator[RenderableType]:
    """Yield one line for each difference that nobody planted."""
    for endpoint, difference in unexpected(reading):
        text = f"not planted: {endpoint.name} {difference.field} {difference.kind} ({difference.count})"
        yield Text(text, style="yellow")


def verdict(outcome: Outcome) -> Text:
    """Return the last line."""
    found = sum(finding.found for finding in outcome.findings)
    text = (
        f"\n{found} of {len(outcome.findings)} planted bugs found, "
        f"clients hurt: {outcome.tally.hurt} of {outcome.tally.requests}"
    )
    return Text(text, style="bold green" if outcome.good else "bold red")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _numbers(table: Table, *columns: str) -> None:
    for column in columns:
        table.add_column(column, justify="right")


def _ordered(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    return sorted(endpoints, key=lambda endpoint: (not endpoint.differences, endpoint.name))


def _kind(difference: Difference, pairs: str) -> tuple[str | Text, ...]:
    share = f"{difference.share:.0%}" if difference.share >= 0.01 else f"{difference.share:.1%}"  # noqa: PLR2004 - 1 %
    values = (_cut(difference.original), _cut(difference.shadow))
    return Text(difference.kind, style="yellow"), pairs, str(difference.count), share, *values


def _cut(text: str) -> Text:
    return Text(text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 3]}...")


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def _slower(old: float | None, new: float | None) -> Text:
    marked = old is not None and new is not None and new > old * SLOWER and new - old > MARK_SECONDS
    return Text(_ms(new), style="bold yellow" if marked else "")


def _quantile(phase: Phase, share: float) -> float | None:
    times = sorted(phase.seconds)
    return times[min(len(times) - 1, int(share * len(times)))] if times else None
