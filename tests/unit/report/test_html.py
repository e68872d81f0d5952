"""The page: complete, self-contained, escaped, bounded."""

import re
from html.parser import HTMLParser

import pytest

from tests.unit.report.samples import HOSTILE, differences, histograms, hostile, profile, subject, two, verdict
from xds_server.report.html_page import html
from xds_server.report.page import LARGEST
from xds_server.report.subject import Subject

VOID = {"meta", "br", "link"}
_TAGS = (
    "html head meta title style body header section h1 h2 h3 h4 p ul li dl div dt dd main footer span b code pre "
    "figure figcaption details summary table thead tbody tr th td svg rect line path circle text g"
)
_ATTRIBUTES = (
    "lang charset name content http-equiv class aria-label role scope tabindex open data-name viewbox x y x1 x2 y1 y2 "
    "width height d cx cy r text-anchor"
)
TAGS, ATTRIBUTES = set(_TAGS.split()), set(_ATTRIBUTES.split())


class Reader(HTMLParser):
    """Collects what a page has, and looks whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.named: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.named += [(tag, str(value)) for name, value in attrs if name == "aria-label"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)


def read(one: Subject) -> Reader:
    reader = Reader()
    reader.feed(html(one))
    reader.close()
    assert reader.open == []
    return reader


ALL = {
    "fail": subject("fail"),
    "pass": subject("pass"),
    "two": two(),
    "one of two": subject(profile=two().profile, variant="v3"),
    "hostile": hostile(),
    "no verdict": subject(profile=profile(None), histograms=None, differences=[]),
    "bare": Subject(network="n", profile={}, made_at=subject().made_at),
}


@pytest.mark.parametrize("name", ALL)
def test_the_page_is_well_formed_and_refers_to_nothing_outside(name: str) -> None:
    made, reader = html(ALL[name]), read(ALL[name])
    assert made.startswith("<!doctype html>")
    assert reader.tags <= TAGS
    assert reader.attributes <= ATTRIBUTES
    assert not re.search(r"url\(|@import|javascript:", made.partition("<body>")[0])
    assert "default-src 'none'" in made


def test_hostile_values_are_text() -> None:
    made = html(hostile())
    assert "<script" not in made
    assert "<img" not in made
    assert "&lt;script&gt;alert(1)" in made
    assert "\x1b" not in made
    made.encode()
    assert HOSTILE[:30] in "".join(read(hostile()).text)


@pytest.mark.parametrize(
    "part",
    [
        "v2 of catalog",
        "error_rate is 4.1 percentage points above the original's",
        "4 endpoints: 1 FAIL, 1 INCONCLUSIVE, 1 PASS, 1 not judged",
        "612 pairs, about 240 more needed",
        '"12.50"',
        "beyond the limit",
        "(not there)",
        "2 differences count for nothing",
        "12 copies are missing (0.249 %)",
        "Resilience 83 %",
        "upstream_rq_pending_overflow",
        "85.8 MiB, 88.7 MiB",
        "mirrored requests fail no more often",
        "however often one looks",
    ],
)
def test_what_a_reader_looks_for_is_there(part: str) -> None:
    assert part in " ".join("".join(read(subject("fail")).text).split())


def test_every_picture_has_a_name() -> None:
    made, reader = html(subject("fail")), read(subject("fail"))
    pictures = [label for tag, label in reader.named if tag == "svg"]
    assert len(pictures) == made.count("<svg") > 10
    assert all(pictures)
    assert made.count("</title>") >= len(pictures)


def test_of_several_versions_the_head_names_those_that_pass() -> None:
    text = " ".join("".join(read(two()).text).split())
    assert "✓ PASS v3 of catalog" in text
    assert "v3 against v2" in text
    assert "v3 is better" in text
    assert text.index("Errors v3 critical") < text.index("Errors v2 critical")
    assert "✕ FAIL" in text


def test_differences_that_are_not_at_hand_are_not_taken_for_none() -> None:
    made = html(subject("fail", differences=[]))
    assert "No difference that is not noise" not in made
    assert "Which they are is not known here" in made
    quiet = profile(verdict("pass"))
    quiet["comparison"]["discrepancies"] = 0
    assert "No difference that is not noise" in html(subject("pass", profile=quiet, differences=[]))


def test_a_rollout_says_where_it_is() -> None:
    document = profile(verdict("pass"), rollout={"step": 2, "steps": 3, "state": "running"})
    assert "step 2 of 3, running" in "".join(read(subject("pass", profile=document)).text)


def test_an_archived_profile_says_that_its_verdict_is_not_kept() -> None:
    document = profile(None, variants=["v2"], endedAt="2026-05-04T10:00:00Z")
    text = "".join(read(subject(profile=document, archived=True)).text)
    assert "the archive keeps the comparison, not the verdict" in text


def test_the_page_stays_bounded_whatever_there_is() -> None:
    found = verdict("fail")
    found["checks"] = [
        check | {"endpoint": f"GET /{i}", "reason": "\"'" * 2000} for i in range(400) for check in found["checks"][:1]
    ]
    found["reasons"] = ["<" * 10_000] * 500
    found["envoy"]["variants"] = {"v2": {f"counter{i}" + "<" * 300: i for i in range(5000)}}
    found["missing"]["kinds"] = {f"{i}" + "'" * 300: i for i in range(5000)}
    many = [each | {"field": f"$.f{i}" + "&" * 400} for i in range(80) for each in differences()]
    for each in many:
        each["values"] = [value | {"original": "<\"'&" * 5000, "shadow": "&" * 20_000} for value in each["values"]] * 3
    drawn = histograms()
    drawn["endpoints"] = drawn["endpoints"] * 40
    for i, each in enumerate(drawn["endpoints"]):
        drawn["endpoints"][i] = each | {"endpoint": f"GET /{i}"}
    made = html(subject(profile=profile(found), differences=many, histograms=drawn))
    assert len(made.encode()) < LARGEST
    assert "more checks are not shown" in made
    assert "more are not shown" in made
