"""What can be wrong with checks, splits and steps in the light of their profile and its neighbours. Pure.

Guarantees: real users are never sent to a control, nor met by a fault; two profiles of which one sends users never
claim the same request. An error names the field as the user wrote it.
Not guaranteed: the shape of single values; the REST API has checked those.
"""

import math
from collections.abc import Mapping, Sequence

from xds_server.errors import ConflictError, InvalidError
from xds_server.model.judging import LIMITS, MOST_RATIO, Metric
from xds_server.model.network import Component
from xds_server.model.profile import CONTROL, ShadowingProfile
from xds_server.model.rollout import SLACK, WHOLE, Cohort, Mode, RolloutState, Split
from xds_server.translate.condition import conditions

MOST_ALPHA = 0.5


def check_judging(profile: ShadowingProfile) -> None:
    """Refuse checks that cannot be judged, or contradict each other. Raises: InvalidError."""
    judging = profile.analysis.judging
    if not 0.0 < judging.alpha < MOST_ALPHA:
        raise InvalidError(f"{judging.alpha:g} is out of range", field="analysis.alpha", hint="above 0 and below 0.5")
    seen: set[str] = set()
    for index, check in enumerate(judging.checks):
        field = f"analysis.checks[{index}]"
        limits = {"maxIncrease": check.max_increase, "maxRate": check.max_rate, "maxRatio": check.max_ratio}
        if [name for name, limit in limits.items() if limit is not None] != [LIMITS[check.metric]]:
            raise InvalidError("has not the limit of its metric", field=field, hint=f"{LIMITS[check.metric]} alone")
        if check.metric is not Metric.PROMETHEUS and check.metric not in profile.metrics:
            there = ", ".join(profile.metrics) or "none"
            raise InvalidError(
                f'"{check.metric}" is not measured: performanceMetrics are {there}',
                field=f"{field}.metric",
                hint=f"one of them, or {check.metric} among performanceMetrics",
            )
        if check.max_ratio is not None and not 0.0 < check.max_ratio < MOST_RATIO:
            hint = f"above 0 and below {MOST_RATIO:g}: a larger one cannot be decided"
            raise InvalidError(f"{check.max_ratio:g} is out of range", field=f"{field}.maxRatio", hint=hint)
        if check.label in seen:
            raise InvalidError(f"{check.label} is there twice", field=field, hint="each check once, with one limit")
        seen.add(check.label)
    if judging.checks and all(check.muted for check in judging.checks):
        raise InvalidError("all are muted", field="analysis.checks", hint="at least one that counts")


def check_split(profile: ShadowingProfile) -> None:
    """Refuse a split, or steps, that do not fit the profile. Raises: InvalidError."""
    split = profile.split
    if split is None:
        if profile.splits:
            raise InvalidError(
                "real users are to be sent, and nothing says how they are told apart",
                field="split",
                hint='{"cohort": {"cookie": "session"}}, or a header',
            )
        return
    if not profile.splits:
        told = "no step is a split" if profile.steps else "mode is shadow"
        raise InvalidError(
            f"there is a split, and {told}", field="mode", hint="mode: split, a step with it, or no split"
        )
    cohort = split.cohort
    if bool(cohort.header) == bool(cohort.cookie):
        raise InvalidError("has not one key", field="split.cohort", hint="exactly one of header, cookie")
    if cohort.values and len(profile.variants) > 1:
        raise InvalidError(
            f"they choose one variant, and there are {len(profile.variants)}",
            field="split.cohort.values",
            hint="one variant, or leave them out: users are then told apart by a hash",
        )
    if not profile.steps and not split.weights:
        raise InvalidError("nothing says who goes where", field="split.weights", hint='like {"v2": 10}')
    measured = [step.percentage for step in profile.steps]
    if 0.0 in measured or (profile.mode is Mode.SPLIT and not profile.percentage):
        raise InvalidError(
            "0 measures nothing, so no verdict could bring the users back",
            field="trafficShadowingPercentage",
            hint="above 0: the share of the requests that is measured; the weights say who goes where",
        )
    check_weights(profile, split.weights)
    _check_steps(profile, cohort)
    _check_only_users(profile)


