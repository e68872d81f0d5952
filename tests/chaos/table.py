"""The results of a campaign as tables."""

from collections.abc import Sequence

from tests.chaos import invariants
from tests.chaos.invariants import Result

BOUNDS = {
    "slowest": ("a right answer, where Envoy itself was not struck", invariants.SLOWEST),
    "stopped": ("mirroring stopped after the last word of the manager", invariants.MIRRORING_STOPPED),
    "envoy_up": ("a killed Envoy serves after its start", invariants.ENVOY_UP),
    "back": ("manager, engine and Envoy have found each other", invariants.BACK),
    "running": ("a shadow runs, from then on", invariants.RUNNING),
    "resumed": ("30 more pairs, from then on", invariants.RESUMED),
    "ttl_off": ("a shadow outlives its TTL, or its manager's return", invariants.TTL_LATE),
    "fault_off": ("a fault outlives its duration, or its manager's return", invariants.FAULT_LATE),
    "cleared": ("nothing is left, from the answer to the deletion", invariants.CLEARED),
}


def shown(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def markdown(results: Sequence[Result], *, seed: int) -> str:
    """Return the table of all points, and that of the bounds."""
    lines = [f"# Chaos, seed {seed}: {len(results)} points", "", *bounds(results), ""]
    heads = ("n", "blow", "at", "held s", "requests", "hurt", "Envoy away", *BOUNDS)
    heads += ("sent", "accounted", "exact", "leaked", "wrong")
    lines += [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for result in results:
        point = result.point
        cells: list[object] = [point.number, point.blow, point.moment, point.hold, result.requests, result.hurt]
        cells += [result.while_envoy_was_away, *(getattr(result, name) for name in BOUNDS)]
        cells += [result.sent, result.accounted, "yes" if result.exact else "", result.leaked, "; ".join(result.wrong)]
        lines.append(f"| {' | '.join(shown(cell).replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def bounds(results: Sequence[Result]) -> list[str]:
    """Return the table of the bounds and what was measured."""
    lines = ["| bound | allowed s | worst s | points |", "| --- | --- | --- | --- |"]
    for name, (what, bound) in BOUNDS.items():
        values = [value for result in results if (value := getattr(result, name)) is not None]
        lines.append(f"| {what} | {bound:g} | {shown(max(values, default=None))} | {len(values)} |")
    return lines


def summary(results: Sequence[Result]) -> str:
    """Return what came out, in a few lines."""
    exact = [result for result in results if result.exact]
    off = [abs((result.sent or 0) - (result.accounted or 0)) for result in results if not result.exact]
    hurt, away = sum(result.hurt for result in results), sum(result.while_envoy_was_away for result in results)
    counts = f"{len(results)} points, {sum(bool(result.wrong) for result in results)} wrong; "
    counts += f"{sum(result.requests for result in results)} requests, {hurt} hurt by us, {away} while Envoy was away; "
    counts += f"{sum(result.leaked for result in results)} leaked"
    copies = f"copies: {sum(result.sent or 0 for result in exact)} counted exactly at {len(exact)} points; "
    copies += f"at the others {max(off, default=0)} off at most"
    lines = [*bounds(results), "", counts, copies]
    lines += [f"wrong: {r.point.number} {r.point.blow} / {r.point.moment}: {w}" for r in results for w in r.wrong]
    return "\n".join(lines)
