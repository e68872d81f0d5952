"""A profile's control: which one it is, until when it runs, whether it may be started again. Pure.

Guarantees: a control's duration counts from its first start, over all its instances, so no restart of the manager and
no raised percentage gives it more; it never outlives the shadows' TTL.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from xds_server.model.network import Component
from xds_server.model.profile import Control, ShadowingProfile, Variant
from xds_server.model.shadow import ShadowInstance

OVER = "its duration as a control was over; what it has shown is kept"
"""`reason` of a control that has run for its duration."""


def with_control(profile: ShadowingProfile, component: Component) -> ShadowingProfile:
    """Return a new profile with its control filled in: its own, or the component's `version`.

    One that names nothing keeps naming nothing when the component has no version (`check_new_profile` refuses it). A
    profile that only sends real users gets none by itself: there are no copies.
    """
    if profile.control is not None:
        return replace(profile, control=profile.control.resolved(component.version))
    return (
        profile
        if component.version is None or not profile.mirrors
        else replace(profile, control=Control(component.version))
    )


def first_start(profile: ShadowingProfile, instances: Iterable[ShadowInstance]) -> datetime | None:
    """Return when a profile's control was started for the first time; None when it never was, or there is none."""
    starts = [i.created_at for i in instances if profile.is_control(i.variant)]
    return min(starts, default=None)


def expiry(profile: ShadowingProfile, variant: str, created_at: datetime, *, first: datetime | None = None) -> datetime:
    """Return when an instance's time is over. `first` is when the profile's control was started first, if it was."""
    ttl = created_at + timedelta(seconds=profile.ttl)
    control = profile.control
    if control is None or control.duration is None or not profile.is_control(variant):
        return ttl
    return min(ttl, (first or created_at) + timedelta(seconds=control.duration))


def missing(profile: ShadowingProfile, instances: Iterable[ShadowInstance], *, now: datetime) -> tuple[Variant, ...]:
    """Return the versions that have no living instance and may be started: not a control whose duration is over."""
    known = list(instances)
    live = {i.variant for i in known if not i.ended}
    first = first_start(profile, known)
    return tuple(v for v in profile.versions if v.name not in live and expiry(profile, v.name, now, first=first) > now)


def why_over(profile: ShadowingProfile, instance: ShadowInstance) -> str:
    """Return what `reason` says when the time of an instance is over; empty: the usual words."""
    ttl = instance.created_at + timedelta(seconds=profile.ttl)
    return OVER if profile.is_control(instance.variant) and instance.expires_at < ttl else ""
