"""The part of the codec (see `codec`) for splits, steps and how far a rollout has come, as JSON values."""

from collections.abc import Mapping
from typing import Any

from xds_server.model.rollout import Cohort, Mode, Rollout, RolloutState, Split, Step
from xds_server.store.codec_time import time_from, time_to

_Json = Mapping[str, Any]


def split_to(split: Split) -> dict[str, Any]:
    """Return the JSON value of a split."""
    cohort = split.cohort
    return {
        "cohort": {"header": cohort.header, "cookie": cohort.cookie, "values": list(cohort.values)},
        "weights": dict(split.weights),
    }


def split_from(d: _Json) -> Split:
    """Return the split of a JSON value. Raises: KeyError, TypeError."""
    cohort = d["cohort"]
    return Split(
        cohort=Cohort(header=cohort["header"], cookie=cohort["cookie"], values=tuple(cohort["values"])),
        weights=dict(d["weights"]),
    )


def step_to(step: Step) -> dict[str, Any]:
    """Return the JSON value of a step."""
    return {
        "mode": step.mode.value,
        "percentage": step.percentage,
        "weights": dict(step.weights),
        "hold": step.hold,
        "timeout": step.timeout,
    }


def step_from(d: _Json) -> Step:
    """Return the step of a JSON value. Raises: KeyError, TypeError, ValueError."""
    return Step(
        mode=Mode(d["mode"]),
        percentage=d["percentage"],
        weights=dict(d["weights"]),
        hold=d["hold"],
        timeout=d["timeout"],
    )


def rollout_to(rollout: Rollout) -> dict[str, Any]:
    """Return the JSON value of how far a rollout has come."""
    return {
        "step": rollout.step,
        "state": rollout.state.value,
        "since": time_to(rollout.since),
        "reason": rollout.reason,
    }


def rollout_from(d: _Json) -> Rollout:
    """Return how far a rollout has come, of a JSON value. Raises: KeyError, TypeError, ValueError."""
    return Rollout(step=d["step"], state=RolloutState(d["state"]), since=time_from(d["since"]), reason=d["reason"])
