"""`shadowmesh diffs`: from the whole to the request, at the command line."""

from typing import Any

import pytest
import yaml
from rich.cells import cell_len
from rich.console import Console

from api.schemas.analysis import AnalysisBody
from api.schemas.base import validate
from tests.unit.analysis.differing import START, a_tally, judged, seen, versions
from tests.unit.api.fake import FakeController
from tests.unit.api.test_diffs import put_away
from tests.unit.cli.conftest import Shell
from xds_server.analysis.query.diff_page import page_of, pair_of
from xds_server.analysis.query.diff_query import DiffQuery, Group
from xds_server.cli import diff_views
from xds_server.cli.pair_view import PIPED, aligned, folded, laid_out, pair

UNIQUE = "0a4a5f4e-2d2f-4d6e-9f64-0d6f2f3a7b01"
ENDPOINT = "GET /items/{id}"


@pytest.fixture
def applied(shell: Shell, shop: Any, desk: FakeController) -> Shell:
    assert shell("apply", "-f", str(shop)).code == 0
    tally = a_tally()
    judged(tally, 1000, trios=500)
    found = seen(tally, "$.price", "type", count=400, values=[("9.5", '"9.5"\x1b[31m')], pair=UNIQUE)
    data = found.examples[0].data
    data["original"] |= {"body": '{"id":7,"price":9.5,"more":[1,2,3,4,5,6,7,8]}', "headers": {"server": "a"}}
    data["shadow"] |= {"body": '{"id":7,"price":"9.5","more":[1,2,3,4,5,6,7,8', "headers": {"server": "b"}}
    data["curl"] = "curl -sS http://127.0.0.1:10000/items/0"
    seen(tally, "$.rare", "missing", count=2, values=[("1", None)])
    seen(tally, "$.requestId", count=1000, both=499, control=1, values=[('"a"', '"b"')])
    seen(tally, "$.at", "same_kind", count=1000, what="timestamp")
    desk.sources = versions(tally)
    desk.put_away = [put_away()]
    return shell


def test_classes_come_most_surprising_first_and_noise_is_one_line(applied: Shell) -> None:
    done = applied("diffs")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.strip() for line in lines if line.startswith("   $")] == ["$.rare", "$.price"]
    assert "GET /items/{id}  1,000 pairs" in done.out
    price = next(line for line in lines if line.split()[:1] == ["type"])
    assert price.split()[1:4] == ["400", "40", "%"]
    assert "+ (not there)" in done.out
    assert lines[-1].startswith("left out: 1 difference that the control shows too and 1 value of a kind")
    assert "\x1b" not in done.out
    everything = applied("diffs", "--all").out
    assert "$.requestId" in everything
    assert "left out" not in everything


@pytest.mark.parametrize(
    ("arguments", "there", "not_there"),
    [
        (["--nature", "noise"], "$.requestId", "$.price"),
        (["--field", "$.price"], "$.price", "$.rare"),
        (["--class", "missing"], "$.rare", "$.price"),
        (["--endpoint", "GET /b"], "no differences", "$.price"),
        (["--until", "2000-01-01T00:00:00Z"], "no differences", "$.price"),
        (["--since", "2000-01-01T00:00:00Z"], "whole buckets of up to 10 s", "nothing"),
        (["--sort", "count", "--limit", "1"], "--cursor", "$.rare"),
        (["--by", "endpoint"], "4 fields", "$.price"),
        (["--by", "field"], "$.price", "$.requestId"),
        (["--variant", "v3"], "no differences", "$.price"),
    ],
)
def test_options_narrow_what_is_shown(applied: Shell, arguments: list[str], there: str, not_there: str) -> None:
    done = applied("diffs", *arguments)
    assert done.code == 0
    assert there in done.out
    assert not_there not in done.out


def test_pairs_are_listed_a_page_at_a_time(applied: Shell) -> None:
    done = applied("diffs", "--pairs", "--limit", "2")
    assert "2 of 4; --cursor" in done.out
    cursor = applied("diffs", "--pairs", "--limit", "2", "-o", "json").json["nextCursor"]
    rest = applied("diffs", "--pairs", "--cursor", cursor)
    assert rest.out.count("GET /items/0") == 2
    assert f"--pair {UNIQUE[:8]}" in done.out + rest.out


