import pytest

from xds_server.analysis.diff.header_names import IGNORED
from xds_server.analysis.diff.headers import header_differences
from xds_server.analysis.diff.rules import Rules
from xds_server.analysis.kinds import Kind


def lines(**headers: str) -> bytes:
    return "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items()).encode()


def found(original: bytes, shadow: bytes) -> list[tuple[str, object, object]]:
    return [(d.field, d.as_json()["original"], d.as_json()["shadow"]) for d in header_differences(original, shadow)]


@pytest.mark.parametrize(
    "name",
    [
        "date",
        "server",
        "x-request-id",
        "connection",
        "transfer-encoding",
        "content-length",
        "x-envoy-upstream-service-time",
        "traceparent",
        "grpc-status",
    ],
)
def test_hop_by_hop_and_per_request_headers_are_left_out(name: str) -> None:
    assert found(f"{name}: a\n".encode(), f"{name}: b\n".encode()) == []


def test_a_header_that_matters_is_a_difference() -> None:
    assert found(lines(cache_control="no-store"), lines(cache_control="max-age=60")) == [
        ("header:cache-control", "no-store", "max-age=60")
    ]


def test_a_header_that_one_side_lacks_is_shown_as_absent() -> None:
    assert found(lines(a="1", etag="x"), lines(a="1")) == [("header:etag", "x", None)]


def test_names_are_compared_without_case_and_in_any_order() -> None:
    assert found(b"ETag: x\nVary: a\n", b"vary: a\netag: x\n") == []


def test_several_lines_mean_the_same_as_one_with_commas() -> None:
    assert found(b"vary: a\nvary: b\n", b"vary: a, b\n") == []


@pytest.mark.parametrize("name", ["allow", "cache-control", "vary", "access-control-expose-headers"])
def test_the_order_of_a_list_that_is_a_set_does_not_matter_and_what_is_in_it_does(name: str) -> None:
    one = f"{name}: A, B, C\n".encode()
    assert found(one, f"{name}: C, A, B\n".encode()) == []
    assert found(one, f"{name}: C, A\n".encode()) == [(f"header:{name}", "A, B, C", "C, A")]
    assert found(one, f"{name}: A, A, B, C\n".encode()) != []


def test_names_of_headers_in_a_list_are_compared_without_case_and_methods_with_it() -> None:
    assert found(b"vary: Accept, Origin\n", b"vary: origin, accept\n") == []
    assert found(b"allow: GET\n", b"allow: get\n") == [("header:allow", "GET", "get")]


def test_the_order_of_other_lists_matters() -> None:
    assert found(b"x-steps: a, b\n", b"x-steps: b, a\n") == [("header:x-steps", "a, b", "b, a")]


def test_cookies_are_compared_by_name_and_attributes() -> None:
    assert found(b"set-cookie: s=1; Path=/; HttpOnly\n", b"set-cookie: s=1; HttpOnly; Path=/\n") == []
    assert found(b"set-cookie: s=1; Secure\n", b"set-cookie: s=1\n") == [("cookie:s.secure", "", None)]


def test_a_profile_can_leave_out_more() -> None:
    rules = Rules(ignore_headers=IGNORED | {"x-build"})
    assert header_differences(lines(x_build="1"), lines(x_build="2"), rules) == []


def test_lines_that_are_no_headers_are_no_problem() -> None:
    header_differences(b"\xff\xfe\n::\n\n", b"no colon here\n: x\n")


def test_values_that_are_no_utf_8_are_told_apart() -> None:
    assert found(b"x: caf\xe9\n", b"x: caf\xe8\n") == [("header:x", r"caf\xe9", r"caf\xe8")]


def test_the_day_on_which_a_cookie_expires_does_not_matter_and_its_path_does() -> None:
    one = b"set-cookie: a=1; Path=/; Expires=Mon, 01 Jan 2029 00:00:00 GMT\n"
    assert found(one, one.replace(b"01 Jan", b"02 Feb")) == []
    assert found(one, one.replace(b"Path=/", b"Path=/x")) == [("cookie:a.path", "/", "/x")]


def test_what_a_cookie_holds_is_expected_to_be_another_token_unless_it_is_a_word_or_a_number() -> None:
    (session,) = header_differences(b"set-cookie: s=a1\n", b"set-cookie: s=b2\n")
    assert (session.field, session.kind, session.what) == ("cookie:s", Kind.SAME_KIND, "token")
    for numbers in ((b"4", b"99"), (b"1", b"0"), (b"10.99", b"-20.99")):
        (amount,) = header_differences(*(b"set-cookie: n=%s\n" % number for number in numbers))
        assert (amount.field, amount.kind) == ("cookie:n", Kind.COOKIE)
    (long,) = header_differences(b"set-cookie: s=8374658374\n", b"set-cookie: s=8374658375\n")
    assert long.kind is Kind.SAME_KIND
    (theme,) = header_differences(b"set-cookie: theme=dark\n", b"set-cookie: theme=light\n")
    assert (theme.field, theme.kind) == ("cookie:theme", Kind.COOKIE)
    (emptied,) = header_differences(b"set-cookie: s=abc123\n", b"set-cookie: s=\n")
    assert emptied.kind is Kind.COOKIE
    (told,) = header_differences(b"set-cookie: s=1\n", b"set-cookie: s=2\n", Rules(recognise=frozenset()))
    assert told.kind is Kind.COOKIE


def test_a_cookie_that_one_side_does_not_set_is_a_difference() -> None:
    assert found(b"set-cookie: a=1\nset-cookie: b=2\n", b"set-cookie: a=1\n") == [("cookie:b", "2", None)]


def test_another_etag_is_of_the_same_kind() -> None:
    (difference,) = header_differences(b'etag: "5f2e-64a"\n', b'etag: W/"77"\n')
    assert (difference.kind, difference.what) == (Kind.SAME_KIND, "hash")


@pytest.mark.parametrize(
    ("original", "shadow"),
    [
        ("/a?x=1&y=2", "/a?y=2&x=1"),
        ("http://127.0.0.1:4001/a", "http://10.0.0.7:4002/a"),
        ("http://localhost:4001/a", "/a"),
        ("https://shop.example/a", "https://shop.example-shadow/a"),
    ],
)
def test_redirects_to_the_same_place_of_each_version_are_equal(original: str, shadow: str) -> None:
    assert found(lines(location=original), lines(location=shadow)) == []


@pytest.mark.parametrize(
    ("original", "shadow", "field"),
    [
        ("/login", "/signin", "path"),
        ("/login?next=%2Fa", "/login?next=%2Fb", "query.next"),
        ("/login?next=%2Fa", "/login", "query.next"),
        ("/login", "https://evil.example/login", "host"),
        ("https://a.example/", "https://b.example/", "host"),
        ("/a#x", "/a#y", "fragment"),
        ("http://[broken", "/a", ""),
    ],
)
def test_redirects_that_lead_elsewhere_are_told_by_part(original: str, shadow: str, field: str) -> None:
    (difference,) = header_differences(lines(location=original), lines(location=shadow))
    assert difference.field == f"header:location.{field}".rstrip(".")
    assert difference.kind is Kind.REDIRECT


def test_a_request_id_in_a_redirect_is_of_the_same_kind() -> None:
    one, other = ("/jobs/6fa459ea-ee8a-3ca4-894e-db77e160355e", "/jobs/16fd2706-8baf-433b-82eb-8c7fada847da")
    (difference,) = header_differences(lines(location=one), lines(location=other))
    assert (difference.field, difference.what) == ("header:location.path", "uuid")
