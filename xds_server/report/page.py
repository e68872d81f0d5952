"""What stands on the page, part by part, in words; the template only arranges it.

Guarantees: bounded: `MOST_*` of everything that there may be many of, examples together at most `EXAMPLES` characters
as HTML, so that the page stays below `LARGEST`; what was left out is said.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xds_server.report.geometry import bars, distribution
from xds_server.report.subject import Subject, listed
from xds_server.report.words import (
    DECISIONS,
    FAIL,
    INCONCLUSIVE,
    JSON,
    PASS,
    bound,
    clip,
    effect,
    figure,
    interval,
    limit,
    measured,
    milliseconds,
    missing,
    moment,
    place,
    plain,
    real,
    share,
    size,
    times,
    title,
)

LARGEST = 2_000_000
"""Bytes of a page, about."""
EXAMPLES = 600_000
VALUE = 1_500
"""Characters of a value."""
MOST_CHECKS = 240
MOST_CLASSES = 100
MOST_QUIET = 60
MOST_VALUES = 3
"""Examples of a class of difference."""
MOST_ENDPOINTS = 30
MOST_ROWS = 60
VERSIONS = 4
"""Versions that have a colour of their own."""
_REAL = {"difference", "undecided"}
_WORDS = {
    PASS: "every critical check keeps its limit",
    FAIL: "a limit is exceeded",
    INCONCLUSIVE: "not decided",
}
_CLASSES = {
    "status": "another status",
    "status_code": "another status of its class",
    "type": "another type",
    "value": "another value",
    "text": "another text",
    "header": "another header",
    "missing": "missing",
    "extra": "added",
    "array_order": "another order",
    "array_length": "another length",
    "same_kind": "another value of a known kind",
}
_NATURES = {
    "difference": "difference",
    "undecided": "may be noise",
    "noise": "noise: the control differs so too",
    "recognised": "known by its looks",
}


def page(subject: Subject) -> JSON:
    """Return the page's parts by name, for the template."""
    verdict, comparison = subject.verdict, subject.comparison
    proven = {
        (d.get("variant") or "", d.get("endpoint"), d.get("field"), d.get("class"))
        for d in listed(verdict.get("differences"))
    }
    real_ones = [each for each in subject.differences if each.get("nature") in _REAL]
    quiet = [each for each in subject.differences if each.get("nature") not in _REAL]
    drawn, drawn_left = _times(subject)
    return {
        "subject": subject,
        "decision": subject.decision,
        "words": _WORDS[subject.decision],
        "versions": subject.meant,
        "facts": list(_facts(subject)),
        "reasons": subject.reasons,
        "sure": _sure(subject),
        "ranking": [] if subject.variant else _ranking(subject),
        "groups": _groups(_ranked(subject)[:MOST_CHECKS]),
        "checks_left": max(0, len(subject.checks) - MOST_CHECKS) + int(real(verdict.get("omitted")) or 0),
        "times": drawn,
        "times_left": drawn_left,
        "differences": _differences(real_ones[:MOST_CLASSES], proven),
        "unlisted": not real_ones and bool(comparison.get("discrepancies")),
        "differences_left": max(0, len(real_ones) - MOST_CLASSES) + max(0, subject.total - len(subject.differences)),
        "quiet": [_quiet(each) for each in quiet[:MOST_QUIET]],
        "quiet_left": max(0, len(quiet) - MOST_QUIET),
        "counts": _counts(comparison),
        "noise": clip((comparison.get("noiseMeasured") or {}).get("summary", "")),
        "hint": clip(comparison.get("hint") or ""),
        "missing": missing(verdict.get("missing")),
        "losses": [*_named("lost", comparison.get("lost")), *_named("not judged", comparison.get("notJudged"))],
        "resources": _resources(subject.profile),
        "resilience": _resilience(verdict.get("resilience")),
        "harm": _harm(verdict.get("harm")),
        "between": _between(verdict.get("between")),
        "envoy": _envoy(verdict.get("envoy")),
        "alpha": share(verdict.get("alpha")) if verdict.get("alpha") else "",
    }


def _facts(subject: Subject) -> Iterable[tuple[str, str]]:
    verdict, profile = subject.verdict, subject.profile
    yield "profile", subject.name
    if len(subject.ranking) > 1 and not subject.variant:
        yield "versions", ", ".join(subject.versions)
    yield "network", clip(subject.network, 120)
    if verdict.get("pairs") is not None:
        yield "pairs of answers", figure(verdict["pairs"])
    elif subject.comparison:
        yield "pairs of answers", figure(subject.comparison.get("pairs"))
    if verdict.get("since"):
        yield f"{subject.decision} since", moment(verdict["since"])
    if profile.get("createdAt"):
        yield "started", moment(profile["createdAt"])
    if profile.get("endedAt"):
        yield "ended", moment(profile["endedAt"])
    rollout = profile.get("rollout")
    if isinstance(rollout, Mapping) and rollout.get("steps"):
        told = f"step {figure(rollout.get('step'))} of {figure(rollout['steps'])}, {rollout.get('state')}"
        yield "rollout", clip(told, 120)
    if profile.get("summary"):
        yield "does", clip(profile["summary"], 300)
    yield from ((clip(name, 60), clip(value, 300)) for name, value in subject.extra.items())
    yield "report of", moment(subject.made_at)


