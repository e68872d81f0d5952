"""The profiles as alerts and metrics see them: names instead of ids, instances, and what was compared.

Guarantees: lazily, so that a consumer that waits between two profiles gets each as it is then; a profile or network
that ended meanwhile is left out.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from xds_server.alerts.watched import Watched
from xds_server.analysis.windows.tally import Tally
from xds_server.lifecycle.registry import Registry


class Tallied(Protocol):
    """The part of the collector that is meant here."""

    def tallies(self, profile_id: str) -> Sequence[Tally]:
        """Return what is known of each instance of a profile."""


def watched(registry: Registry, collector: Tallied) -> Iterator[Watched]:
    """Return every live profile of every network."""
    for record in registry:
        for profile in record.live_profiles():
            if record.ending or profile.id in record.ending_profiles or profile.id not in record.profiles:
                continue
            yield Watched(
                network=record.network.name,
                component=profile.component_name,
                profile=profile.name or profile.id,
                profile_id=profile.id,
                variants=tuple(variant.name for variant in profile.variants),
                alerting=profile.analysis.alerts,
                share=profile.percentage,
                controlled=profile.control is not None,
                instances=tuple(record.instances_of(profile.id)),
                tallies=collector.tallies(profile.id),
            )