def _check_steps(profile: ShadowingProfile, cohort: Cohort) -> None:
    for index, step in enumerate(profile.steps):
        if step.mode is not Mode.SPLIT:
            continue
        field = f"steps[{index}].weights"
        check_weights(profile, step.weights, field=field)
        if index + 1 < len(profile.steps) and Split(cohort, step.weights).alone:
            raise InvalidError(
                "they sum to 100, so no original is left to judge this step by, and it would never end",
                field=field,
                hint="less than 100 together; the last step may send all users, and is done at once",
            )


def check_weights(profile: ShadowingProfile, weights: Mapping[str, float], *, field: str = "split.weights") -> None:
    """Refuse weights of what is no variant, or of more users than there are. Raises: InvalidError."""
    known = [variant.name for variant in profile.variants]
    for name, weight in weights.items():
        if name not in known:
            told = "a control gets no users" if name == CONTROL else f'there is no variant "{name}"'
            raise InvalidError(told, field=f"{field}.{name}", hint=f"variants: {', '.join(known)}")
        if not 0.0 <= weight <= WHOLE:
            raise InvalidError(f"{weight:g} is out of range", field=f"{field}.{name}", hint="0 to 100, per cent")
        if profile.split is not None and profile.split.cohort.values and weight not in {0.0, WHOLE}:
            raise InvalidError(
                f"{weight:g} % of those with one of the values",
                field=f"{field}.{name}",
                hint="100, all of them, or 0; for a part of the users leave values out",
            )
    total = math.fsum(weights.values())
    if total > WHOLE + SLACK:
        raise InvalidError(
            f"the weights sum to {total:.6g}", field=field, hint="at most 100 together; the rest is the original's"
        )


def check_weights_now(profile: ShadowingProfile, weights: Mapping[str, float]) -> None:
    """Refuse a change of weights that the profile cannot make now.

    Raises:
        InvalidError: it has no split, or the weights do not fit.
        ConflictError: its steps say the weights, or it mirrors.
    """
    if profile.split is None:
        raise InvalidError(
            "the profile mirrors, it has no split", field="split", hint="trafficShadowingPercentage, or a new profile"
        )
    if profile.rollout is not None and profile.rollout.state in {RolloutState.RUNNING, RolloutState.PAUSED}:
        raise ConflictError(
            f"its rollout is {profile.rollout.state.value}, and the steps say the weights",
            field="split.weights",
            hint="abort the rollout first; promote goes on to the next step",
        )
    if profile.mode is not Mode.SPLIT:
        raise ConflictError(
            "its rollout has ended before any users were sent",
            field="split.weights",
            hint="trafficShadowingPercentage, or a new profile",
        )
    check_weights(profile, weights)


def check_beside(component: Component, others: Sequence[ShadowingProfile], profile: ShadowingProfile) -> None:
    """Refuse two profiles for one request of which one sends real users. Raises: ConflictError.

    Args:
        component: theirs.
        others: profiles that claim a sample; those of other components, and the profile itself, are left out.
        profile: what is wanted.
    """
    mine = conditions(profile.match, component.protocol)
    for other in others:
        apart = other.component_name != profile.component_name or other.id == profile.id
        if apart or not (profile.splits or other.splits):
            continue
        theirs = conditions(other.match, component.protocol)
        if any(a.inexpressible(b) or a.intersection(b) is not None for a in mine for b in theirs):
            does = "sends users of" if other.splits else "mirrors"
            apart_by = "methods, paths or header values that do not overlap"
            raise ConflictError(
                f'profile "{other.name or other.id}" {does} these requests already',
                field="match",
                hint=f"{apart_by}: a split shares its requests with no other profile",
            )


def _check_only_users(profile: ShadowingProfile) -> None:
    if profile.faults:
        raise InvalidError(
            "a profile that sends real users has no faults: they are for copies",
            field="faultInjectionParameters",
            hint="leave them out, or try the version under faults in a profile of mode shadow",
        )
    if profile.control is not None and profile.control.enabled and not profile.mirrors:
        raise InvalidError(
            "a split has no copies, and a control gets no users",
            field="control",
            hint="leave it out, or steps that mirror first",
        )
