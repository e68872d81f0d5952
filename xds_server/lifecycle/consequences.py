"""What is done about a verdict, all in one: harm, a split's way back, a stop, and the steps. Pure.

Guarantees: what sends less to a version comes before what sends more. In a split, a FAIL on a critical check always
takes that variant's weight away; nothing that was taken away is given back by itself.
Not guaranteed: that anything has reached an Envoy; `steps.py` does what this says.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from xds_server.lifecycle.rollout import Move, advance, sends, silenced, under_way
from xds_server.lifecycle.ruling import Decision, Ruling
from xds_server.model.judging import OnFail
from xds_server.model.profile import ShadowingProfile
from xds_server.model.rollout import Mode, Rollout, RolloutState


@dataclass(frozen=True, slots=True)
class Consequence:
    """What becomes of a profile, and why."""

    move: Move
    reason: str = ""
    """Why something was taken from a version; empty when nothing was."""


def consequence(
    profile: ShadowingProfile,
    ruling: Ruling,
    now: datetime,
    *,
    living: Collection[str],
    out: frozenset[str] = frozenset(),
) -> Consequence | None:
    """Return what a verdict means for a profile now; None: nothing.

    Args:
        profile: as it is.
        ruling: the verdict on it.
        now: the time.
        living: variants that run or are about to.
        out: variants that get no weight any more.
    """
    if ruling.harm:
        return _harmed(profile, ruling, now, out)
    after, reason = profile, ""
    if profile.mode is Mode.SPLIT:
        stop = profile.analysis.judging.on_fail is OnFail.STOP
        failing = ruling.failed if stop else ruling.critical
        after = silenced(profile, failing)
        out |= failing
        if after != profile:
            sent = ", ".join(sorted(failing & _weighted(profile)))
            reason = f"the weight of {sent} was set to 0: the verdict is FAIL: {ruling.why()}"
    elif ruling.decision is Decision.FAIL and profile.analysis.judging.on_fail is OnFail.STOP and sends(profile):
        after = silenced(profile)
        reason = f"trafficShadowingPercentage was set to 0: the verdict is FAIL: {ruling.why()}"
    move = advance(after, ruling, now, living=living, out=out)
    if move is not None:
        taken = sends(profile) and not sends(move.profile)
        return Consequence(move, reason or (_reason_of(move.profile) if taken else ""))
    return None if after == profile else Consequence(Move(after, out=out), reason)


def _harmed(profile: ShadowingProfile, ruling: Ruling, now: datetime, out: frozenset[str]) -> Consequence | None:
    reason = f"trafficShadowingPercentage was set to 0: the original's clients are harmed: {ruling.harm}"
    after = replace(silenced(profile), percentage=0.0)
    if under_way(profile) and profile.rollout is not None:
        after = replace(after, rollout=Rollout(profile.rollout.step, RolloutState.ABORTED, now, reason))
    return None if after == profile else Consequence(Move(after, out=out), reason)


def _weighted(profile: ShadowingProfile) -> frozenset[str]:
    return frozenset(v for v, weight in profile.split.weights.items() if weight > 0.0) if profile.split else frozenset()


def _reason_of(profile: ShadowingProfile) -> str:
    return profile.rollout.reason if profile.rollout else ""
