"""The steps of a profile, from shadow to split: a state machine whose only inputs are the verdict, time and a person.

    RUNNING  PASS, and the hold is over        -> the next step, RUNNING; after the last one DONE
    a last step that sends all users           -> DONE at once: no original is left to judge it by
    RUNNING  nothing decided at the timeout    -> PAUSED
    RUNNING  none of its versions runs         -> PAUSED
    RUNNING, PAUSED, DONE in a split   FAIL    -> ABORTED: nothing is sent to a version any more
    pause, resume, promote, abort              -> what a person says; refused when it makes no sense

Guarantees: pure, no clock; everything it goes by is in the profile, so a restart goes on where it was. A version that
failed, or that has not passed when others go on, gets no weight in a later step. DONE keeps the last step's weights.
Not guaranteed: that a hold goes on over a pause; `resume` begins hold and timeout anew (the evidence stays).
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from xds_server.errors import ConflictError
from xds_server.lifecycle.ruling import Decision, Ruling
from xds_server.model.profile import ShadowingProfile
from xds_server.model.rollout import Mode, Rollout, RolloutState

NOBODY: frozenset[str] = frozenset()
_RUNNING, _PAUSED = RolloutState.RUNNING, RolloutState.PAUSED
_DONE, _ABORTED = RolloutState.DONE, RolloutState.ABORTED


class RolloutAction(StrEnum):
    """What a person may do with a rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    PROMOTE = "promote"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of a profile."""

    profile: ShadowingProfile
    anew: bool = False
    """The evidence begins anew: this is another step."""
    out: frozenset[str] = NOBODY
    """Variants that get no weight any more."""


def under_way(profile: ShadowingProfile) -> bool:
    """Tell whether steps decide over percentage and weights."""
    return profile.rollout is not None and profile.rollout.state in {_RUNNING, _PAUSED}


def begun(profile: ShadowingProfile, now: datetime) -> ShadowingProfile:
    """Return a new profile at its first step; one without steps as it is."""
    if not profile.steps or profile.rollout is not None:
        return profile
    return at_step(profile, 0, now)


def at_step(
    profile: ShadowingProfile, index: int, now: datetime, *, out: Collection[str] = NOBODY, reason: str = ""
) -> ShadowingProfile:
    """Return a profile at a step; one that sends all users is done. What is in `out` gets no weight."""
    step = profile.steps[index]
    split = profile.split
    rollout = Rollout(index, _RUNNING, now, reason)
    if step.mode is Mode.SPLIT and split is not None:
        weights = {variant: 0.0 if variant in out else weight for variant, weight in step.weights.items()}
        split = replace(split, weights=weights)
        if split.alone:
            told = f"all users with {split.cohort.key} are at {' and '.join(split.alone)}, so nothing is left to judge"
            rollout = Rollout(index, _DONE, now, f"{reason}; {told}" if reason else told)
    return replace(
        profile,
        mode=step.mode,
        percentage=profile.percentage if step.percentage is None else step.percentage,
        split=split,
        rollout=rollout,
    )


def silenced(profile: ShadowingProfile, variants: Collection[str] | None = None) -> ShadowingProfile:
    """Return a profile of which nothing goes to its versions (in a split: to these of them)."""
    if profile.mode is Mode.SHADOW or profile.split is None:
        return replace(profile, percentage=0.0)
    weights = {
        variant: 0.0 if variants is None or variant in variants else weight
        for variant, weight in profile.split.weights.items()
    }
    return replace(profile, split=replace(profile.split, weights=weights))


def sends(profile: ShadowingProfile) -> bool:
    """Tell whether anything goes to a version of it: copies, or in a split, users."""
    if profile.mode is Mode.SHADOW or profile.split is None:
        return profile.percentage > 0.0
    return any(weight > 0.0 for weight in profile.split.weights.values())


def gives_more(before: ShadowingProfile, after: ShadowingProfile) -> bool:
    """Tell whether a change sends more to any version than before: of a split, more users.

    The percentage of a split is what is measured of it, and gives no version more.
    """
    if after.mode is not before.mode:
        return True
    if after.mode is Mode.SHADOW:
        return after.percentage > before.percentage
    mine = after.split.weights if after.split else {}
    earlier = before.split.weights if before.split else {}
    return any(weight > earlier.get(v, 0.0) for v, weight in mine.items())


def only_takes(before: ShadowingProfile, after: ShadowingProfile) -> bool:
    """Tell whether a change takes away and adds nothing: not to what is sent, not to its time, faults or steps."""
    still = {_PAUSED, _ABORTED}
    return (
        not gives_more(before, after)
        and after.percentage <= before.percentage
        and after.ttl <= before.ttl
        and (not after.faults or after.faults == before.faults)
        and (after.rollout == before.rollout or (after.rollout is not None and after.rollout.state in still))
    )


def advance(
    profile: ShadowingProfile,
    ruling: Ruling,
    now: datetime,
    *,
    living: Collection[str],
    out: frozenset[str] = NOBODY,
) -> Move | None:
    """Return what a verdict and the time that has passed make of a rollout; None: nothing.

    Args:
        profile: at the step that was judged.
        ruling: the verdict on this step.
        now: the time.
        living: variants that run or are about to.
        out: variants that get no weight any more.
    """
    rollout = profile.rollout
    if rollout is None or rollout.state is _ABORTED:
        return None
    if ruling.decision is Decision.FAIL:
        return _failed(profile, rollout, ruling, now, out)
    return _waited(profile, rollout, ruling, now, living, out) if rollout.state is _RUNNING else None


def _failed(
    profile: ShadowingProfile, rollout: Rollout, ruling: Ruling, now: datetime, out: frozenset[str]
) -> Move | None:
    if rollout.state is _DONE and profile.mode is not Mode.SPLIT:
        return None
    where = "after the last step" if rollout.state is _DONE else f"at step {rollout.step + 1}"
    return _ended(profile, now, out | ruling.failed, f"the verdict {where} is FAIL: {ruling.why()}")


def _waited(  # noqa: PLR0917 - a part of `advance`
    profile: ShadowingProfile,
    rollout: Rollout,
    ruling: Ruling,
    now: datetime,
    living: Collection[str],
    out: frozenset[str],
) -> Move | None:
    candidates = frozenset(v.name for v in profile.variants) - out
    if candidates and not candidates & frozenset(living):
        return _paused(profile, now, out, "none of its versions runs any more; resume starts them again")
    step, age = profile.steps[rollout.step], (now - rollout.since).total_seconds()
    if ruling.decision is Decision.PASS and ruling.passed & candidates & frozenset(living) and age >= step.hold:
        return _next(profile, now, out | (candidates - ruling.passed), "")
    if step.timeout is not None and age >= step.timeout:
        said = "the hold was not over" if ruling.decision is Decision.PASS else ruling.why()
        return _paused(profile, now, out, f"no PASS within {step.timeout:g} s: {said}")
    return None


def commanded(
    profile: ShadowingProfile, action: RolloutAction, ruling: Ruling, now: datetime, *, out: frozenset[str] = NOBODY
) -> Move:
    """Return what a person's word makes of a rollout.

    Raises:
        ConflictError: there are no steps, or it makes no sense now.
    """
    rollout = profile.rollout
    if rollout is None:
        raise ConflictError("the profile has no steps", field="action", hint="create a profile with steps")
    if rollout.state in {_DONE, _ABORTED} and not (action is RolloutAction.ABORT and rollout.state is _DONE):
        why = f": {rollout.reason}" if rollout.reason else ""
        raise ConflictError(
            f"the rollout is {rollout.state.value} already{why}",
            field="action",
            hint="change weights or percentage by PATCH, or create a new profile",
        )
    match action:
        case RolloutAction.PAUSE:
            if rollout.state is _PAUSED:
                raise ConflictError("the rollout is paused already", field="action", hint="resume, promote or abort")
            return _paused(profile, now, out, "paused by a person")
        case RolloutAction.RESUME:
            if rollout.state is _RUNNING:
                raise ConflictError("the rollout is running", field="action", hint="pause, promote or abort")
            return Move(replace(profile, rollout=Rollout(rollout.step, _RUNNING, now)), out=out)
        case RolloutAction.PROMOTE:
            return _next(profile, now, out | ruling.failed, "promoted by a person")
        case RolloutAction.ABORT:
            return _ended(profile, now, out, "aborted by a person")


def _next(profile: ShadowingProfile, now: datetime, out: frozenset[str], reason: str) -> Move:
    rollout = profile.rollout
    if rollout is None:
        raise ValueError("a profile without a rollout has no next step")
    if rollout.step + 1 < len(profile.steps):
        return Move(at_step(profile, rollout.step + 1, now, out=out, reason=reason), anew=True, out=out)
    kept = "it keeps the weights of its last step" if profile.mode is Mode.SPLIT else "it goes on with its last step"
    done = Rollout(rollout.step, _DONE, now, f"{reason}; {kept}" if reason else kept)
    return Move(replace(profile, rollout=done), out=out)


def _paused(profile: ShadowingProfile, now: datetime, out: frozenset[str], reason: str) -> Move:
    step = profile.rollout.step if profile.rollout else 0
    return Move(replace(profile, rollout=Rollout(step, _PAUSED, now, reason)), out=out)


def _ended(profile: ShadowingProfile, now: datetime, out: frozenset[str], reason: str) -> Move:
    step = profile.rollout.step if profile.rollout else 0
    return Move(replace(silenced(profile), rollout=Rollout(step, _ABORTED, now, reason)), out=out)
