"""A verdict as a JUnit file, which nearly every CI system shows.

Guarantees: well-formed XML whatever the names are; one test case for the verdict itself and one for each check. There
is a failure exactly if the verdict is FAIL: a FAIL of a check that did not make it so (not critical, muted, of a
version while another one passes) is a skipped case that says so, and INCONCLUSIVE is a skipped case with the reason.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from xds_server.report.subject import Subject
from xds_server.report.words import FAIL, INCONCLUSIVE, JSON, NOTHING, clip, effect, figure, interval, limit, measured


def junit(subject: Subject) -> str:
    """Return the file."""
    cases = [_whole(subject), *_checks(subject)]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
    }
    top = ET.Element("testsuites", {"name": "shadowmesh", **counts})
    name = clip(f"{subject.network}/{subject.name}", 300)
    stamp = f"{subject.made_at:%Y-%m-%dT%H:%M:%S}"
    suite = ET.SubElement(top, "testsuite", {"name": name, **counts, "time": "0", "timestamp": stamp})
    facts = {"network": subject.network, "component": subject.component, "versions": ", ".join(subject.versions)}
    properties = ET.SubElement(suite, "properties")
    for key, value in {**facts, "pairs": figure(subject.verdict.get("pairs"))}.items():
        ET.SubElement(properties, "property", {"name": key, "value": clip(value, 300)})
    suite.extend(cases)
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def _case(subject: Subject, version: str, name: str) -> ET.Element:
    parts = (clip(part, 120).replace(".", "_") for part in (subject.network, subject.name, version) if part)
    return ET.Element("testcase", {"classname": ".".join(parts), "name": name, "time": "0"})


def _whole(subject: Subject) -> ET.Element:
    case = _case(subject, subject.variant, "verdict")
    why = "\n".join(subject.reasons) or subject.decision
    if subject.decision == FAIL:
        ET.SubElement(case, "failure", {"type": FAIL, "message": clip(why.splitlines()[0])}).text = why
    elif subject.decision == INCONCLUSIVE:
        ET.SubElement(case, "skipped", {"message": clip(f"{INCONCLUSIVE}: {why.splitlines()[0]}")})
    ET.SubElement(case, "system-out").text = why
    return case


def _checks(subject: Subject) -> Iterator[ET.Element]:
    several = len({check.get("variant") for check in subject.checks}) > 1
    for check in subject.checks:
        where = check.get("endpoint") or "all traffic"
        version = str(check.get("variant") or "")
        name = clip(f"{check.get('name') or check.get('metric')} [{where}]", 300)
        case = _case(subject, version if several else "", name)
        reason = clip(check.get("reason") or check.get("decision") or "")
        if subject.fails(check):
            ET.SubElement(case, "failure", {"type": FAIL, "message": reason}).text = _numbers(check)
        elif told := _unheard(check):
            ET.SubElement(case, "skipped", {"message": clip(f"{told}: {reason}")})
        ET.SubElement(case, "system-out").text = f"{reason}\n{_numbers(check)}"
        yield case


def _unheard(check: JSON) -> str:
    """Return why a check neither passed nor failed anything; empty when it passed."""
    decision = check.get("decision")
    if decision == "PASS":
        return ""
    if decision != FAIL:
        return INCONCLUSIVE
    if check.get("muted"):
        return "FAIL, muted"
    return "FAIL, which does not decide" if not check.get("critical") else "FAIL, of a version that another one outdoes"


def _numbers(check: JSON) -> str:
    parts = {
        "original": measured(check, check.get("original")),
        "shadow": measured(check, check.get("shadow")),
        "effect": effect(check, check.get("effect")),
        "interval": interval(check) or NOTHING,
        "limit": limit(check),
        "pairs": figure(check.get("pairs")),
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items())