def test_a_pair_is_shown_side_by_side_with_its_differences_marked(applied: Shell) -> None:
    done = applied("diffs", "--pair", UNIQUE[:8])
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("GET /items/0  GET /items/{id}")
    assert "curl -sS http://127.0.0.1:10000/items/0" in lines
    assert "! $.price  type" in done.out
    (price,) = [line for line in lines if '"price"' in line]
    assert price.split() == ['"price":', "9.5,", "|", '"price":', '"9.5",']
    (server,) = [line for line in lines if line.startswith("server")]
    assert server.split() == ["server:", "a", "|", "server:", "b"]
    assert "equal lines" in done.out
    assert "\x1b" not in done.out
    assert "equal line" not in applied("diffs", "--pair", UNIQUE[:8], "--all").out
    for name in (UNIQUE[:8], f"{UNIQUE}~i1", f"{UNIQUE}/i1"):
        assert applied("diffs", "--pair", name, "-o", "json").json["pairID"] == f"{UNIQUE}~i1"


def test_a_pair_that_is_not_there_or_several_is_one_clear_line(applied: Shell) -> None:
    done = applied("diffs", "--pair", "nothing")
    assert (done.code, "no differing pair" in done.err, len(done.err.splitlines())) == (3, True, 1)
    done = applied("diffs", "--pair", "$.requ", "--pairs")
    assert (done.code, "one of them" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "yesterday"], "how long ago"),
        (["--cursor", "x"], "is not a cursor"),
        (["--profile", "nobody"], "no profile"),
        (["--sort", "best"], "surprise"),
    ],
)
def test_bad_options_say_what_would_be_right(applied: Shell, arguments: list[str], told: str) -> None:
    done = applied("diffs", *arguments)
    assert done.code in {2, 3}
    assert told in done.err


def test_suggested_rules_can_be_pasted_into_the_profile(applied: Shell) -> None:
    done = applied("diffs", "--suggest")
    assert (done.code, done.err) == (0, "")
    rules = validate(AnalysisBody, yaml.safe_load(done.out)["analysis"]).to_model()
    assert {rule.path for rule in rules.ignore} == {"$.requestId", "$.at"}
    (item,) = applied("diffs", "--suggest", "-o", "json").json["items"]
    assert [s["section"] for s in item["suggestions"]] == ["ignore", "ignore"]
    assert all(s["why"] for s in item["suggestions"])


def test_the_archive_is_listed(applied: Shell) -> None:
    row = next(line for line in applied("get", "archive").out.splitlines() if line.startswith("old"))
    assert row.split()[:5] == ["old", "catalog", "v2", "2", "1"]
    assert applied("get", "archive", "old", "-o", "json").json["profileID"] == "p9"
    assert applied("get", "archive", "none").code == 3


def rendered(parts: Any, width: int, *, colour: bool = False) -> list[str]:
    out = Console(width=width, force_terminal=colour, color_system="standard" if colour else None, markup=False)
    with out.capture() as capture:
        for part in parts:
            out.print(part)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_line_fits_the_terminal(width: int) -> None:
    tally = a_tally()
    judged(tally, 1000)
    long = '"' + "many words " * 18 + '"'
    found = seen(tally, "$." + "deep." * 30 + "x", values=[(long, long + "!")], last=START + 50)
    found.examples[0].data["original"]["body"] = '{"a":' + long + ',"b":1}'
    found.examples[0].data["shadow"]["body"] = '{"a":' + long + ',"c":1}'
    sources = versions(tally)
    page = page_of(sources, DiffQuery(group=Group.CLASS))
    one = pair_of(sources, page["items"][0]["example"]["pairID"])
    # The lines of figures need 66 columns; narrower terminals wrap them.
    for lines in (
        rendered(pair(one, width=width), width),
        rendered(diff_views.classes(page, width=width), width),
        rendered(diff_views.pairs(page_of(sources, DiffQuery()), width=width), width),
    ):
        assert max(map(len, lines)) <= width
    # Without a terminal nothing is cut.
    assert long.strip('"') in "".join(rendered(diff_views.classes(page, width=None), 5000))