def _sure(subject: Subject) -> str:
    alpha = real(subject.verdict.get("alpha"))
    if not alpha or subject.decision == INCONCLUSIVE:
        return ""
    what = {
        FAIL: "a version that keeps every limit would be called FAIL",
        PASS: "a version beyond a limit would pass that check",
    }[subject.decision]
    return f"The chance that {what} is at most {share(alpha)}, however often one looks."


def _ranking(subject: Subject) -> list[JSON]:
    if len(subject.ranking) < 2:  # noqa: PLR2004 - one alone has no rank
        return []
    return [
        {
            "rank": figure(each.get("rank")),
            "variant": clip(each.get("variant"), 120),
            "decision": _decision(each),
            "score": figure(each.get("score")),
            "reasons": [clip(reason) for reason in (each.get("reasons") or [])[:3]],
        }
        for each in subject.ranking[:MOST_ROWS]
    ]


def _ranked(subject: Subject) -> list[JSON]:
    """Return the checks of the best version first."""
    ranks = {each.get("variant"): at for at, each in enumerate(subject.ranking)}
    return sorted(subject.checks, key=lambda check: ranks.get(check.get("variant"), len(ranks)))


def _decision(check: Mapping[str, Any]) -> str:
    found = check.get("decision")
    return str(found) if found in DECISIONS else INCONCLUSIVE


def _groups(checks: Sequence[JSON]) -> list[JSON]:
    """Return checks by version and metric: all traffic first, its endpoints below."""
    found: dict[tuple[str, str, str], list[JSON]] = {}
    for check in checks:
        key = (str(check.get("variant") or ""), str(check.get("metric")), str(check.get("name")))
        found.setdefault(key, []).append(check)
    several = len({key[0] for key in found}) > 1
    return [_group(each, clip(key[0], 120) if several else "") for key, each in found.items()]


def _group(checks: Sequence[JSON], variant: str) -> JSON:
    shown = [{**_check(check), "bar": bar} for check, bar in zip(checks, bars(checks), strict=True)]
    whole = [each for each, check in zip(shown, checks, strict=True) if not check.get("endpoint")]
    order = {decision: at for at, decision in enumerate(DECISIONS)}
    below = sorted(
        (each for each, check in zip(shown, checks, strict=True) if check.get("endpoint")),
        key=lambda each: (not each["judged"], order[each["decision"]]),
    )
    judged = [each["decision"] for each in below if each["judged"]]
    counts = [f"{judged.count(decision)} {decision}" for decision in DECISIONS if decision in judged]
    counts += [f"{len(below) - len(judged)} not judged"] if len(below) > len(judged) else []
    return {
        "title": title(checks[0]),
        "variant": variant,
        "critical": bool(checks[0].get("critical")),
        "muted": bool(checks[0].get("muted")),
        "whole": whole,
        "below": below,
        "summary": f"{len(below)} endpoint{'s' * (len(below) != 1)}: {', '.join(counts)}",
        "open": FAIL in judged,
    }


def _check(check: JSON) -> JSON:
    needed = check.get("pairsNeeded")
    return {
        "place": place(check),
        "decision": _decision(check),
        "judged": check.get("judged") is not False,
        "reference": "control" if check.get("reference") == "control" else "original",
        "original": measured(check, check.get("original")),
        "shadow": measured(check, check.get("shadow")),
        "effect": effect(check, check.get("effect")),
        "interval": interval(check),
        "limit": limit(check),
        "short": bound(check),
        "pairs": figure(check.get("pairs")),
        "needed": figure(needed) if needed else "",
        "reason": clip(check.get("reason") or "").removeprefix(f"{place(check)}: "),
        "name": f"{title(check)}, {place(check)}",
    }


