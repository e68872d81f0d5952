"""A verdict as JUnit, read again as a CI system reads it."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tests.unit.report.samples import hostile, profile, subject, two, verdict
from xds_server.report.junit import junit
from xds_server.report.subject import Subject

CHILDREN = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "testcase": {"failure", "skipped", "system-out"},
    "properties": {"property"},
}
NEEDED = {
    "testsuites": {"tests", "failures"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "testcase": {"name", "classname", "time"},
    "failure": {"message", "type"},
    "skipped": {"message"},
    "property": {"name", "value"},
}


def read(one: Subject) -> ET.Element:
    """Parse, and look whether it has the shape that readers of JUnit expect."""
    top = ET.fromstring(junit(one))  # noqa: S314 - our own
    for element in top.iter():
        assert {child.tag for child in element} <= CHILDREN.get(element.tag, set())
        assert NEEDED.get(element.tag, set()) <= set(element.attrib)
    suite = top.find("testsuite")
    assert suite is not None
    cases = suite.findall("testcase")
    for where in (top, suite):
        assert int(where.attrib["tests"]) == len(cases)
        assert int(where.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(where.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases)
    return suite


def named(suite: ET.Element, name: str) -> ET.Element:
    return next(case for case in suite.iter("testcase") if case.attrib["name"] == name)


def test_each_check_is_a_case_and_the_verdict_is_one() -> None:
    suite = read(subject("fail"))
    assert len(suite.findall("testcase")) == 1 + len(verdict("fail")["checks"])
    failure = named(suite, "error_rate [all traffic]").find("failure")
    assert failure is not None
    assert failure.attrib["message"].startswith("all traffic: error_rate is 2.2 percentage points above")
    assert "limit at most +1 %" in str(failure.text)
    open_one = named(suite, "error_rate [POST /orders]").find("skipped")
    assert open_one is not None
    assert open_one.attrib["message"].startswith("INCONCLUSIVE: POST /orders: error_rate is 0.17 percentage points")
    assert len(named(suite, "error_rate [GET /cart]")) == 1


@pytest.mark.parametrize(
    ("one", "decision"),
    [
        (subject("fail"), "FAIL"),
        (subject("pass"), ""),
        (subject("pass", note="no decision within 10m"), ""),
        (subject(profile=profile(None)), ""),
        (two(), ""),
        (replace(two(), variant="v2"), "FAIL"),
    ],
)
def test_there_are_failures_exactly_if_the_verdict_is_fail(one: Subject, decision: str) -> None:
    assert (int(read(one).attrib["failures"]) > 0) == (decision == "FAIL")


def test_a_muted_check_fails_nothing() -> None:
    found = verdict("fail")
    found["checks"][0]["muted"] = True
    skipped = named(read(subject(profile=profile(found))), "error_rate [all traffic]").find("skipped")
    assert skipped is not None
    assert skipped.attrib["message"].startswith("FAIL, muted: ")


def test_it_is_well_formed_whatever_the_names_are() -> None:
    assert int(read(hostile()).attrib["failures"]) > 0
