"""A verdict as Markdown, for a comment on a change.

Guarantees: foreign text is no markup and no mention of anybody: what could be stands as entities. At most `MOST_CHECKS`
and `MOST_DIFFERENCES` lines, below what a comment may hold.
"""

import re
from collections.abc import Iterable, Iterator

from xds_server.report.subject import Subject, listed
from xds_server.report.words import (
    DECISIONS,
    FAIL,
    INCONCLUSIVE,
    JSON,
    NOTHING,
    PASS,
    clip,
    effect,
    figure,
    interval,
    limit,
    measured,
    missing,
    moment,
    share,
    title,
)

MOST_CHECKS = 40
MOST_DIFFERENCES = 20
MARKS = {PASS: "✅", FAIL: "❌", INCONCLUSIVE: "❔"}
_SPECIAL = re.compile(r"[\\`*\[\]<>#|~&@$]|(?<!\w)_|_(?!\w)|:(?=//)")
_MENTION = "&#64;"
_VALUE = 60
_LONG = 200


def markdown(subject: Subject) -> str:
    """Return the comment."""
    return "\n".join(_lines(subject)).rstrip() + "\n"


def _lines(subject: Subject) -> Iterator[str]:
    verdict = subject.verdict
    what = f"{code(subject.meant)} of {code(subject.component)}"
    yield f"### {MARKS[subject.decision]} {subject.decision}: {what}"
    yield ""
    said = [f"profile {code(subject.name)}", f"network {code(subject.network)}"]
    said += [f"{figure(verdict['pairs'])} pairs"] if verdict.get("pairs") is not None else []
    said += [f"since {text(moment(verdict['since']))}"] if verdict.get("since") else []
    yield ", ".join(said)
    yield ""
    yield from (f"- {text(reason)}" for reason in subject.reasons)
    yield ""
    if len(subject.ranking) > 1 and not subject.variant:
        yield from _ranking(subject.ranking)
    yield from _checks(subject.checks)
    yield from _differences(subject)
    yield from _missing(verdict)


def _ranking(ranking: Iterable[JSON]) -> Iterator[str]:
    yield from _head("rank", "version", "decision", "why")
    for each in ranking:
        why = text((each.get("reasons") or [""])[0])
        decided = str(each.get("decision"))
        yield _row(figure(each.get("rank")), code(each.get("variant")), f"{MARKS.get(decided, '')} {decided}", why)
    yield ""


def _checks(checks: list[JSON]) -> Iterator[str]:
    if not checks:
        return
    several = len({check.get("variant") for check in checks}) > 1
    order = {decision: place for place, decision in enumerate(DECISIONS)}
    # All traffic first; of the endpoints what went wrong, then what is open.
    shown = sorted(checks, key=lambda c: (bool(c.get("endpoint")), order.get(str(c.get("decision")), 1)))
    yield from _head("", "check", "where", "original", "shadow", "effect", "interval", "limit", "pairs")
    for check in shown[:MOST_CHECKS]:
        notes = [word for word in ("critical", "muted") if check.get(word)]
        name = text(title(check)) + (f" ({', '.join(notes)})" if notes else "")
        version = f"{code(check.get('variant'))} " if several else ""
        more = f" (+{figure(check.get('pairsNeeded'))})" if check.get("pairsNeeded") else ""
        yield _row(
            MARKS.get(str(check.get("decision")), ""),
            name,
            version + (code(check["endpoint"]) if check.get("endpoint") else "all traffic"),
            measured(check, check.get("original")),
            measured(check, check.get("shadow")),
            effect(check, check.get("effect")),
            interval(check) or NOTHING,
            limit(check),
            figure(check.get("pairs")) + more,
        )
    yield ""
    if (left := len(checks) - MOST_CHECKS) > 0:
        yield f"and {left} more checks"
        yield ""


def _differences(subject: Subject) -> Iterator[str]:
    real = [each for each in subject.differences if each.get("nature") in {"difference", "undecided"}]
    if not real:
        return
    yield f"<details><summary>Differences: {len(real)}</summary>"
    yield ""
    yield from _head("endpoint", "field", "class", "share", "original", "shadow")
    for each in real[:MOST_DIFFERENCES]:
        example = each.get("example") or {}
        yield _row(
            code(each.get("endpoint")),
            code(each.get("field")),
            code(each.get("class")),
            share(each.get("rate")),
            _value(example.get("original")),
            _value(example.get("shadow")),
        )
    yield ""
    if (left := len(real) - MOST_DIFFERENCES) > 0:
        yield f"and {left} more"
        yield ""
    yield "</details>"
    yield ""


def _missing(verdict: JSON) -> Iterator[str]:
    if told := missing(verdict.get("missing")):
        yield told
    harm = listed([verdict.get("harm")])
    if harm and harm[0].get("decision") == "HARM":
        yield f"**The mirroring harms the original:** {text(harm[0].get('reason'))}"


def _value(value: object) -> str:
    return "(not there)" if value is None else code(clip(value, _VALUE))


def code(value: object) -> str:
    """Return foreign text as code that cannot be anything else."""
    return f"<code>{text(value)}</code>"


def text(value: object) -> str:
    """Return foreign text without any meaning as markup."""
    one = " ".join(clip("" if value is None else value, _LONG).split())
    # Mentions are looked for in what is shown, after entities; what has no width keeps them apart.
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", one).replace(_MENTION, f"{_MENTION}&#8203;")


def _head(*columns: str) -> Iterator[str]:
    yield _row(*columns)
    yield _row(*("---" for _ in columns))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
