"""The judge that the manager has: puts a case together, and has `analysis.verdict` reach the verdict.

Guarantees: nothing is decided here. Not guaranteed: anything beyond what `analysis.verdict.judge` says.
"""

from typing import Any

from xds_server.analysis.verdict.case import Case, State
from xds_server.analysis.verdict.judge import judge
from xds_server.lifecycle.verdicts import Inputs, Verdict
from xds_server.model.judging import checks_of
from xds_server.model.rollout import Mode
from xds_server.model.shadow import InstanceStatus, ShadowInstance

BOOKS = 5.0
"""Seconds after a copy's timeout in which it is booked as missing: Envoy's counters (1 s), their grace (2 s), a window
(1 s), and the way here."""


class Court:
    """A `Judge`; see the module."""

    def judge(self, inputs: Inputs, state: State | None) -> tuple[Verdict, State]:
        """See `Judge`."""
        verdict, after = judge(case_of(inputs), State() if state is None else state)
        return verdict.as_json(), after

    def pack(self, state: State) -> Any:
        """See `Judge`."""
        return state.as_json()

    def unpack(self, packed: Any) -> State:
        """See `Judge`. Raises: KeyError, TypeError, ValueError."""
        return State.from_json(packed)


def case_of(inputs: Inputs) -> Case:
    """Return the case of a profile as it is now."""
    profile = inputs.profile
    judging = profile.analysis.judging
    split = profile.split if profile.mode is Mode.SPLIT else None
    gone = _gone(inputs)
    alone = split.alone if split else ()
    begun = [i.created_at.timestamp() for i in inputs.instances if not i.ended and not profile.is_control(i.variant)]
    return Case(
        judging=judging,
        checks=checks_of(judging, profile.metrics),
        variants=tuple(variant.name for variant in profile.variants),
        evidence=inputs.evidence,
        now=inputs.now.timestamp(),
        started=max(begun, default=0.0),
        mode=profile.mode,
        controlled=len(profile.versions) > len(profile.variants),
        percentage=profile.percentage,
        faulted=inputs.faulted,
        settle=profile.shadow_timeout + BOOKS if profile.mode is Mode.SHADOW else 0.0,
        cohort=split.cohort if split else None,
        alone=() if gone.keys() & set(alone) else alone,
        gone=gone,
        failed=frozenset(name for name in gone if _newest(inputs)[name].status is InstanceStatus.FAILED),
        readings=inputs.readings,
        envoy=inputs.envoy,
    )


def _gone(inputs: Inputs) -> dict[str, str]:
    """Return why variants do not run, of which no instance does or is about to."""
    newest = _newest(inputs)
    living = {instance.variant for instance in inputs.instances if not instance.ended}
    variants = [variant.name for variant in inputs.profile.variants]
    return {name: newest[name].reason for name in variants if name in newest and name not in living}


def _newest(inputs: Inputs) -> dict[str, ShadowInstance]:
    """Return the newest instance of each variant."""
    return {instance.variant: instance for instance in inputs.instances}
