"""Who gets which sample: the regions of a component's requests, and the thresholds in each.

Within a request, all of Envoy's runtime fractions draw the same number (modulo their denominator, a million
everywhere). So that samples of several profiles are disjoint and each has its full share, the routes of a region, which
is the set of requests that exactly these profiles match, are ordered and carry cumulative thresholds: the first profile
takes numbers below p1, the next one those from p1 to p1 + p2. A profile whose matcher does not hold adds nothing.

Guarantees: in each region, each profile's share is its own percentage, rounded to a millionth (property test). A
runtime key depends on the profiles before it only, so a change of a percentage changes no route.

Beside its sample, each profile has a plain one, of requests that are only measured: drawn like those that are mirrored,
they tell what the mirroring does to the original. It takes as much of each region of the profile, so both samples are
made of the same kinds of requests: at most `PLAIN_SHARE`, and what is left where the least is left.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from xds_server.errors import ConflictError
from xds_server.model.ids import ProfileID
from xds_server.model.names import MILLION, plain_key, sample_key
from xds_server.model.network import Protocol
from xds_server.model.profile import ShadowingProfile
from xds_server.translate.condition import Condition, conditions, minimal

PLAIN_SHARE = 0.1
"""The largest plain sample."""
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
        return tuple(_key(sample_key(each), ids[:index]) for index, each in enumerate(ids))

    def plain_keys(self) -> tuple[str, ...]:
        """Return the runtime key of the threshold of each profile's plain sample."""
        ids = [profile.id for profile in self.profiles]
        return tuple(_key(plain_key(each), ids if len(ids) > 1 else ()) for each in ids)

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
    values: dict[str, int] = {}
    plain = plain_shares(found)
    for region in found:
        thresholds = region.thresholds()
        values |= zip(region.keys(), thresholds, strict=True)
        ends = accumulate((plain[each.id] for each in region.profiles), initial=thresholds[-1])
        values |= zip(region.plain_keys(), list(ends)[1:], strict=True)
    return values


def plain_shares(found: Sequence[Region]) -> Mapping[ProfileID, int]:
    """Return the plain sample of each profile in millionths: the same in all of its regions."""
    left = {index: MILLION - region.thresholds()[-1] for index, region in enumerate(found)}
    shares: dict[ProfileID, int] = {}
    profiles = {profile.id: profile for region in found for profile in region.profiles}
    for each in profiles.values():
        inside = [index for index, region in enumerate(found) if each.id in {p.id for p in region.profiles}]
        most = round(min(each.percentage, PLAIN_SHARE) * MILLION)
        shares[each.id] = share = min(most, *(left[index] for index in inside))
        for index in inside:
            left[index] -= share
    return shares


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


def _key(key: str, before: Sequence[ProfileID]) -> str:
    if not before:
        return key
    digest = hashlib.blake2b("/".join(before).encode(), digest_size=6).hexdigest()
    return f"{key}.after.{digest}"