def _times(subject: Subject) -> tuple[list[JSON], int]:
    known = {str(each.get("endpoint")): each for each in listed(subject.comparison.get("endpoints"))}
    histograms = subject.histograms or {}
    drawn = listed(histograms.get("endpoints"))
    if subject.variant:
        drawn = [_of(each, subject.variant) for each in drawn]
    pictures = {str(each.get("endpoint") or ""): each for each in drawn}
    names = list(dict.fromkeys([*pictures, *known]))
    made = [_time(name, pictures.get(name) or {}, known.get(name) or {}) for name in names]
    made = [each for each in made if each["rows"]]
    left = max(0, len(made) - MOST_ENDPOINTS) + int(real(histograms.get("leftOut")) or 0)
    return made[:MOST_ENDPOINTS], left


def _of(endpoint: JSON, variant: str) -> JSON:
    legs = [leg for leg in listed(endpoint.get("legs")) if leg.get("variant") in {None, "", variant}]
    return {**endpoint, "legs": legs}


def _time(name: str, endpoint: JSON, known: JSON) -> JSON:
    """Return one picture with its numbers; without histograms the numbers are those of the comparison."""
    picture = distribution(endpoint)
    drawn = [leg for leg in listed(endpoint.get("legs")) if picture]
    curves = {(curve.leg, curve.variant): curve for curve in picture.curves} if picture else {}
    legs = drawn or [
        {**known[leg], "leg": leg} for leg in ("original", "shadow") if isinstance(known.get(leg), Mapping)
    ]
    versions: dict[str, int] = {}
    rows, marks = [], []
    for leg in legs:
        kind, variant = str(leg.get("leg")), str(leg.get("variant") or "")
        number = versions.setdefault(variant, len(versions) % VERSIONS) if kind == "shadow" else 0
        style = f"version-{number}" if kind == "shadow" else "control" if kind == "control" else "original"
        values = [(label, real(leg.get(label))) for label in ("p50", "p90", "p99")]
        if picture and kind != "control":
            at = [(label, picture.at(value)) for label, value in values if label != "p90"]
            marks += [{"style": style, "label": label, "x": x} for label, x in at if x is not None]
        if any(value is not None for _, value in values):
            rows.append(
                {
                    "style": style,
                    "label": clip(variant, 60) if kind == "shadow" and variant else clip(kind, 60),
                    "curve": curves.get((kind, variant)),
                    "count": figure(leg.get("count")),
                    "values": [milliseconds(value) for _, value in values],
                }
            )
    return {
        "name": clip(name, 200) or "all traffic",
        "whole": not name,
        "picture": picture,
        "rows": rows,
        "marks": marks,
        "short": [row["values"] for row in rows if row["style"] != "control"],
    }


def _differences(items: Sequence[JSON], proven: set[tuple[Any, ...]]) -> list[JSON]:
    several = len({each.get("variant") for each in items}) > 1
    room = EXAMPLES
    groups: dict[tuple[Any, Any], JSON] = {}
    for each in items:
        key = (each.get("variant"), each.get("endpoint"))
        group = groups.setdefault(
            key,
            {
                "endpoint": clip(each.get("endpoint") or "", 200),
                "variant": clip(each.get("variant") or "", 120) if several else "",
                "pairs": figure(each.get("pairs")),
                "items": [],
            },
        )
        examples = []
        for value in listed(each.get("values") or [each.get("example")])[:MOST_VALUES]:
            example = _example(value)
            room -= sum(len(html.escape(str(part))) for part in example.values() if part is not None)
            if room < 0:
                break
            examples.append(example)
        names = {(variant, *(each.get(k) for k in ("endpoint", "field", "class"))) for variant in ("", key[0])}
        group["items"].append({**_class(each), "proven": bool(names & proven), "examples": examples})
    return list(groups.values())


def _class(each: JSON) -> JSON:
    kind = str(each.get("class") or "")
    control = (each.get("noise") or {}).get("controlRate")
    least = "" if each.get("countIs") != "atLeast" else "at least "
    return {
        "field": clip(each.get("field") or "", 200),
        "class": _CLASSES.get(kind, plain(kind)),
        "what": clip(each.get("what") or "", 80),
        "share": share(each.get("rate")),
        "count": least + figure(each.get("count")),
        "nature": _NATURES.get(str(each.get("nature")), clip(each.get("nature"), 60)),
        "undecided": each.get("nature") == "undecided",
        "control": "" if control is None else share(control),
        "since": moment(each.get("firstSeen")),
        "until": moment(each.get("lastSeen")),
    }


def _example(value: JSON) -> JSON:
    return {
        "request": clip(f"{value.get('method') or ''} {value.get('path') or ''}".strip(), 300),
        "pair": clip(value.get("pairID") or "", 120),
        "at": clip(value.get("at") or "", 200),
        "original": None if value.get("original") is None else clip(value["original"], VALUE),
        "shadow": None if value.get("shadow") is None else clip(value["shadow"], VALUE),
    }


def _quiet(each: JSON) -> JSON:
    return {**_class(each), "endpoint": clip(each.get("endpoint") or "", 200)}


