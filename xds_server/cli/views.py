"""Tables of what the API answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from xds_server.cli import verdict_views
from xds_server.cli.client import JSON
from xds_server.cli.output import clean, lived, number, rows, since, table
from xds_server.report.subject import Subject

_TYPES = {
    "Cluster": "CDS",
    "ClusterLoadAssignment": "EDS",
    "Listener": "LDS",
    "RouteConfiguration": "RDS",
    "Runtime": "RTDS",
}
_WORST = ("NACKED", "STALE", "SENT", "ACKED")


def networks(items: Iterable[JSON]) -> Table:
    """Return networks as a table."""
    made = table("NAME", "COMPONENTS", "REVISION", "AGE", "ID")
    return rows(
        made,
        (
            (n["name"], _names(n["components"]), n["revision"], lived(n["createdAt"]), n["virtualNetworkID"])
            for n in items
        ),
    )


def profiles(items: Iterable[JSON]) -> Table:
    """Return profiles as a table."""
    made = table("NAME", "COMPONENT", "VERSIONS", "SHARE", "TTL", "INSTANCES", "PAIRS", "AGE", "ID")
    return rows(made, (_profile(one) for one in items))


def _profile(one: JSON) -> Sequence[Any]:
    compared = one["comparison"] or {}
    return (
        one.get("name"),
        one["componentName"],
        _names(one["variants"]),
        number(one["trafficShadowingPercentage"], "%"),
        one["shadowInstanceTTL"],
        _counted(instance["status"] for instance in one["instances"]),
        compared.get("pairs"),
        lived(one["createdAt"]),
        one["profileID"],
    )


def instances(items: Iterable[JSON]) -> Table:
    """Return instances as a table."""
    made = table("INSTANCE", "COMPONENT", "VERSION", "STATUS", "NODE", "ADDRESS", "EXPIRES", "CPU", "MEMORY", "FAULTS")
    return rows(made, (_instance(one) for one in items))


def _instance(one: JSON) -> Sequence[Any]:
    data, address = one["performanceData"], one["address"]
    living = one["status"] in {"Pending", "Running"}
    return (
        one["instanceID"],
        one["componentName"],
        one["variant"],
        one["status"] + (f" ({'; '.join(remarks)})" if (remarks := _remarks(one)) else ""),
        one["node"],
        f"{address['address']}:{address['port']}" if address else "",
        lived(one["expiresAt"]) if living else "",
        number(data.get("cpu", {}).get("latest")),
        number(data.get("memory", {}).get("latest"), "bytes"),
        "; ".join(fault["summary"] for fault in one["faults"]),
    )


def _remarks(one: JSON) -> list[str]:
    """Return why it ended, and what went on in its container."""
    data = one["performanceData"]
    denied = data.get("deniedEgress") or []
    named = ", ".join(f"{d['destination']}/{d['protocol']} x{d['count']}" for d in denied[:3])
    more = f" and {len(denied) - 3} more" if len(denied) > 3 else ""  # noqa: PLR2004 - as many as are named
    return [
        *([one["reason"]] if one["reason"] else []),
        *([f"egress denied: {named}{more}"] if denied else []),
        *([f"{data['oomKills']} killed for want of memory"] if data.get("oomKills") else []),
        *([f"{data['restarts']} restarts"] if data.get("restarts") else []),
    ]


def faults(items: Iterable[JSON]) -> Table:
    """Return faults as a table."""
    made = table("FAULT", "INSTANCE", "DOES", "OF", "ENDS")
    return rows(
        made,
        (
            (
                f["faultID"],
                f["instanceID"],
                f["summary"],
                "the profile" if f["fromProfile"] else "inject_fault",
                lived(f["expiresAt"]) or "with the instance",
            )
            for f in items
        ),
    )


def nodes(items: Iterable[JSON]) -> Table:
    """Return nodes as a table; what shadows ask for stands before what there is."""
    made = table("NAME", "ZONE", "SHADOWS", "CPUS", "MEMORY", "LOAD", "FREE", "LABELS", "TAINTS", "HEALTHY")
    return rows(
        made,
        (
            (
                n["name"],
                "/".join(filter(None, (n["region"], n["zone"]))),
                f"{n['running']}/{n['maxShadows']}",
                f"{n['requestedCpus']:g}/{n['cpus']:g}",
                f"{number(n['requestedMemoryBytes'], 'bytes')}/{number(n['memoryBytes'], 'bytes')}",
                number(n["cpuLoad"], "%"),
                number(n["memoryFreeBytes"], "bytes"),
                "; ".join(f"{name}={value}" for name, value in n["labels"].items() if not name.startswith(_KNOWN)),
                "; ".join(f"{t['key']}{'=' if t['value'] else ''}{t['value']}:{t['effect']}" for t in n["taints"]),
                _health(n),
            )
            for n in items
        ),
    )


_KNOWN = ("kubernetes.io/hostname", "topology.kubernetes.io/")
"""Labels that say what other columns do."""


def _health(node: JSON) -> str:
    if not node["healthy"]:
        return str(node["reason"])
    away = [f"no {kind}: {why}" for kind, why in node["away"].items()]
    off = [f"{kind} left alone until {one['until'][11:19]}: {one['reason']}" for kind, one in node["backedOff"].items()]
    return "; ".join((*away, *off)) or "yes"


def envoys(items: Iterable[JSON]) -> Table:
    """Return Envoys with what they accepted, as `istioctl proxy-status` shows it."""
    made = table("ENVOY", "CONNECTED", *_TYPES.values(), "VERSION")
    return rows(made, (_envoy(one) for one in items))


def _envoy(one: JSON) -> Sequence[Any]:
    states: dict[str, list[str]] = {}
    for resource in one["resources"]:
        states.setdefault(str(resource["typeURL"]).rpartition(".")[2], []).append(resource["state"])
    lag = "yes" if one["connected"] else f"gone for {since(one['since'])}"
    return (one["nodeID"], lag, *(_state(states.get(kind, [])) for kind in _TYPES), one.get("userAgent"))


def _state(states: Sequence[str]) -> str:
    if not states:
        return ""
    worst = min(states, key=lambda state: _WORST.index(state) if state in _WORST else len(_WORST))
    return f"{worst} {states.count(worst)}/{len(states)}"


def status(data: JSON) -> Iterator[RenderableType]:
    """Return a network's status, part by part."""
    yield Text.assemble(
        ("network ", "dim"), (clean(str(data["name"])), "bold"), (f"  {data['virtualNetworkID']}", "dim")
    )
    if data.get("problem"):
        yield Text(f"not served as it is written: {clean(data['problem'])}", style="red")
    if not data["profiles"]:
        yield Text("no profiles", style="dim")
    for profile in data["profiles"]:
        yield from _profile_status(profile)
    yield Text("")
    yield envoys(data["envoys"]) if data["envoys"] else Text("no Envoy has connected yet", style="dim")
    yield from _rejected(data["envoys"])
    yield from _alerts(data)


