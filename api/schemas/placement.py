"""The documents of placement: what a profile asks of nodes, and the taints that keep it from some."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from api.schemas.base import OMITTED, Document, refuse
from api.schemas.values import Text
from xds_server.model.nodes import Placement, Taint, TaintEffect, Toleration, TolerationOperator

_KEY_HINT = "letters, digits, '-', '_', '.' and '/', beginning and ending with a letter or digit"
LabelKey = Annotated[str, Text("[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?", _KEY_HINT, most=253)]
LabelValue = Annotated[str, Text("[^\n]*", "a line of text", most=253)]
Effect = Literal["NoSchedule", "PreferNoSchedule"]
MOST = 50
"""Taints of a node, and tolerations of a profile."""


class TaintBody(Document):
    """Keeps shadows from a node, but for those whose profile tolerates it."""

    key: LabelKey
    """Key."""
    value: LabelValue = ""
    """Value."""
    effect: Effect
    """`NoSchedule`: no shadow without the toleration. `PreferNoSchedule`: only when nothing better is left."""

    def to_model(self) -> Taint:
        """Return the taint."""
        return Taint(self.key, self.value, TaintEffect(self.effect))


class TolerationBody(Document):
    """Taints that the shadows of a profile put up with."""

    key: LabelKey | None = OMITTED
    """Key of the taints; every taint without it, with the operator `Exists`."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """`Equal`: value and all. `Exists`: whatever the value."""
    value: LabelValue | None = OMITTED
    """Value, for `Equal`."""
    effect: Effect | None = OMITTED
    """Only taints of this effect; both without it."""

    @model_validator(mode="after")
    def _fits(self) -> "TolerationBody":
        if self.operator == "Equal" and self.key is None:
            refuse("is required", 'a key, or operator: "Exists" for every taint', at="key")
        if self.operator == "Exists" and self.value:
            refuse("is not for the operator Exists", "leave it out, or operator: Equal", at="value")
        return self

    def to_model(self) -> Toleration:
        """Return the toleration."""
        effect = TaintEffect(self.effect) if self.effect else None
        return Toleration(self.key or "", TolerationOperator(self.operator), self.value or "", effect)

    @classmethod
    def of(cls, toleration: Toleration) -> "TolerationBody":
        """Return the document of a toleration."""
        return cls.model_construct(
            key=toleration.key or None,
            operator=toleration.operator.value,
            value=toleration.value or None,
            effect=toleration.effect.value if toleration.effect else None,
        )


class PlacementBody(Document):
    """Which nodes the shadows of a profile may run on."""

    node_selector: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels that a node must have, all of them."""
    tolerations: Annotated[list[TolerationBody], Field(max_length=MOST)] = Field(default_factory=list)
    """Taints that are put up with."""

    @field_validator("node_selector")
    @classmethod
    def _few(cls, selector: dict[str, str]) -> dict[str, str]:
        if len(selector) > MOST:
            refuse(f"has {len(selector)} labels", f"at most {MOST}")
        return selector

    def to_model(self) -> Placement:
        """Return the placement."""
        return Placement(dict(self.node_selector), tuple(one.to_model() for one in self.tolerations))

    @classmethod
    def of(cls, placement: Placement) -> "PlacementBody":
        """Return the document of a placement."""
        return cls.model_construct(
            node_selector=dict(placement.node_selector),
            tolerations=[TolerationBody.of(one) for one in placement.tolerations],
        )