def _counts(comparison: JSON) -> list[tuple[str, str, str]]:
    words = {
        "identical": "identical",
        "noise": "differ in noise alone",
        "undecided": "differ in what may be noise",
        "discrepancies": "really differ",
    }
    pairs = real(comparison.get("pairs")) or 0
    if not pairs:
        return []
    return [
        (told, figure(comparison[key]), share((real(comparison[key]) or 0) / pairs))
        for key, told in words.items()
        if comparison.get(key) is not None
    ]


def _named(what: str, counts: Any) -> list[tuple[str, str, str]]:
    if not isinstance(counts, Mapping):
        return []
    return [(what, plain(kind), figure(count)) for kind, count in list(counts.items())[:MOST_ROWS] if count]


def _resources(profile: JSON) -> list[JSON]:
    made = []
    for instance in listed(profile.get("instances"))[:MOST_ROWS]:
        data = instance.get("performanceData") or {}
        cpu, memory = (data.get(name) or {} for name in ("cpu", "memory"))
        made.append(
            {
                "variant": clip(instance.get("variant") or "", 120),
                "control": bool(instance.get("control")),
                "status": clip(instance.get("status") or "", 40),
                "reason": clip(instance.get("reason") or "", 200),
                "cpu": figure(cpu.get("mean")),
                "cpu_max": figure(cpu.get("max")),
                "memory": size(memory.get("mean")),
                "memory_max": size(memory.get("max")),
            }
        )
    return made


def _resilience(found: Any) -> JSON | None:
    if not isinstance(found, Mapping):
        return None
    return {
        "score": share(found.get("score")),
        "summary": clip(found.get("summary") or ""),
        "endpoints": [
            {
                "variant": clip(each.get("variant") or "", 120),
                "endpoint": clip(each.get("endpoint") or "all traffic", 200),
                "score": share(each.get("score")),
                "failing": share(each.get("failing")),
                "differing": share(each.get("differing")),
                "slower": times(each.get("slower")),
                "pairs": figure(each.get("pairs")),
            }
            for each in listed(found.get("endpoints"))[:MOST_ROWS]
        ],
    }


def _harm(found: Any) -> JSON | None:
    if not isinstance(found, Mapping) or not found.get("decision"):
        return None
    return {
        "decision": plain(found["decision"]),
        "bad": found["decision"] == "HARM",
        "reason": clip(found.get("reason") or ""),
        "metrics": [
            {
                "title": title(_based(each)),
                "plain": measured(_based(each), each.get("plain")),
                "mirrored": measured(_based(each), each.get("mirrored")),
                "effect": effect(_based(each), each.get("effect")),
                "interval": interval(_based(each)),
                "limit": limit(_based(each)),
            }
            for each in listed(found.get("metrics"))[:MOST_ROWS]
        ],
    }


def _based(check: JSON) -> JSON:
    """Return a check whose metric may be named with its quantile with the metric alone, and the whole as its name."""
    whole = str(check.get("metric") or "")
    return {**check, "metric": whole.partition(" ")[0], "name": check.get("name") or whole}


def _between(found: Any) -> list[JSON]:
    return [
        {
            "a": clip(each.get("a") or "", 120),
            "b": clip(each.get("b") or "", 120),
            "title": title(each),
            "place": place(each),
            "effect": effect(each, each.get("effect")),
            "interval": interval(each),
            "decision": _better(each),
        }
        for each in map(_with_unit, listed(found)[:MOST_ROWS])
    ]


def _with_unit(between: JSON) -> JSON:
    """Return what compares two versions like a check: shares are subtracted, all else is divided."""
    based = _based(between)
    return {**based, "unit": "share" if based["metric"] in {"error_rate", "difference_rate"} else "ratio"}


def _better(between: JSON) -> str:
    found = {"A": between.get("a"), "B": between.get("b")}.get(str(between.get("decision")))
    return f"{clip(found, 120)} is better" if found else "undecided"


def _envoy(found: Any) -> JSON | None:
    if not isinstance(found, Mapping):
        return None
    columns: dict[str, Mapping[str, Any]] = {}
    if isinstance(found.get("original"), Mapping) and found["original"]:
        columns["original"] = found["original"]
    columns |= {clip(k, 120): v for k, v in (found.get("variants") or {}).items() if isinstance(v, Mapping)}
    names = list(dict.fromkeys(name for counters in columns.values() for name in counters))[:MOST_ROWS]
    reason = clip(found.get("reason") or "")
    if not names and not reason:
        return None
    return {
        "columns": list(columns),
        "rows": [(clip(name, 120), [figure(counters.get(name)) for counters in columns.values()]) for name in names],
        "reason": reason,
    }
