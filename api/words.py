"""A profile in words, so that a person sees at once whether it says what they meant; and warnings where it may not.

The sample is a share of 0.0-1.0 and fault percentages are 0-100 (as in Envoy); the words tell both in per cent.
"""

from collections.abc import Iterator

from api.schemas.values import format_duration
from api.words_split import sends, steps
from xds_server.model.judging import Judging
from xds_server.model.profile import FaultParameters, HeaderMatch, HeaderMatchKind, Match, SelfSpec, ShadowingProfile
from xds_server.model.quantity import format_bytes
from xds_server.model.rollout import Mode

SMALL_ALPHA = 1e-6
"""A smaller one is warned of."""


def summary(profile: ShadowingProfile, *, ended: bool = False) -> str:
    """Return what a profile does, as one line: `mirrors 50 % of GET /… to v2 for 10m; aborts 20 % with HTTP 503`.

    Args:
        profile: what it is.
        ended: whether none of its instances is left; it mirrors nothing then. Which shares it had while it ran is not
            known: the last one may have been set afterwards.
    """
    versions = " and ".join(variant.name for variant in profile.variants)
    what = f"{_requests(profile.match)} to {versions} for {format_duration(profile.ttl)}"
    if ended:
        nothing = "sends nobody anywhere" if profile.mode is Mode.SPLIT else "mirrors nothing"
        return f"has ended, {nothing} now; it was for {what}"
    if not profile.percentage:
        return f"mirrors nothing (0 %) of {profile.component_name}"
    share = per_cent(profile.percentage * 100)
    if profile.mode is Mode.SPLIT and profile.split is not None:
        of = f"of {_requests(profile.match)} for {format_duration(profile.ttl)}"
        return "; ".join([f"{sends(profile.split)}, {of}", f"measures {share} of the requests", *steps(profile)])
    return "; ".join([f"mirrors {share} of {what}", *_control(profile), *_parts(profile.faults), *steps(profile)])


def fault_summary(faults: FaultParameters) -> str:
    """Return what faults do, as one line: `delays 50 % of the copies by 200ms; aborts 20 % with HTTP 503`."""
    return "; ".join(_parts(faults)) or "does nothing"


def warnings(faults: FaultParameters, *, field: str = "faultInjectionParameters") -> list[str]:
    """Return a line for each fault percentage that looks like a share: `…: 0.5 means half a percent of the copies`."""
    return list(_doubts(faults, field))


def control_warnings(profile: ShadowingProfile) -> list[str]:
    """Return a line when the original has to do more because of a control."""
    if profile.control is None or not isinstance(profile.control.spec, SelfSpec):
        return []
    more = per_cent(profile.percentage * 100)
    told = f"control.self: the original answers each sampled request twice, {more} more requests of those that match"
    return [f"{told}; a control that is a process or an endpoint spares it that"]


def judging_warnings(profile: ShadowingProfile) -> list[str]:
    """Return a line for each limit that nothing exceeds, and for an `alpha` so small that a FAIL hardly ever comes."""
    return list(_boundless(profile.analysis.judging))


def per_cent(value: float) -> str:
    """Return a number with its sign: `12.5 %`."""
    return f"{value:.10g} %"


def _control(profile: ShadowingProfile) -> Iterator[str]:
    control = profile.control
    if control is None or not control.enabled:
        return
    during = "" if control.duration is None else f" for {format_duration(control.duration)}"
    if isinstance(control.spec, SelfSpec):
        yield f"the original answers them twice{during}, to tell noise (extra load)"
    else:
        yield f"and to a control, the original's own version{during}, to tell noise"


def _boundless(judging: Judging) -> Iterator[str]:
    if judging.alpha < SMALL_ALPHA:
        yield f"analysis.alpha: {judging.alpha:.10g} delays each FAIL by a lot; 0.01 is one false alarm in a hundred"
    for at, check in enumerate(judging.checks):
        for name, limit in (("maxIncrease", check.max_increase), ("maxRate", check.max_rate)):
            if limit is not None and limit >= 1:
                told = f"{limit:g} means 100 %, so it never fails; 1 % is 0.01"
                yield f"analysis.checks[{at}].{name}: {told}"


def _doubts(faults: FaultParameters, field: str) -> Iterator[str]:
    parts = {"delay": faults.delay, "abort": faults.abort, "responseRateLimit": faults.response_rate_limit}
    for name, part in parts.items():
        if part is not None and 0 < part.percentage <= 1:
            given = f"{part.percentage:.10g}"
            means = {"0.5": "half a percent", "1": "one percent"}.get(given, f"{given} percent")
            if part.percentage == 1:
                rather = "all of them are 100"
            else:
                rather = f"{per_cent(part.percentage * 100)} of them are {part.percentage * 100:.10g}"
            yield f"{field}.{name}.percentage: {given} means {means} of the copies; {rather}"


def _parts(faults: FaultParameters) -> Iterator[str]:
    only = f" with {_headers(faults.headers)}" if faults.headers else ""
    copies = f"of the copies{only}"
    if delay := faults.delay:
        yield f"delays {per_cent(delay.percentage)} {copies} by {format_duration(delay.fixed_delay)}"
    if abort := faults.abort:
        status = f"gRPC status {abort.grpc_status}" if abort.http_status is None else f"HTTP {abort.http_status}"
        yield f"aborts {per_cent(abort.percentage)} {copies} with {status}"
    if limit := faults.response_rate_limit:
        yield f"slows the answers to {per_cent(limit.percentage)} {copies} to {limit.kbps} KiB/s"
    yield from _to_the_instance(faults)


def _to_the_instance(faults: FaultParameters) -> Iterator[str]:
    if faults.pause:
        yield "pauses the instance"
    if faults.kill:
        yield "kills the instance, which is started again at the end"
    if stress := faults.stress:
        cpus = [] if stress.cpus is None else [f"{stress.cpus:g} processors"]
        memory = [] if stress.memory is None else [f"{format_bytes(stress.memory)} of memory"]
        yield f"lowers the instance's limits to {' and '.join([*cpus, *memory])}"


def _requests(match: Match) -> str:
    if match.grpc:
        words = f"gRPC {', '.join(match.grpc)}"
    else:
        path = match.path or (f"{match.path_prefix}…" if match.path_prefix else f"paths like {match.path_regex}")
        words = f"{', '.join(match.methods)} {path}"
    return f"{words} with {_headers(match.headers)}" if match.headers else words


def _headers(headers: tuple[HeaderMatch, ...]) -> str:
    forms = {
        HeaderMatchKind.EXACT: "{0.name}: {0.value}",
        HeaderMatchKind.PREFIX: "{0.name}: {0.value}…",
        HeaderMatchKind.REGEX: "{0.name} like {0.value}",
        HeaderMatchKind.PRESENT: "{0.name}",
    }
    return " and ".join(forms[header.kind].format(header) for header in headers)
