"""Worlds of traffic in which a verdict is tried: what original, shadow and control answer, pair by pair.

Everything is drawn for many runs at once: arrays of shape (runs, pairs). In each world original, shadow and control are
one and the same version unless an effect is asked for; what they share (load, time of day) hits all of them alike.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BLOCK = 25
"""Pairs of a time block."""
NOISE = (0.5, 0.05, 0.005)
"""How often the noisy fields of the world `noise` differ from the original's."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What the new version does worse: more errors (a share), slower by a factor, another value in a share."""

    errors: float = 0.0
    slower: float = 1.0
    differs: float = 0.0


@dataclass(frozen=True, slots=True)
class Drawn:
    """One drawing. Times are natural logarithms of seconds."""

    failed_original: Flags
    failed_shadow: Flags
    time_original: Floats
    time_shadow: Floats
    fields_shadow: tuple[Flags, ...]
    """By field: where the shadow differs from the original."""
    fields_control: tuple[Flags, ...]
    delivered: Flags
    """Where the copy's record came."""


@dataclass(frozen=True, slots=True)
class World:
    """How the traffic behaves. `load` is drawn once for all legs, `own` once for each; both are added to log time."""

    name: str
    load: Callable[[np.random.Generator, int, int], Floats]
    own: Callable[[np.random.Generator, int, int], Floats]
    noise: tuple[float, ...] = ()
    lost: float = 0.0
    """Share of copies that are not delivered; failing and slow ones four times as often as others."""
    outage: int = 0
    """Pairs that a leg's own outage lasts, on average; errors come in these alone then."""

    def draw(self, chance: np.random.Generator, *, runs: int, pairs: int, errors: float, effect: Effect) -> Drawn:
        """Draw so many runs; `errors` is the original's error rate while the load is as usual."""
        load = self.load(chance, runs, pairs)
        rate = np.minimum(0.5, errors * np.exp(load))
        original, shadow = self.own(chance, runs, pairs), self.own(chance, runs, pairs)
        failed = self._failing(chance, rate) | (chance.random((runs, pairs)) < effect.errors)
        slow = shadow > np.quantile(shadow, 0.9)
        lost = self.lost * np.where(failed | slow, 4.0, 1.0) / (1 + 3 * 0.1)
        changed = [chance.random((runs, pairs)) < effect.differs] if effect.differs else []
        return Drawn(
            failed_original=self._failing(chance, rate),
            failed_shadow=failed,
            time_original=load + original,
            time_shadow=load + shadow + np.log(effect.slower),
            fields_shadow=(*(chance.random((runs, pairs)) < share for share in self.noise), *changed),
            fields_control=(
                *(chance.random((runs, pairs)) < share for share in self.noise),
                *(np.zeros_like(each) for each in changed),
            ),
            delivered=chance.random((runs, pairs)) >= lost,
        )

    def _failing(self, chance: np.random.Generator, rate: Floats) -> Flags:
        if not self.outage:
            return chance.random(rate.shape) < rate
        begins = chance.random(rate.shape) < rate / self.outage
        failing = np.zeros(rate.shape, dtype=bool)
        left = np.zeros(rate.shape[0], dtype=np.int64)
        for index in range(rate.shape[1]):
            left = np.where(begins[:, index], chance.geometric(1 / self.outage, rate.shape[0]), np.maximum(left - 1, 0))
            failing[:, index] = left > 0
        return failing


def _still(_chance: np.random.Generator, runs: int, pairs: int) -> Floats:
    return np.zeros((runs, pairs))


def _lognormal(chance: np.random.Generator, runs: int, pairs: int) -> Floats:
    return chance.normal(0.0, 0.4, (runs, pairs))


def _heavy(chance: np.random.Generator, runs: int, pairs: int) -> Floats:
    """Pareto with index 1.1: a finite mean, no variance."""
    return chance.exponential(1 / 1.1, (runs, pairs))


def _autocorrelated(keep: float, spread: float) -> Callable[[np.random.Generator, int, int], Floats]:
    def draw(chance: np.random.Generator, runs: int, pairs: int) -> Floats:
        values = np.empty((runs, pairs))
        value = chance.normal(0.0, spread, runs)
        fresh = spread * np.sqrt(1 - keep * keep)
        for index, step in enumerate(chance.normal(0.0, fresh, (pairs, runs))):
            value = keep * value + step
            values[:, index] = value
        return values

    return draw


def _drifting(chance: np.random.Generator, runs: int, pairs: int) -> Floats:
    """A day: up and down by a factor of two, beginning anywhere."""
    begin = chance.uniform(0.0, 2 * np.pi, (runs, 1))
    return 0.7 * np.sin(begin + 2 * np.pi * np.arange(pairs) / pairs)


def _bursty(chance: np.random.Generator, runs: int, pairs: int) -> Floats:
    """Each leg's own slow moments, 5 pairs long on average, on top of each answer's own chance."""
    return _autocorrelated(0.8, 0.3)(chance, runs, pairs) + chance.normal(0.0, 0.3, (runs, pairs))


WORLDS = (
    World("independent", _still, _lognormal),
    World("bursts, autocorrelated", _autocorrelated(0.98, 0.7), _bursty),
    World("heavy tails", _still, _heavy),
    World("drift during the day", _drifting, _lognormal),
    World("noise, with a control", _still, _lognormal, noise=NOISE),
    World("5 % undelivered", _still, _lognormal, lost=0.05),
)

LIMITS = (World("one leg's outages of 10 pairs", _still, _lognormal, outage=10),)
"""Where pairs alone are not enough: an error makes the next one of the same leg likelier."""
