"""Does mirroring hurt the original? Mirrored requests beside plain ones, which is which being chance.

Both groups are answers of the original to clients; they differ only in that a copy of the one was sent too. So this is
a randomised experiment, always valid, by `matching` as in a split. An outage of the original meets both groups alike.

Guarantees: HARM is wrong with a chance of at most alpha, ever, and stays until the evidence begins anew. Not
guaranteed: that harm below the limits is seen, nor `ALLOWANCE` more of response time, which the making of copies may
take, nor harm to plain requests (a machine that both share is busier for both); nor anything when every request is
mirrored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log

from xds_server.analysis.statistics.family import e_bh
from xds_server.analysis.verdict.case import Case, Latched
from xds_server.analysis.verdict.measured import Measured
from xds_server.analysis.verdict.rates import error_rate_of_arms
from xds_server.analysis.verdict.reasons import limit_of
from xds_server.analysis.verdict.times import response_time
from xds_server.analysis.verdict.verdict import Harm, HarmDecision, HarmMetric, Interval
from xds_server.analysis.verdict.words import SHARE, about, points, span, times
from xds_server.analysis.windows.arms import MIRRORED, PLAIN, ArmTally
from xds_server.analysis.windows.profile_evidence import ALLOWANCE
from xds_server.model.rollout import Mode

INCREASE = 0.005
"""Of the original's error rate, from which mirroring does harm."""
RATIO: Mapping[float, float] = {0.5: 1.1, 0.99: 1.25}
"""Of the original's response time, by quantile."""


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    measured: Measured


def harm_of(case: Case, before: Latched | None) -> Harm:
    """Return what mirroring does to the original; `before` is the harm that was found already."""
    if case.mode is Mode.SPLIT:
        return Harm(HarmDecision.NOT_MEASURED, "in a split nothing is mirrored")
    metrics = _metrics(case)
    if not metrics:
        why = (
            "every request is mirrored, so there is nothing to compare mirrored requests with"
            if case.percentage >= 1
            else "no plain request was seen beside a mirrored one so far"
        )
        decision = HarmDecision.HARM if before else HarmDecision.NOT_MEASURED
        return Harm(decision, "; ".join(before.reasons) if before else why)
    alpha = case.judging.alpha
    found = e_bh([m.measured.log_fail for m in metrics], [1 / len(metrics)] * len(metrics), alpha)
    rows = tuple(_row(m, alpha, len(metrics), found=i in found) for i, m in enumerate(metrics))
    harmful = [row.reason for row in rows if row.decision is HarmDecision.HARM]
    if before or harmful:
        return Harm(HarmDecision.HARM, "; ".join(before.reasons if before else harmful), rows)
    undecided = [row.reason for row in rows if row.decision is HarmDecision.UNDECIDED]
    if undecided:
        return Harm(HarmDecision.UNDECIDED, "; ".join(undecided), rows)
    return Harm(
        HarmDecision.NONE,
        "mirrored requests fail no more often than plain ones, and take no longer (within limits)",
        rows,
    )


def _metrics(case: Case) -> list[_Metric]:
    pair = case.evidence.arm_pairs.get((PLAIN, MIRRORED))
    if pair is None or not pair.errors.pairs:
        return []
    alpha = case.judging.alpha
    plain, mirrored = (case.evidence.arms.get(name) or ArmTally() for name in (PLAIN, MIRRORED))
    errors = error_rate_of_arms(
        pair.errors,
        pair.worst,
        margin=INCREASE,
        alpha=alpha,
        rates=(plain.error_rate, mirrored.error_rate),
    )
    found = [_Metric("error_rate", errors)]
    for quantile, limit in RATIO.items():
        measured = response_time(
            pair.times.get(quantile),
            quantile=quantile,
            margin=limit,
            alpha=alpha,
            pairs=int(pair.errors.pairs),
            original=plain.times.quantile(quantile),
            shadow=mirrored.times.quantile(quantile),
            allowance=ALLOWANCE,
        )
        found.append(_Metric(f"response_time p{quantile * 100:g}", measured))
    return found


def _row(metric: _Metric, alpha: float, of: int, *, found: bool) -> HarmMetric:
    seen, interval = metric.measured.shown()
    if found:
        decision = HarmDecision.HARM
    else:
        decision = HarmDecision.NONE if seen.log_pass >= log(1 / alpha) else HarmDecision.UNDECIDED
    return HarmMetric(
        metric=metric.name,
        plain=seen.original,
        mirrored=seen.shadow,
        effect=seen.effect,
        interval=interval,
        threshold=seen.threshold,
        limit=seen.limit,
        allowance=seen.allowance,
        unit=seen.unit,
        requests=seen.pairs,
        decision=decision,
        reason=_reason(replace(metric, measured=seen), decision, interval, log(of / alpha)),
    )


def _reason(metric: _Metric, decision: HarmDecision, interval: Interval | None, enough: float) -> str:
    seen = metric.measured
    if seen.effect is None:
        return f"{metric.name} of mirrored requests: nothing is known yet"
    within = f" {span(interval, unit=seen.unit)}" if interval else ""
    if seen.unit == SHARE:
        side = "below" if seen.effect < 0 else "above"
        effect = f"{points(abs(seen.effect))} {side}"
    else:
        effect = f"{times(seen.effect)} times"
    said = f"{metric.name} of mirrored requests is {effect} that of plain ones{within}, the limit is {limit_of(seen)}"
    if decision is HarmDecision.UNDECIDED and (need := seen.needed(enough)) and need.pairs:
        said += f"; {about(need.pairs)} more requests would tell"
    return said
