"""The codec's part for placement (see `codec`): what a profile asks of nodes, as JSON values."""

from collections.abc import Mapping
from typing import Any

from xds_server.model.nodes import Placement, TaintEffect, Toleration, TolerationOperator


def placement_to(placement: Placement) -> dict[str, Any]:
    """Return the JSON value of a placement."""
    return {
        "node_selector": placement.node_selector,
        "tolerations": [
            {
                "key": one.key,
                "operator": one.operator.value,
                "value": one.value,
                "effect": one.effect and one.effect.value,
            }
            for one in placement.tolerations
        ],
    }


def placement_from(d: Mapping[str, Any]) -> Placement:
    """Return the placement of a JSON value. Raises: KeyError, TypeError, ValueError."""
    return Placement(
        node_selector=d["node_selector"],
        tolerations=tuple(
            Toleration(
                key=one["key"],
                operator=TolerationOperator(one["operator"]),
                value=one["value"],
                effect=TaintEffect(one["effect"]) if one["effect"] else None,
            )
            for one in d["tolerations"]
        ),
    )