@pytest.mark.parametrize("width", [80, 81, None])
def test_the_sides_stay_apart_where_characters_are_two_cells_wide_or_none(width: int | None) -> None:
    tally = a_tally()
    wide = "日本語のとても長い名前" * 5
    found = seen(tally, f"$.{wide}", values=[(f"{wide}一", f"{wide}二")])
    found.examples[0].data["original"]["body"] = f'{{"a":"{wide}一","b":"e\u0301","c":1}}'
    found.examples[0].data["shadow"]["body"] = f'{{"a":"{wide}二","b":"e\u0301","c":2}}'
    found.examples[0].data["original"]["headers"] = {"x": "a\tb 你"}
    found.examples[0].data["shadow"]["headers"] = {"x": "a\tb 我"}
    sources = versions(tally)
    page = page_of(sources, DiffQuery(group=Group.CLASS))
    one = pair_of(sources, page["items"][0]["example"]["pairID"])
    columns = width or PIPED
    lines = rendered(pair(one, width=width), columns)
    sides = lines[next(at for at, line in enumerate(lines) if line.startswith("ORIGINAL")) :]
    assert max(map(cell_len, sides)) <= columns
    room = (columns - 3) // 2
    changed = [line.rpartition(" | ")[0] for line in sides if " | " in line]
    assert len(changed) >= 4
    assert {cell_len(each) for each in changed} == {room}
    (equal,) = [each for each in sides if "e\u0301" in each]
    # An equal line has no mark: its right side begins where that of a changed one does.
    assert cell_len(equal[: equal.rindex('"b"')]) == room + 3 + len("  ")
    if width:
        for parts in (
            diff_views.classes(page, width=width),
            diff_views.pairs(page_of(sources, DiffQuery()), width=width),
        ):
            assert max(map(cell_len, rendered(parts, 500))) <= width


def test_the_part_of_a_line_that_differs_is_marked_in_colour_too() -> None:
    tally = a_tally()
    seen(tally, "$.a", values=[("1", "2")])
    sources = versions(tally)
    one = pair_of(sources, "$.a-value-0~i1")
    text = "\n".join(rendered(pair(one, width=80), 80, colour=True))
    assert "\x1b[7;31m1" in text
    assert "\x1b[7;32m2" in text


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            '{"a":1,"b":[],"c":{"d":"x,y{"}}',
            ["{", '  "a": 1,', '  "b": [', "  ],", '  "c": {', '    "d": "x,y{"', "  }", "}"],
        ),
        ('[1,"a\\"]",2', ["[", "  1,", '  "a\\"]",', "  2"]),
        ("plain\ntext", ["plain", "text"]),
        ("", []),
        ("}{]", ["}{]"]),
    ],
)
def test_json_is_laid_out_in_lines_also_when_its_end_was_cut_off(text: str, lines: list[str]) -> None:
    assert laid_out(text) == lines


def test_lines_that_are_there_on_one_side_only_are_marked_so() -> None:
    rows = aligned(["a", "b", "c"], ["a", "c", "d"])
    assert [(r.mark, r.original, r.shadow) for r in rows] == [
        ("equal", "a", "a"),
        ("delete", "b", None),
        ("equal", "c", "c"),
        ("insert", None, "d"),
    ]
    many = [str(n) for n in range(3000)]
    assert sum(row.mark != "equal" for row in aligned(many, [*many[:-1], "x"])) == 1
    assert len(folded(aligned(many, [*many[:-1], "x"]))) == 5
    assert len(folded(aligned(many[:9], many[:9]))) == 4


def test_counts_are_shown_in_few_bars() -> None:
    assert diff_views.spark([]) == ""
    assert diff_views.spark([0, 1, 8]) == " ▁█"
    assert len(diff_views.spark([1] * 30)) == 8
