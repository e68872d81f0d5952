"""Is a difference the new version's, or does the original differ from itself just so? Decided by a test on counts.

Each sampled request that a control (a second instance of the original's own version) answered too is a *trio*. Of a
field that is mere noise, shadow and control are alike: that only the shadow differs in it is then as likely as that
only the control does. So of the trios in which just one of the two differs, each is a fair coin under the hypothesis
"noise", and the test is the paired one of McNemar, in the form of a likelihood ratio that is valid at any moment, as
often as one looks: with a uniform prior over the alternatives p in [1/2, 1],

    E = 2 * integral over [1/2, 1] of (2p)^alone * (2(1-p))^control dp,

which is a supermartingale under noise (p <= 1/2), so P(E ever reaches 1/alpha) <= alpha (Ville's inequality; Robbins,
"Statistical methods related to the law of the iterated logarithm", 1970; Ramdas et al., arXiv 2210.01948).

Guarantees: pure; from counts alone, so it merges over engines and windows. All trios count, in a warm-up and under
faults too: it is about the field; what a verdict may rest on is told apart (`Evidence`).
Not guaranteed: that a real change hidden under noise of the same field and class shows when it does not make the field
differ more often; that alpha holds over all fields together (it holds for each).
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from xds_server.analysis.diff.looks import CLOCK
from xds_server.analysis.kinds import Kind
from xds_server.analysis.windows.tally import EndpointTally, Field, FieldTally

ALPHA = 0.001
"""Share of noisy fields that may ever be taken for differences, at most."""
DOUBT = 10.0
"""Evidence from which a field is no longer called noise: one noisy field in ten, at most, is ever doubted."""
_MOST = 1e300


class Nature(StrEnum):
    """What a difference is taken for."""

    REAL = "difference"
    """The new version's: nothing explains it."""
    UNDECIDED = "undecided"
    """The original differs from itself too, but not as often; by chance or not is not known yet."""
    NOISE = "noise"
    """The original differs from itself just as often."""
    RECOGNISED = "recognised"
    """A value that is another one each time, by its looks (`same_kind`); no control has contradicted it."""


OPEN = frozenset({Nature.REAL, Nature.UNDECIDED})
"""Natures of what may be the new version's doing; they are texts, so those in JSON are found here too."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a field is taken for, and why.

    The rates are shares of the trios (None without any); `evidence` is the ratio E, against noise: 1/`ALPHA` is enough.
    """

    nature: Nature
    shadow_rate: float | None
    control_rate: float | None
    evidence: float

    @property
    def counts(self) -> bool:
        """Whether pairs that differ in it are discrepancies."""
        return self.nature is Nature.REAL

    @property
    def explained(self) -> bool:
        """Whether it is nothing to look at."""
        return self.nature not in OPEN

    @property
    def proven(self) -> bool:
        """Whether noise is ruled out, at `ALPHA`; a difference that counts need not be (yet)."""
        return self.evidence >= 1 / ALPHA

    def as_json(self) -> dict[str, Any]:
        """Return why, as REST shows it."""
        return {
            "shadowRate": self.shadow_rate,
            "controlRate": self.control_rate,
            "evidence": self.evidence,
            "proven": self.proven,
        }


def judge(field: Field, tally: FieldTally, trios: int) -> Judgement:
    """Return what a field of an endpoint with so many trios is taken for."""
    both, alone, control = tally.trios
    # The trio by which a field became known is no evidence: that it is asked at all rests on it.
    proof = evidence(alone - tally.found[1], control - tally.found[2])
    differs_by_itself = both + control > 0
    if field[1] == Kind.SAME_KIND and tally.what == CLOCK:
        # In seconds or milliseconds it is another one the more often, the later a copy is answered.
        nature = Nature.NOISE if differs_by_itself else Nature.RECOGNISED
    elif proof >= 1 / ALPHA:
        nature = Nature.REAL
    elif differs_by_itself:
        nature = Nature.UNDECIDED if proof >= DOUBT else Nature.NOISE
    else:
        nature = Nature.RECOGNISED if field[1] == Kind.SAME_KIND else Nature.REAL
    return Judgement(
        nature,
        (both + alone) / trios if trios else None,
        (both + control) / trios if trios else None,
        proof,
    )


def judgements(endpoint: EndpointTally) -> dict[Field, Judgement]:
    """Return what each field of an endpoint is taken for."""
    return {field: judge(field, tally, endpoint.trios) for field, tally in endpoint.fields.items()}


@lru_cache(maxsize=16_384)
def evidence(alone: int, control: int) -> float:
    """Return the likelihood ratio E of the module, for so many trios in which only one side differs.

    Returns: 1.0 when nothing is known; at most 1e300. In time of the root of the counts (1 ms at ten million).
    """
    if alone <= 0:
        # The integral in closed form, and below 1: more control than shadow is no evidence.
        return 1 / (control + 1) if control > 0 else 1.0
    total = alone + control
    # 2^(total+1) * B(alone+1, control+1) * P(Beta(alone+1, control+1) > 1/2), and the last factor is the probability
    # of at most `control` successes... of a fair coin in total+1 throws to have at most `alone`.
    log_beta = math.lgamma(alone + 1) + math.lgamma(control + 1) - math.lgamma(total + 2)
    log_tail = _log_binomial_cdf(alone, total + 1)
    log_e = (total + 1) * math.log(2) + log_beta + log_tail
    return _MOST if log_e > math.log(_MOST) else math.exp(log_e)


def _log_binomial_cdf(most: int, throws: int) -> float:
    """Return log P(Binomial(throws, 1/2) <= most); exact up to what a float can hold, in time of its spread."""
    if most >= throws:
        return 0.0
    upper = most >= throws // 2
    # Sum the smaller tail, from its largest term outwards.
    start = throws - most - 1 if upper else most
    log_term = math.lgamma(throws + 1) - math.lgamma(start + 1) - math.lgamma(throws - start + 1) - throws * math.log(2)
    total = term = 1.0
    k = start
    while k > 0 and term > total * 1e-15:
        term *= k / (throws - k + 1)
        total += term
        k -= 1
    log_tail = log_term + math.log(total)
    return math.log1p(-math.exp(log_tail)) if upper else log_tail
