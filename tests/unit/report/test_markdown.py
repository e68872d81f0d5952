"""A verdict as a comment."""

import re

from tests.unit.report.samples import differences, hostile, profile, subject, two, verdict
from xds_server.report.markdown import MOST_CHECKS, markdown, text


def test_it_begins_with_the_decision_and_shows_each_check_in_a_row() -> None:
    made = markdown(subject("fail"))
    assert made.startswith("### ❌ FAIL: <code>v2</code> of <code>catalog</code>\n")
    rows = [line for line in made.splitlines() if re.match(r"\| [✅❌❔] \|", line)]
    assert len(rows) == len(verdict("fail")["checks"])
    values = ["0.2 %", "2.43 %", "+2.23 %", "+1.51 to +3.07 %", "at most +1 %", "4,810"]
    assert rows[0].strip("| ").split(" | ") == ["❌", "Errors (critical)", "all traffic", *values]
    assert "<code>/price</code> | <code>type</code> | 6.8 % | <code>12.5</code>" in made
    assert "12 copies are missing (0.249 %)" in made


def test_rows_of_a_table_have_as_many_cells_as_its_head() -> None:
    for one in (subject("fail"), subject("pass"), two(), hostile()):
        width = 0
        for line in markdown(one).splitlines():
            cells = line.count("|")
            width = cells if not width and cells else width if cells else 0
            assert cells == width


def test_versions_are_ranked() -> None:
    made = markdown(two())
    assert made.startswith("### ✅ PASS: <code>v3</code> of")
    assert "| 1 | <code>v3</code> | ✅ PASS |" in made
    assert "| 2 | <code>v2</code> | ❌ FAIL |" in made


def test_foreign_text_is_neither_markup_nor_a_mention() -> None:
    made = markdown(hostile())
    assert not re.search(r"<(?!/?(code|details|summary)>)", made)
    assert "@" not in made
    assert "](" not in made
    assert "`" not in made
    assert "\x1b" not in made
    assert text("all: 5_of_7 *b* _x_ http://e") == "all: 5_of_7 &#42;b&#42; &#95;x&#95; http&#58;//e"
    assert text("@all") == "&#64;&#8203;all"


def test_it_is_no_longer_than_a_comment_may_be() -> None:
    found = verdict("fail")
    found["checks"] = found["checks"] * 40
    found["reasons"] = ["r" * 5000] * 100
    made = markdown(subject(profile=profile(found), differences=differences() * 60))
    assert f"and {len(found['checks']) - MOST_CHECKS} more checks" in made
    assert len(made) < 65_536


def test_no_verdict_is_said() -> None:
    assert "- nothing was judged yet" in markdown(subject(profile=profile(None), differences=[]))
