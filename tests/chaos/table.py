"""The results of a campaign as tables."""

from collections.abc import Sequence

from tests.chaos import invariants
from tests.chaos.invariants import Result
from tests.chaos.points import Blow

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
    """Return the tables of the bounds, of the kinds of blows, and of all points."""
    lines = [f"# Chaos, seed {seed}: {len(results)} points", "", *bounds(results), "", *kinds(results), ""]
    heads = ("n", "blow", "at", "held s", "requests", "hurt", "Envoy away", *BOUNDS)
    heads += ("sent", "accounted", "exact", "struck: sent", "accounted", "leaked", "missed", "wrong")
    lines += [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for result in results:
        point = result.point
        cells: list[object] = [point.number, point.blow, point.moment, point.hold, result.requests, result.hurt]
        cells += [result.while_envoy_was_away, *(getattr(result, name) for name in BOUNDS)]
        cells += [result.sent, result.accounted, "yes" if result.exact else ""]
        cells += [result.struck_sent, result.struck_accounted, result.leaked, result.missed, "; ".join(result.wrong)]
        lines.append(f"| {' | '.join(shown(cell).replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def kinds(results: Sequence[Result]) -> list[str]:
    """Return a row for each kind of blow, and one for all."""
    heads = ["blow", "points", "wrong", "requests", "hurt by us", "failed while Envoy was away", "leaked"]
    heads += ["lost profiles", "copies sent", "accounted", "off"]
    heads += [f"{what}, max s ({bound:g})" for what, bound in _WORST.values()]
    groups = [(str(blow), [r for r in results if r.point.blow is blow]) for blow in Blow]
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    for name, some in [*groups, ("all", list(results))]:
        if some:
            lines.append(f"| {' | '.join(shown(cell) for cell in [name, *_row(some)])} |")
    return lines


_WORST = {
    "stopped": ("mirroring stopped", invariants.MIRRORING_STOPPED),
    "resumed": ("resumed", invariants.RESUMED),
    "slowest": ("slowest answer", invariants.SLOWEST),
}


def _row(results: Sequence[Result]) -> list[object]:
    cells: list[object] = [len(results), sum(bool(each.wrong) for each in results)]
    cells += [sum(each.requests for each in results), sum(each.hurt for each in results)]
    cells += [sum(each.while_envoy_was_away for each in results), sum(each.leaked for each in results)]
    cells += [sum(each.lost_profiles for each in results)]
    cells += [sum(each.copies[number] for each in results) for number in range(3)]
    return cells + [_worst(results, name) for name in _WORST]


def _worst(results: Sequence[Result], name: str) -> float | None:
    return max((value for result in results if (value := getattr(result, name)) is not None), default=None)


def bounds(results: Sequence[Result]) -> list[str]:
    """Return the table of the bounds and what was measured."""
    lines = ["| bound | allowed s | worst s | points |", "| --- | --- | --- | --- |"]
    for name, (what, bound) in BOUNDS.items():
        values = [value for result in results if (value := getattr(result, name)) is not None]
        lines.append(f"| {what} | {bound:g} | {shown(_worst(results, name))} | {len(values)} |")
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
    struck = [abs(r.struck_sent - (r.struck_accounted or 0)) for r in results if r.struck_sent is not None]
    copies += f"; of the {len(struck)} that were struck and whose shadow was gone {max(struck, default=0)} off at most"
    lines = [*bounds(results), "", counts, copies]
    lines += [
        f"struck nothing: {r.point.number} {r.point.blow} / {r.point.moment}: {r.missed}" for r in results if r.missed
    ]
    lines += [f"wrong: {r.point.number} {r.point.blow} / {r.point.moment}: {w}" for r in results for w in r.wrong]
    return "\n".join(lines)
