from itertools import product

import pytest

from tests.unit.analysis.diff.test_compare import outcome
from xds_server.analysis.diff.markup import markup_differences
from xds_server.analysis.diff.rules import DEFAULT_RULES, RuleBook
from xds_server.model.analysis import DEFAULT_ANALYSIS, Analysis, Ignore, Normalize

PAGE = """<!DOCTYPE html>
<html><head><title>Shop</title><link rel=stylesheet href="/a.css"><script>let a = 1 < 2;</script></head>
<body class="wide dark"><h1>Items</h1><ul><li>one</li><li>two &amp; three</li></ul>
<form><input type=hidden name=csrf value="bm90IGEgc2VjcmV0IDEyMzQ1Njc4OQ"><br></form><p>by us</p></body></html>"""


def found(a: str, b: str, *, is_html: bool = True, rules: Analysis = DEFAULT_ANALYSIS) -> list[tuple[str, str]]:
    differences = markup_differences(a, b, RuleBook(rules).of("GET /"), is_html=is_html)
    assert differences is not None
    return [(d.field, str(d.kind)) for d in differences]


def test_white_space_order_of_attributes_case_and_comments_do_not_matter() -> None:
    other = PAGE.replace("\n", "\n\n   ").replace("wide dark", "dark  wide").replace("<h1>", "<H1 >")
    other = other.replace("type=hidden name=csrf", "name='csrf' TYPE='hidden'").replace("<form>", "<!-- > --><form>")
    assert found(PAGE, other) == []


@pytest.mark.parametrize(
    ("old", "new", "field", "kind"),
    [
        ("by us", "by them", "body:html/body/p", "text"),
        ("two &amp;", "two or", "body:html/body/ul/li", "text"),
        ("/a.css", "/b.css", "body:html/head/link/@href", "text"),
        ("<li>one</li>", "", "body:html/body/ul/li", "missing"),
        ("</ul>", "<li>four</li></ul>", "body:html/body/ul/li", "extra"),
        ("<br>", "", "body:html/body/form/br", "missing"),
        ("</ul>", "</ul><hr>", "body:html/body/hr", "extra"),
        ("<p>", "<p id=x>", "body:html/body/p/@id", "extra"),
        ("1 < 2", "1 < 3", "body:html/head/script", "text"),
    ],
)
def test_a_difference_has_the_path_of_its_element(old: str, new: str, field: str, kind: str) -> None:
    assert found(PAGE, PAGE.replace(old, new)) == [(field, kind)]


def test_a_token_in_an_attribute_is_of_the_same_kind() -> None:
    other = PAGE.replace("bm90IGEgc2VjcmV0IDEyMzQ1Njc4OQ", "YW5vdGhlciBvbmUgOTg3NjU0MzIxMA")
    assert found(PAGE, other) == [("body:html/body/form/input/@value", "same_kind")]


def test_rules_are_followed() -> None:
    other = PAGE.replace("by us", "by them").replace("/a.css", "/b.css")
    ignored = Analysis(ignore=(Ignore(field="body:.*/@href"),), normalize=(Normalize(regex="us|them"),))
    assert found(PAGE, other, rules=ignored) == []


def test_xml_minds_case_and_knows_no_void_elements() -> None:
    assert found("<a><B x='1'/><link>t</link></a>", "<a><B x='2'/><link>u</link></a>", is_html=False) == [
        ("body:a/B/@x", "text"),
        ("body:a/link", "text"),
    ]
    assert found("<a>x</a>", "<A>x</A>", is_html=False) == [("body:a", "missing"), ("body:A", "extra")]
    assert found("<a><![CDATA[ <b> ]]></a>", "<a>&lt;b></a>", is_html=False) == []


def test_answers_in_html_are_compared_so() -> None:
    headers = {"content-type": "text/html; charset=utf-8"}
    legs = [{"headers": headers, "body": page.encode()} for page in (PAGE, PAGE.replace("<p>by us", "<p>\n by them"))]
    (difference,) = outcome(*legs).differences
    assert (difference.field, difference.original, difference.shadow) == ("body:html/body/p", "by us", "by them")


RECORDS = "<o><item><id>1</id><p>5</p></item><item><id>2</id></item></o>"


@pytest.mark.parametrize(
    ("one", "other", "field", "is_html"),
    [
        (RECORDS, RECORDS.replace("<p>5</p>", "").replace("<id>2</id>", "<id>2</id><p>5</p>"), "body:o", False),
        ("<a class=x>1</a><a>2</a>", "<a>1</a><a class=x>2</a>", "body:a", True),
        ("<ul><li>a</li><li>b</li></ul><ul></ul>", "<ul><li>a</li></ul><ul><li>b</li></ul>", "body", True),
        ("<p>A</p><div>B</div>", "<div>B</div><p>A</p>", "body", True),
    ],
)
def test_what_moved_to_another_element_is_another_order(one: str, other: str, field: str, *, is_html: bool) -> None:
    assert found(one, other, is_html=is_html) == found(other, one, is_html=is_html) == [(field, "array_order")]
    noise = found(f"<x>{one}<t>1</t></x>", f"<x>{other}<t>2</t><n>3</n></x>", is_html=is_html)
    assert [kind for _, kind in noise] == ["text", "extra", "array_order"]


def test_an_insertion_is_no_other_order_and_what_is_ignored_has_none() -> None:
    assert found(PAGE, PAGE.replace("<li>one", "<li>zero</li><li>one")) == [("body:html/body/ul/li", "extra")]
    assert found(PAGE, PAGE.replace("<ul>", "<hr><ul>")) == [("body:html/body/hr", "extra")]
    ad = ("<x><a>1</a><b>2</b><c>3</c></x>", "<x><b>2</b><a>1</a><c>3</c></x>")
    assert found(*ad) == [("body:x", "array_order")]
    assert found(*ad, rules=Analysis(ignore=(Ignore(field="body:x/a"),))) == []
    assert found(*ad, rules=Analysis(ignore=(Ignore(field="body:x"),))) == []


def test_what_is_beyond_the_bounds_is_left_to_the_comparison_of_texts() -> None:
    assert markup_differences("<p>" * 60_000, "<p>", DEFAULT_RULES, is_html=True) is None
    assert markup_differences("<p>x</p>" * 60_000, "<p>", DEFAULT_RULES, is_html=True) is None
    assert markup_differences("x" * 600_000, "<p>", DEFAULT_RULES, is_html=True) is None


PIECES = ("<", "<!--", "<a ", "<a x='", '<a x="', "<![CDATA[", "<a =", "</", "<script>", "&#x", '"', "'>", "<a/", "\0")


@pytest.mark.parametrize(("piece", "other"), [*product(PIECES, PIECES)])
def test_broken_markup_is_read_or_left_to_the_texts(piece: str, other: str) -> None:
    # How long it takes when there is much of it is told by the bench of the engine.
    text = (piece + other) * 200
    found = markup_differences(text, text, DEFAULT_RULES, is_html=True)
    assert found == [] or found is None
    assert markup_differences(text, f"<p>x</p>{text}", DEFAULT_RULES, is_html=True) != []


def test_a_path_is_of_bounded_length() -> None:
    deep = "".join(f"<{'x' * 50}{n}>" for n in range(40))
    ((field, _),) = found(f"{deep}a", f"{deep}b")
    assert len(field) <= 301