def _profile_status(profile: JSON) -> Iterator[RenderableType]:
    yield Text("")
    name = profile.get("name") or profile["profileID"]
    yield Text.assemble(("profile ", "dim"), (clean(name), "bold"), f"  {clean(profile['summary'])}")
    for warning in profile["warnings"]:
        yield Text(f"  {clean(warning)}", style="yellow")
    if profile["instances"]:
        yield instances(profile["instances"])
    for instance in profile["instances"]:
        for line in instance["logTail"] if instance["status"] == "Failed" else ():
            yield Text(f"  | {clean(line)}", style="dim")
    yield from verdict_views.brief(profile, Subject.now("", profile))
    yield from _compared(profile["comparison"])


def _compared(comparison: JSON | None) -> Iterator[RenderableType]:
    if not comparison:
        yield Text("nothing compared yet", style="dim")
        return
    names = ("pairs", "identical", "noise", "discrepancies", *(("undecided",) if comparison.get("undecided") else ()))
    counts = {k: comparison[k] for k in names if k in comparison}
    yield Text(", ".join(f"{number(v)} {k}" for k, v in counts.items()))
    if measured := comparison.get("noiseMeasured"):
        yield Text(clean(measured["summary"]), style="" if measured["byControl"] else "yellow")
    classes = comparison.get("byClass") or {}
    if classes:
        yield Text("differences: " + ", ".join(f"{clean(k)} {number(v)}" for k, v in sorted(classes.items())))
    lost = comparison.get("lost")
    named = {k: v for k, v in lost.items() if v} if isinstance(lost, Mapping) else {"records": lost} if lost else {}
    if comparison.get("hint"):
        yield Text(clean(comparison["hint"]), style="yellow")
    if comparison.get("endpoints"):
        yield endpoints(comparison["endpoints"])
    if named:
        yield Text("lost: " + ", ".join(f"{clean(k)} {number(v)}" for k, v in named.items()), style="yellow")


def endpoints(items: Iterable[JSON]) -> Table:
    """Return what was compared by endpoint, those that differ most first."""
    made = table("ENDPOINT", "PAIRS", "NOISE", "DIFFER", "P50", "P50 SHADOW", "P99", "P99 SHADOW", "MOST OFTEN")
    return rows(made, (_endpoint(one) for one in items))


def _endpoint(one: JSON) -> Sequence[Any]:
    differences = [each for each in one.get("differences") or [] if each.get("nature", "difference") == "difference"]
    often = f"{differences[0]['field']} ({differences[0]['class']})" if differences else ""
    times = [one[leg].get(quantile) for quantile in ("p50", "p99") for leg in ("original", "shadow")]
    shown = [number(None if time is None else time / 1000, "s") for time in times]
    return (one["endpoint"], one["pairs"], one.get("noise"), one["discrepancies"], *shown, often)


def _rejected(found: Iterable[JSON]) -> Iterator[RenderableType]:
    for envoy in found:
        for resource in envoy["resources"]:
            if resource["state"] == "NACKED":
                told = f"{envoy['nodeID']} rejected {resource['name']}: {resource['error']}"
                yield Text(clean(" ".join(told.split())), style="red")


def _alerts(data: JSON) -> Iterator[RenderableType]:
    for alert in data.get("alerts", ()):
        words = alert["annotations"]
        told = " | ".join(filter(None, (words.get("summary"), words.get("description"))))
        yield Text(clean(f"alert since {since(alert['startsAt'])}: {told}"), style="red")
    for sink in data.get("alertSinks", ()):
        if not sink["ok"]:
            told = f"{sink['name']} ({sink['target']}) is not told of alerts, {sink['pending']} wait: {sink['error']}"
            yield Text(clean(told), style="yellow")


def _names(items: Iterable[JSON]) -> str:
    return ", ".join(str(item["name"]) for item in items)


def _counted(states: Iterable[str]) -> str:
    found = list(states)
    return ", ".join(f"{state} {found.count(state)}" for state in dict.fromkeys(found))
