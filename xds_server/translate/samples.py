"""Who gets which sample: the regions of a component's requests, and the thresholds in each.

Within a request, all of Envoy's runtime fractions draw the same number (modulo their denominator, a million
everywhere). So that samples of several profiles are disjoint and each has its full share, the routes of a region, which
is the set of requests that exactly these profiles match, are ordered and carry cumulative thresholds: the first profile
takes numbers below p1, the next one those from p1 to p1 + p2. A profile whose matcher does not hold adds nothing.

Guarantees: in each region, each profile's share is its own percentage, rounded to a millionth (property test). A
runtime key depends on the profiles before it only, so a change of a percentage changes no route.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from xds_server.errors import ConflictError
from xds_server.model.ids import ProfileID
from xds_server.model.names import MILLION, sample_key
from xds_server.model.network import Protocol
from xds_server.model.profile import ShadowingProfile
from xds_server.translate.condition import Condition, conditions, minimal

MAX_REGIONS = 64
"""Regions a component may have: six profiles that all overlap partly."""
MAX_INTERSECTIONS = 2048
"""Intersections looked at; a chain of nested matchers has many and few regions."""


@dataclass(frozen=True, slots=True)
class Region:
    """Requests that meet one of `conditions`; `profiles`, in order of creation, are those that match them."""

    profiles: tuple[ShadowingProfile, ...]
    conditions: tuple[Condition, ...]

    @property
    def total(self) -> float:
        """The share of the region that is sampled."""
        return sum(profile.percentage for profile in self.profiles)

    def keys(self) -> tuple[str, ...]:
        """Return the runtime key of each profile's threshold."""
        ids = [profile.id for profile in self.profiles]
        return tuple(_key(each, ids[:index]) for index, each in enumerate(ids))

    def thresholds(self) -> tuple[int, ...]:
        """Return each profile's threshold, in millionths."""
        shares = (round(profile.percentage * MILLION) for profile in self.profiles)
        return tuple(min(total, MILLION) for total in accumulate(shares))


def regions(profiles: Sequence[ShadowingProfile], protocol: Protocol) -> list[Region]:
    """Return the regions of a component's profiles (in order of creation), the most specific first.

    A request belongs to the first one that it matches.

    Raises:
        ConflictError: their matchers overlap in too many ways to be told apart by routes.
    """
    groups: dict[tuple[Condition, ...], list[int]] = {}
    for index, profile in enumerate(profiles):
        groups.setdefault(conditions(profile.match, protocol), []).append(index)
    alternatives = list(groups)
    members = list(groups.values())
    found: list[tuple[frozenset[int], tuple[Condition, ...]]] = []
    for count, (chosen, meet) in enumerate(_intersections(alternatives)):
        own = tuple(condition for condition in meet if not _covered(condition, chosen, alternatives))
        if own:
            found.append((chosen, own))
        if len(found) > MAX_REGIONS or count > MAX_INTERSECTIONS:
            raise ConflictError(
                f"the matchers of {len(profiles)} profiles on one component overlap in too many ways",
                field="match",
                hint="give profiles of one component equal or disjoint matchers (methods, paths, header values)",
            )
    found.sort(key=lambda each: (-len(each[0]), sorted(each[0])))
    return [
        Region(tuple(profiles[i] for i in sorted(i for group in chosen for i in members[group])), own)
        for chosen, own in found
    ]


def sample_values(found: Sequence[Region]) -> Mapping[str, int]:
    """Return the thresholds of these regions by runtime key, in millionths."""
    return {
        key: threshold for region in found for key, threshold in zip(region.keys(), region.thresholds(), strict=True)
    }


def _intersections(
    alternatives: Sequence[tuple[Condition, ...]],
) -> Iterator[tuple[frozenset[int], tuple[Condition, ...]]]:
    """Yield each set of groups that a request may belong to together, with the conditions for that."""
    stack: list[tuple[frozenset[int], int, tuple[Condition, ...]]] = [
        (frozenset({index}), index, each) for index, each in enumerate(alternatives)
    ]
    while stack:
        chosen, last, meet = stack.pop()
        yield chosen, meet
        for index in range(last + 1, len(alternatives)):
            both = minimal([c for a in meet for b in alternatives[index] if (c := a.intersection(b)) is not None])
            if both:
                stack.append((chosen | {index}, index, both))


def _covered(condition: Condition, chosen: frozenset[int], alternatives: Sequence[tuple[Condition, ...]]) -> bool:
    """Tell whether each request of the condition matches one more group, so that a larger region takes it."""
    return any(
        condition.implies(other) for index, group in enumerate(alternatives) if index not in chosen for other in group
    )


def _key(profile: ProfileID, before: Sequence[ProfileID]) -> str:
    if not before:
        return sample_key(profile)
    digest = hashlib.blake2b("/".join(before).encode(), digest_size=6).hexdigest()
    return f"{sample_key(profile)}.after.{digest}"
