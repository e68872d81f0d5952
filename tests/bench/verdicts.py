"""Can a verdict be trusted, and how soon does it come? Simulated traffic, fixed seeds, looked at after every pair.

- False alarms: a version against itself, with all margins at 0 (the hardest), in six worlds; the share of runs in which
  a check, or the whole, ever says FAIL. Beside it a Mann-Whitney judge of two series (a value a block), looked at after
  each block, as canary judges are.
- Detection: pairs until FAIL, as a median, against Wald's bound: log(1/alpha) over the divergence of a test that knows
  the truth. No test that keeps alpha can be much quicker.
- PASS: pairs until it is shown that nothing exceeds the default margins; and how often that is said of a version that
  lies exactly on one.
- Three series that canary judges have got wrong.
- Splits, whose users come and go: false alarms where some users always fail, and seconds until a worse version fails.
"""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, mannwhitneyu, norm

from tests.bench import _judges as judges
from tests.bench._judges import NEVER
from tests.bench._scale import quick
from tests.bench._table import show
from tests.bench._users import VISIT, Crowd, judged
from tests.bench._worlds import BLOCK, LIMITS, WORLDS, Drawn, Effect, Floats, World
from xds_server.model.judging import Metric

ALPHA = 0.01
ERRORS = 0.005
"""The original's own error rate, where nothing else is said."""
SEED = 20_261_126
CHUNK = 100
"""Runs held in memory at once."""


def run() -> dict[str, Any]:
    """Run all four parts, print their tables, return their figures."""
    began = time.monotonic()
    figures = {
        "alpha": ALPHA,
        "false_alarms": _false_alarms(runs=60 if quick() else 2000, pairs=500 if quick() else 3000),
        "detection": _detection(runs=20 if quick() else 300),
        "pass": _passing(runs=20 if quick() else 400, pairs=1500 if quick() else 8000),
        "known_misses": _known_misses(),
        "splits": _splits(runs=20 if quick() else 500),
    }
    figures["seconds"] = round(time.monotonic() - began, 1)
    return figures


# A version against itself.


def _false_alarms(*, runs: int, pairs: int) -> dict[str, Any]:
    names = ("error_rate", "differences", "p50", "p99", "whole", "M-W p50", "M-W errors")
    found: dict[str, Any] = {}
    rows = []
    for number, world in enumerate((*WORLDS, *LIMITS)):
        alarms = dict.fromkeys(names, 0)
        for chunk, chance in _chunks(runs, number):
            drawn = world.draw(chance, runs=chunk, pairs=pairs, errors=ERRORS, effect=Effect())
            parts = {
                "error_rate": judges.errors(drawn, 0.0),
                "differences": judges.differences(drawn, 0.0),
                "p50": judges.by_pair(judges.slower(drawn, 0.5, 1.0), pairs),
                "p99": judges.by_pair(judges.slower(drawn, 0.99, 1.0), pairs),
            }
            for name, logs in parts.items():
                alarms[name] += _said(judges.first(logs, ALPHA))
            alarms["whole"] += _said(judges.first(judges.together(list(parts.values())), ALPHA))
            alarms["M-W p50"] += _said(_unpaired_times(drawn, 0.5))
            alarms["M-W errors"] += _said(_unpaired_errors(drawn))
        found[world.name] = {name: {"alarms": count, "runs": runs} for name, count in alarms.items()}
        rows.append([world.name, *(_share(alarms[name], runs) for name in names)])
    show(
        f"Version against itself: runs that ever say FAIL, of {runs:,}, {pairs:,} pairs each, alpha {ALPHA:.0%}",
        ["world", *names],
        rows,
        notes=[
            "upper ends of 95 % intervals in brackets; our goal is 1.0 % or less",
            "margins are 0 and ratios 1: at the default margins an equally good version is further from a FAIL",
            "evidence is of the same sums as the manager's, without endpoints; missing copies fall in their block",
        ],
    )
    return found


# A version that is worse.


@dataclass(frozen=True, slots=True)
class Worse:
    """A version that is worse by one metric; of response times, `q` is which of them is looked at."""

    name: str
    metric: Metric
    effect: Effect
    pairs: int
    errors: float = ERRORS
    """The original's rate."""
    q: float = 0.5


WORSE = (
    Worse("+0.5 % errors, original 0 %", Metric.ERROR_RATE, Effect(errors=0.005), 12_000, errors=0.0),
    Worse("+0.5 % errors, original 0.5 %", Metric.ERROR_RATE, Effect(errors=0.005), 20_000),
    Worse("field differs in 0.1 %", Metric.DIFFERENCE_RATE, Effect(differs=0.001), 40_000),
    Worse("+10 % at p50", Metric.RESPONSE_TIME, Effect(slower=1.1), 8_000),
    Worse("+10 % at p99", Metric.RESPONSE_TIME, Effect(slower=1.1), 150_000, q=0.99),
)


