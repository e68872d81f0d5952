"""The table of all trials: what clients saw beside the run without us, and what stopped the copies."""

import json
from collections.abc import Sequence
from pathlib import Path

from tests.hostile.clients import Seen
from tests.hostile.ground import Trial

FOLDER = Path(__file__).parents[2] / "build" / "hostile"
HEAD = ("shadow", "plain Envoy", "mirrored, first 5 s", "mirrored, then", "errors", "Envoy MiB more", "copies")


def write(trials: Sequence[Trial], folder: Path = FOLDER) -> None:
    """Write `table.md`, and `table.json` with the numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.json").write_text(json.dumps([_numbers(each) for each in trials], indent=1) + "\n")
    rows = [HEAD, ("---",) * len(HEAD), *map(_row, trials)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    told = "Milliseconds of whole requests: p50 / p99 / longest (how many)."
    (folder / "table.md").write_text("\n".join([*lines, "", told, ""]))


def _row(trial: Trial) -> tuple[str, ...]:
    seen = (_words(each) for each in (trial.plain, trial.new, trial.later))
    ends = ", ".join(f"{count} {how}" for how, count in trial.ends.items() if count)
    return trial.name, *seen, str(len(trial.wrong)), f"{trial.grown:.0f}", ends


def _words(seen: Seen) -> str:
    p50, p99, longest = (1000 * each for each in (seen.percentile(0.5), seen.percentile(0.99), seen.longest))
    return f"{p50:.1f} / {p99:.0f} / {longest:.0f} ({len(seen.seconds)})"


def _numbers(trial: Trial) -> dict[str, object]:
    parts = {"plain": trial.plain, "new": trial.new, "later": trial.later}
    clients = {
        name: {
            "requests": len(seen.seconds),
            "p50": seen.percentile(0.5),
            "p99": seen.percentile(0.99),
            "longest": seen.longest,
            "wrong": seen.wrong,
        }
        for name, seen in parts.items()
    }
    compared = {name: trial.comparison.get(name) for name in ("pairs", "notJudged", "lost")}
    return {"shadow": trial.name, **clients, "grownMiB": trial.grown, "copies": trial.ends, "comparison": compared}
