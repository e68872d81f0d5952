"""The profiles as alerts, metrics and verdicts see them: names instead of ids, instances, and what was compared.

Guarantees: lazily, so that a consumer that waits between two profiles gets each as it is then; a profile or network
that ended meanwhile is left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from xds_server.alerts.watched import Watched
from xds_server.analysis.windows.tally import Tally
from xds_server.lifecycle.registry import Registry
from xds_server.lifecycle.verdicts import Subject
from xds_server.model.ids import ProfileID
from xds_server.model.rollout import Mode

Judged = Callable[[ProfileID], Mapping[str, Any] | None]


class Tallied(Protocol):
    """The part of the collector that is meant here."""

    def tallies(self, profile_id: str) -> Sequence[Tally]:
        """Return what is known of each instance of a profile."""


def nothing_judged(_profile: ProfileID) -> None:
    """Return no verdict."""


def watched(registry: Registry, collector: Tallied, verdicts: Judged = nothing_judged) -> Iterator[Watched]:
    """Return every live profile of every network; `verdicts` tells the newest verdict on each."""
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
                share=0.0 if profile.mode is Mode.SPLIT else profile.percentage,
                controlled=profile.control is not None,
                instances=tuple(record.instances_of(profile.id)),
                tallies=collector.tallies(profile.id),
                verdict=verdicts(profile.id),
                users=profile.mode is Mode.SPLIT,
            )


def profile_ids(registry: Registry) -> list[ProfileID]:
    """Return the profiles of all networks, those too that are ending."""
    return [profile for record in registry for profile in record.profiles]


def subjects(registry: Registry) -> Iterator[Subject]:
    """Return what verdicts are reached on; those of a network or profile that is ending stay as they are."""
    for record in registry:
        for before in record.live_profiles():
            profile = record.profiles.get(before.id)
            if profile is not None and not record.ending and profile.id not in record.ending_profiles:
                instances = tuple(record.instances_of(profile.id))
                faulted = any(record.faults_of(i.id) for i in instances if not i.ended)
                yield Subject(profile, record.network.name, instances, faulted)