def _detection(*, runs: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rows = []
    for worse in WORSE:
        for number, world in enumerate(WORLDS[:1] if quick() else WORLDS):
            figures = _detected_in(world, worse, runs=runs, stream=100 + number)
            found[f"{worse.name}; {world.name}"] = figures
            ratio = figures["ratio"]
            rows.append(
                [
                    worse.name,
                    world.name,
                    _pairs(figures["median_pairs"]),
                    f"{figures['wald']:,.0f}",
                    "-" if ratio is None else f"{ratio:.2f}" + ("" if figures["within_goal"] else " (above 2)"),
                    f"{figures['found']:.0%}",
                    _pairs(figures["mann_whitney_median_pairs"]),
                ]
            )
    show(
        f"A worse version: median pairs until FAIL at alpha {ALPHA:.0%}, margin 0",
        ["worse by", "world", "pairs", "Wald", "ratio", "found", "Mann-Whitney"],
        rows,
        notes=[
            "Wald: log(1/alpha) / divergence; for times it knows the exceedance probabilities at the true quantile, of",
            "answers that do not depend on each other. Goal: at most twice that in the independent world.",
            "Wald's rates are those of the usual load: where load and hour move them, the bound is a rough one.",
            "One check alone, at 1/alpha; of four that share a verdict, each needs four times the evidence.",
            "Mann-Whitney (it sees 10,000 pairs at most) is fast where it raises false alarms (see above); - is never.",
        ],
    )
    return found


def _detected_in(world: World, worse: Worse, *, runs: int, stream: int) -> dict[str, Any]:
    runs = max(10, runs * 10_000 // max(10_000, worse.pairs))
    mine: list[int] = []
    other: list[int] = []
    for chunk, chance in _chunks(runs, stream, size=max(5, 1_000_000 // worse.pairs)):
        drawn = world.draw(chance, runs=chunk, pairs=worse.pairs, errors=worse.errors, effect=worse.effect)
        mine += _detected(worse, drawn).tolist()
        other += _unpaired(worse, drawn).tolist()
    bound = math.log(1 / ALPHA) / _divergence(worse, world)
    median = _median(mine)
    return {
        "runs": runs,
        "median_pairs": median,
        "wald": float(bound),
        "ratio": None if median is None else float(median / bound),
        "found": sum(each < NEVER for each in mine) / runs,
        "mann_whitney_median_pairs": _median(other),
        "within_goal": median is not None and bool(median / bound <= 2),
    }


def _detected(worse: Worse, drawn: Drawn) -> NDArray[np.int64]:
    if worse.metric is Metric.ERROR_RATE:
        return judges.first(judges.errors(drawn, 0.0), ALPHA)
    if worse.metric is Metric.DIFFERENCE_RATE:
        return judges.first(judges.differences(drawn, 0.0), ALPHA)
    return judges.first(judges.slower(drawn, worse.q, 1.0), ALPHA, each=BLOCK)


def _unpaired(worse: Worse, drawn: Drawn) -> NDArray[np.int64]:
    if worse.metric is Metric.ERROR_RATE:
        return _unpaired_errors(drawn)
    if worse.metric is Metric.DIFFERENCE_RATE:
        shadow = judges.series(np.logical_or.reduce(drawn.fields_shadow), lambda v: v.mean(axis=2))
        control = judges.series(np.logical_or.reduce(drawn.fields_control), lambda v: v.mean(axis=2))
        return judges.mann_whitney(*_fewer(control, shadow), ALPHA)
    return _unpaired_times(drawn, worse.q)


def _unpaired_times(drawn: Drawn, q: float) -> NDArray[np.int64]:
    original = judges.series(drawn.time_original, lambda v: np.quantile(v, q, axis=2))
    shadow = judges.series(drawn.time_shadow, lambda v: np.quantile(v, q, axis=2))
    return judges.mann_whitney(*_fewer(original, shadow), ALPHA)


def _unpaired_errors(drawn: Drawn) -> NDArray[np.int64]:
    original = judges.series(drawn.failed_original, lambda v: v.mean(axis=2))
    shadow = judges.series(drawn.failed_shadow & drawn.delivered, lambda v: v.mean(axis=2))
    return judges.mann_whitney(*_fewer(original, shadow), ALPHA)


def _fewer(original: Floats, shadow: Floats) -> tuple[Floats, Floats]:
    """Take at most 400 blocks, or the judge takes for ever."""
    return original[:, :400], shadow[:, :400]


def _divergence(worse: Worse, world: World) -> float:
    effect, errors, q = worse.effect, worse.errors, worse.q
    if worse.metric is Metric.ERROR_RATE:
        return _discordant((errors + effect.errors) * (1 - errors), errors * (1 - errors - effect.errors))
    if worse.metric is Metric.DIFFERENCE_RATE:
        return _discordant(effect.differs, 0.0)
    exceeds = _exceedance(world, q, math.log(effect.slower))
    return _discordant(exceeds * q, (1 - exceeds) * (1 - q))


def _discordant(up: float, down: float) -> float:
    """Return the least divergence from the truth to a version that is no worse: both outcomes equally likely."""
    both = up + down
    return sum(p * math.log(2 * p / both) for p in (up, down) if p > 0)


def _exceedance(world: World, q: float, more: float) -> float:
    """Return how often the shadow exceeds the original's true quantile."""
    if world.name == "heavy tails":
        return min(1.0, (1 - q) * math.exp(1.1 * more))
    spread = {"bursts, autocorrelated": math.sqrt(0.7**2 + 0.3**2 + 0.3**2)}.get(world.name, 0.4)
    return float(norm.sf(norm.ppf(q) - more / spread))


# A version that is as good.


def _passing(*, runs: int, pairs: int) -> dict[str, Any]:
    checks = {
        "error_rate, maxIncrease 1 %": (Effect(errors=0.01), lambda d: judges.no_more_errors(d, 0.01), 1),
        "difference_rate, maxRate 1 %": (Effect(differs=0.01), lambda d: judges.differing(d, 0.01), 1),
        "response_time p50, maxRatio 1.25": (
            Effect(slower=1.25),
            lambda d: judges.slower(d, 0.5, 1.25, sign=-1),
            BLOCK,
        ),
        "response_time p99, maxRatio 1.5": (Effect(slower=1.5), lambda d: judges.slower(d, 0.99, 1.5, sign=-1), BLOCK),
    }
    found: dict[str, Any] = {}
    rows = []
    for number, (check, (edge, evidence, each)) in enumerate(checks.items()):
        good: list[int] = []
        wrong = 0
        for chunk, chance in _chunks(runs, 200 + number):
            drawn = WORLDS[0].draw(chance, runs=chunk, pairs=pairs, errors=ERRORS, effect=Effect())
            good += judges.first(evidence(drawn), ALPHA, each=each).tolist()
            at_edge = WORLDS[0].draw(chance, runs=chunk, pairs=pairs, errors=ERRORS, effect=edge)
            wrong += _said(judges.first(evidence(at_edge), ALPHA, each=each))
        found[check] = {"median_pairs": _median(good), "false_pass": wrong / runs, "runs": runs}
        rows.append([check, _pairs(_median(good)), f"{sum(g < NEVER for g in good) / runs:.0%}", _share(wrong, runs)])
    show(
        f"An equally good version: median pairs until PASS at alpha {ALPHA:.0%}, the original fails in {ERRORS:.1%}",
        ["check", "pairs", "passed", "passed though exactly at the margin"],
        rows,
    )
    return found


# Series that were judged wrong before.


def _known_misses() -> dict[str, Any]:
    chance = np.random.default_rng(SEED)
    tied = _with_errors(chance, blocks=300, original=(6, 1), shadow=(12, 20))
    slight = WORLDS[0].draw(chance, runs=1, pairs=30_000, errors=0.0, effect=Effect(slower=1.03))
    gone = WORLDS[0].draw(chance, runs=1, pairs=3000, errors=ERRORS, effect=Effect())
    lost = replace(gone, delivered=chance.random((1, 3000)) > 0.6)
    cases = (
        ("240 errors against 6, most samples tied at zero", _fixed_errors(tied), tied, "FAIL"),
        ("3 % slower: of no account, but significant", _fixed_times(slight), slight, "PASS"),
        ("60 % of the data missing", _fixed_errors(lost), lost, "not PASS"),
    )
    rows = [[name, unpaired, _verdict(drawn), right] for name, unpaired, drawn, right in cases]
    show("Series that canary judges have got wrong", ["series", "Mann-Whitney at the end", "ours", "right"], rows)
    return {row[0]: {"mann_whitney": row[1], "ours": row[2], "right": row[3]} for row in rows}


# Splits.

ALIKE = (
    Crowd("nobody fails"),
    Crowd("1 % of the users fail in half of their requests", unlucky=0.01, unluckily=0.5),
    Crowd("1 % of the users fail always", unlucky=0.01),
    Crowd("the same, weight 10 %", unlucky=0.01, weight=0.1),
)
WORSE_SPLITS = (
    Crowd("fails always", failing=1.0),
    Crowd("fails always, weight 5 %", failing=1.0, weight=0.05),
    Crowd("fails always, weight 95 %", failing=1.0, weight=0.95),
    Crowd("fails 5 % of the requests", failing=0.05),
    Crowd("fails 5 % of the requests, weight 10 %", failing=0.05, weight=0.1),
)


def _splits(*, runs: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    rows = []
    for crowd in (*ALIKE, *WORSE_SPLITS):
        seen = [judged(crowd, SEED + seed) for seed in range(runs if crowd in ALIKE else max(10, runs // 5))]
        sides = [[each.by_requests for each in seen], [each.by_both for each in seen]]
        cells, figures = [], {}
        for side, seconds in zip(("requests", "users_too"), sides, strict=True):
            failed = [each for each in seconds if each is not None]
            figures[side] = {"failed": len(failed), "median_seconds": _median_of(failed)}
            cells.append(_share(len(failed), len(seen)))
            cells.append("-" if not failed or crowd in ALIKE else f"{_median_of(failed):.0f} s")
        found[crowd.name] = {"runs": len(seen), **figures}
        rows.append(["even" if crowd in ALIKE else "worse", crowd.name, *cells])
    show(
        f"Splits, two minutes, {ALIKE[0].a_second:g} new users a second who ask {VISIT} times: FAIL at a limit of 1 %",
        ["version", "world", "by requests", "after", "by users too", "after"],
        rows,
        notes=[
            "by users too: what is used; a false alarm is a FAIL of a version that is even; our goal is 1 % or less"
        ],
    )
    return found


def _median_of(values: list[int]) -> float | None:
    return float(np.median(values)) if values else None


def _with_errors(
    chance: np.random.Generator, *, blocks: int, original: tuple[int, int], shadow: tuple[int, int]
) -> Drawn:
    """Draw a run without errors, and put so many errors into each of so many blocks of each leg."""
    drawn = WORLDS[0].draw(chance, runs=1, pairs=blocks * BLOCK, errors=0.0, effect=Effect())
    for failed, (hit, each) in ((drawn.failed_original, original), (drawn.failed_shadow, shadow)):
        for block in chance.choice(blocks, hit, replace=False):
            failed[0, block * BLOCK + chance.choice(BLOCK, each, replace=False)] = True
    return drawn


def _fixed_errors(drawn: Drawn) -> str:
    legs = [np.where(drawn.delivered, failed, np.nan) for failed in (drawn.failed_original, drawn.failed_shadow)]
    return _fixed(*(judges.series(leg, lambda v: np.nanmean(v, axis=2)) for leg in legs))


def _fixed_times(drawn: Drawn) -> str:
    return _fixed(
        *(judges.series(leg, lambda v: np.median(v, axis=2)) for leg in (drawn.time_original, drawn.time_shadow))
    )


def _fixed(original: Floats, shadow: Floats) -> str:
    """Return what a Mann-Whitney test of two series says, looked at once, at the end."""
    p = mannwhitneyu(shadow[0], original[0], alternative="greater", method="asymptotic").pvalue
    return f"{'FAIL' if p < ALPHA else 'PASS'} (p = {p:.3f})"


def _verdict(drawn: Drawn) -> str:
    """Say what error rate (limit 0.5 %) and p50 (limit 1.25) come to at the end of the one run."""
    target = math.log(1 / ALPHA)
    failing = [judges.first(judges.errors(drawn, 0.005), ALPHA), judges.first(judges.slower(drawn, 0.5, 1.25), ALPHA)]
    if any(_said(each) for each in failing):
        return "FAIL"
    passing = [judges.no_more_errors(drawn, 0.005), judges.slower(drawn, 0.5, 1.25, sign=-1)]
    return "PASS" if all(each[0, -1] >= target for each in passing) else "INCONCLUSIVE"


def _chunks(runs: int, stream: int, *, size: int = CHUNK) -> list[tuple[int, np.random.Generator]]:
    sizes = [min(size, runs - start) for start in range(0, runs, size)]
    return [(count, np.random.default_rng((SEED, stream, index))) for index, count in enumerate(sizes)]


def _said(found: NDArray[np.int64]) -> int:
    return int((found < NEVER).sum())


def _median(found: list[int]) -> int | None:
    """Return the median; None: never."""
    value = sorted(found)[len(found) // 2]
    return None if value == NEVER else value


def _pairs(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _share(count: int, runs: int) -> str:
    upper = float(beta.ppf(0.975, count + 1, runs - count)) if count < runs else 1.0
    return f"{count / runs:.1%} [{upper:.1%}]"
