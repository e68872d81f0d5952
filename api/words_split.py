"""A split and steps in words: `sends 10 % of the users with cookie session to v2`; and warnings where they may not fit.

Weights are 0-100, as fault percentages are; the words tell them in per cent.
"""

from collections.abc import Iterator, Mapping

from api.schemas.values import format_duration
from xds_server.model.profile import ShadowingProfile
from xds_server.model.rollout import Mode, RolloutState, Split, Step


def sends(split: Split) -> str:
    """Return who goes where: `sends 10 % of the users with cookie session to v2 and 5 % to v3`."""
    sent = _shares(split.weights)
    if split.cohort.values:
        who = f"those with {split.cohort.key} {' or '.join(split.cohort.values)}"
        to = " and ".join(name for name, weight in split.weights.items() if weight)
        return f"sends {who} to {to}" if to else f"sends {who} to no version (0 %)"
    who = f"of the users with {split.cohort.key}"
    if not sent:
        return f"sends nobody (0 % {who}) to a version"
    (name, share), *more = sent
    return " and ".join([f"sends {share} {who} to {name}", *(f"{share} to {name}" for name, share in more)])


def steps(profile: ShadowingProfile) -> Iterator[str]:
    """Yield where the rollout is and what comes next: `step 1 of 3, then 10 % to v2, then 50 % to v2`."""
    if not profile.steps:
        return
    rollout = profile.rollout
    at = rollout.step if rollout else 0
    state = "" if rollout is None or rollout.state is RolloutState.RUNNING else f" ({rollout.state.value})"
    over = rollout is not None and rollout.state in {RolloutState.DONE, RolloutState.ABORTED}
    coming = () if over else profile.steps[at + 1 :]
    yield ", then ".join([f"step {at + 1} of {len(profile.steps)}{state}", *map(_step, coming)])


def split_warnings(profile: ShadowingProfile) -> list[str]:
    """Return a line for each weight that looks like a share, and one when the steps outlast the shadows."""
    return list(_doubts(profile))


def _doubts(profile: ShadowingProfile) -> Iterator[str]:
    named = {"split.weights": profile.split.weights if profile.split else {}}
    named |= {f"steps[{index}].weights": step.weights for index, step in enumerate(profile.steps)}
    for field, weights in named.items():
        for name, weight in weights.items():
            if 0 < weight < 1:
                rather = f"{weight * 100:.10g} % of them are {weight * 100:.10g}"
                yield f"{field}.{name}: {weight:.10g} means {weight:.10g} % of the users; {rather}"
    split = profile.split
    if split is not None and split.alone:
        where = " and ".join(split.alone)
        yield f"split.weights: all users with {split.cohort.key} are at {where}, so no original is left to judge by"
    held = sum(step.hold for step in profile.steps)
    if held > profile.ttl:
        lives, takes = format_duration(profile.ttl), format_duration(held)
        yield f"steps: they take {takes} at least, and the instances live for {lives} (shadowInstanceTTL)"


def _step(step: Step) -> str:
    if step.mode is Mode.SPLIT:
        return " and ".join(f"{share} to {name}" for name, share in _shares(step.weights)) or "nobody"
    return "mirroring" if step.percentage is None else f"mirroring {step.percentage * 100:.10g} %"


def _shares(weights: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(name, f"{weight:.10g} %") for name, weight in weights.items() if weight]
