"""What is asked of the differences: how they are grouped, which of them, in which order, since when.

Frozen values. Times are seconds since the epoch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from xds_server.analysis.windows.noise import Nature
from xds_server.analysis.windows.tally import Field, Tally, merged


class Group(StrEnum):
    """How far down: from the whole to the request."""

    ENDPOINT = "endpoint"
    FIELD = "field"
    CLASS = "class"
    PAIR = "pair"


class Sort(StrEnum):
    """What comes first."""

    SURPRISE = "surprise"
    """The most bits; noise and recognised last."""
    NEWEST = "newest"
    """What was first seen last; of pairs, the last request."""
    RAREST = "rarest"
    """The smallest share of pairs; noise and recognised last."""
    COUNT = "count"
    """The most pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffQuery:
    """All of it. Of the filters, None leaves everything in. `version` is a variant's name or an instance's id."""

    group: Group = Group.PAIR
    sort: Sort | None = None
    version: str | None = None
    endpoint: str | None = None
    field: str | None = None
    kind: str | None = None
    nature: Nature | None = None
    since: float | None = None
    until: float | None = None
    limit: int = 100
    cursor: str | None = None

    @property
    def order(self) -> Sort:
        """The sort that was asked for, or what is usual for the group."""
        return self.sort or (Sort.NEWEST if self.group is Group.PAIR else Sort.SURPRISE)

    @property
    def timed(self) -> bool:
        """Whether only a stretch of time is asked about."""
        return self.since is not None or self.until is not None

    def takes(self, field: Field) -> bool:
        """Tell whether a field and class are asked about."""
        return (self.field is None or field[0] == self.field) and (self.kind is None or field[1] == self.kind)

    def at(self, moment: float) -> bool:
        """Tell whether a moment is asked about."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment <= self.until)


@dataclass(frozen=True, slots=True)
class Source:
    """What was seen of one version: of one profile, all instances of one variant but for a control's.

    The tally is only read here, never changed.
    """

    profile_id: str
    profile: str
    component: str
    variant: str
    instances: tuple[str, ...]
    tally: Tally
    archived: bool = False


def sources_of(
    tallies: Iterable[Tally],
    variants: Mapping[str, str],
    *,
    profile_id: str,
    profile: str,
    component: str,
    version: str | None = None,
    archived: bool = False,
) -> list[Source]:
    """Return the versions of a profile: all, or those that are called `version`, or just the instance of this id.

    Args:
        tallies: of the profile's instances.
        variants: variant of each instance, by id; an instance that is not there any more has a nameless one.
        profile_id: id of the profile.
        profile: its name.
        component: its component.
        version: name of a variant, or id of an instance.
        archived: whether the profile has been deleted.
    """
    by_variant: dict[str, list[Tally]] = {}
    for tally in tallies:
        variant = variants.get(tally.instance, "")
        if tally.instance and not tally.control and version in {None, variant, tally.instance}:
            by_variant.setdefault(variant, []).append(tally)
    found = []
    for variant, its in sorted(by_variant.items()):
        whole = its[0] if len(its) == 1 else merged(its)
        instances = tuple(tally.instance for tally in its)
        found.append(Source(profile_id, profile, component, variant, instances, whole, archived))
    return found
