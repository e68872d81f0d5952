"""What alerts and metrics look at: a profile, its instances, and the tallies of what was compared.

Guarantees: `by_variant` leaves the control out and loses no other tally. Not guaranteed: that the tallies stay as they
are; they are the collector's own, so a picture is taken of them without an `await` in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xds_server.analysis.kinds import Lost
from xds_server.analysis.windows.tally import Tally, merged
from xds_server.model.analysis import Alerting
from xds_server.model.profile import CONTROL
from xds_server.model.shadow import ShadowInstance

UNKNOWN = "unknown"
"""Variant of what cannot be told to belong to one, in a profile of several."""
_PAIRING = (Lost.UNPAIRED_ORIGINAL, Lost.UNPAIRED_SHADOW, Lost.DROPPED_WAITING, Lost.ENGINE_STOPPED)


@dataclass(frozen=True, slots=True)
class Watched:
    """One profile at this moment. `network` and `component` are names, `profile` is its name or else its id."""

    network: str
    component: str
    profile: str
    profile_id: str
    variants: tuple[str, ...]
    alerting: Alerting
    share: float
    """Share of the traffic that it wants mirrored, 0.0-1.0."""
    controlled: bool
    instances: tuple[ShadowInstance, ...]
    """Oldest first, the control's among them."""
    tallies: Sequence[Tally]
    """One an instance; an empty instance is what cannot be told to belong to one."""
    verdict: Mapping[str, Any] | None = None
    """The newest one, in its JSON form; None before anything was judged."""
    users: bool = False
    """Real users are sent to its versions, by weight."""

    def live(self, variant: str) -> bool:
        """Tell whether an instance of a variant (of any, for `UNKNOWN`) runs or is about to."""
        return any(variant in {i.variant, UNKNOWN} and not i.ended for i in self.instances)


def by_variant(watched: Watched) -> dict[str, Tally]:
    """Return what was compared of each variant; merged where several instances, one after the other, were one."""
    homes: dict[str, str] = {instance.id: instance.variant for instance in watched.instances}
    rest = watched.variants[0] if len(watched.variants) == 1 else UNKNOWN
    grouped: dict[str, list[Tally]] = {}
    for tally in watched.tallies:
        variant = homes.get(tally.instance, rest)
        if not tally.control and variant != CONTROL:
            grouped.setdefault(variant, []).append(tally)
    return {variant: tallies[0] if len(tallies) == 1 else merged(tallies) for variant, tallies in grouped.items()}


def lost_pairs(tally: Tally) -> int:
    """Return how many pairs were lost, at least: by pairing, or by Envoy's counters where those know of more."""
    return max(sum(tally.lost[kind] for kind in _PAIRING), tally.lost[Lost.ALS_GAP], 0)
