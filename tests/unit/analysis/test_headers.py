import pytest

from xds_server.analysis.headers import IGNORED, header_differences


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


def test_cookies_are_compared_by_name_and_attributes() -> None:
    assert found(b"set-cookie: s=1; Path=/; HttpOnly\n", b"set-cookie: s=2; HttpOnly; Path=/\n") == []
    assert [d[0] for d in found(b"set-cookie: s=1; Secure\n", b"set-cookie: s=1\n")] == ["header:set-cookie"]


def test_a_profile_can_leave_out_more() -> None:
    ignored = IGNORED | {"x-build"}
    assert header_differences(lines(x_build="1"), lines(x_build="2"), ignored) == []


def test_lines_that_are_no_headers_are_no_problem() -> None:
    header_differences(b"\xff\xfe\n::\n\n", b"no colon here\n: x\n")


def test_values_that_are_no_utf_8_are_told_apart() -> None:
    assert found(b"x: caf\xe9\n", b"x: caf\xe8\n") == [("header:x", r"caf\xe9", r"caf\xe8")]


def test_the_day_on_which_a_cookie_expires_does_not_matter_and_its_path_does() -> None:
    one = b"set-cookie: a=1; Path=/; Expires=Mon, 01 Jan 2029 00:00:00 GMT\n"
    assert found(one, one.replace(b"01 Jan", b"02 Feb").replace(b"a=1", b"a=2")) == []
    assert [field for field, _, _ in found(one, one.replace(b"Path=/", b"Path=/x"))] == ["header:set-cookie"]
