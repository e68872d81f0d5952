import base64
import random
import string

import pytest

from xds_server.analysis.diff.json_diff import json_differences
from xds_server.analysis.endpoints.template import template
from xds_server.analysis.recognise import kind_of_segment, kind_of_text

NAMES = (
    "billing_address_line1",
    "response_time_p95",
    "get_balance_v2",
    "reset_password2",
    "convert_utf8toutf16",
    "as_md5sha256",
    "x_base64encoded",
    "api_getUserV2ProfileById",
    "quarterly_revenue_2024",
    "http_requests_with_status_500",
    "top-10-questions-of-2024-answered",
    "sha256",
    "oauth2",
    "v1",
)
NUMBERED = ("address_1", "step-1", "line_12", "utf-8", "mp-3", "v.2")
IDENTIFIERS = {
    "ord-123456": "id",
    "ord_000123": "id",
    "cus_9s6XKzkNRiz8i3": "id",
    "pi_kx3mzqw9dfgh": "id",
    "obj_a1b2c3d4": "id",
    "sess_5f3a9c1b2d4e": "id",
    "4711": "id",
    "5f3a9c1b2d4e": "hash",
    "order-2024-11-25-000123": "token",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN": "token",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_identifiers_as_keys_nor_as_segments(name: str) -> None:
    assert kind_of_text(name) == kind_of_segment(name) == ""


@pytest.mark.parametrize("name", NUMBERED)
def test_a_word_with_a_short_number_is_an_identifier_in_a_path_only(name: str) -> None:
    assert not kind_of_text(name)
    assert kind_of_segment(name) == "id"


@pytest.mark.parametrize("text", IDENTIFIERS)
def test_identifiers_are_recognised_in_keys_and_in_paths(text: str) -> None:
    assert kind_of_text(text) == kind_of_segment(text) == IDENTIFIERS[text]


def test_what_chance_makes_is_hardly_ever_taken_for_a_name() -> None:
    chance = random.Random(1)
    letters = string.ascii_letters + string.digits
    prefixed = [f"cus_{''.join(chance.choices(letters, k=16))}" for _ in range(1_000)]
    tokens = [base64.urlsafe_b64encode(chance.randbytes(24)).decode() for _ in range(1_000)]
    hashes = [f"obj_{chance.randbytes(8).hex()}" for _ in range(1_000)]
    for made in (prefixed, tokens, hashes):
        # Some have too few digits, as they always had.
        assert sum(not kind_of_text(text) for text in made) < 150


def test_fields_with_numbers_in_their_names_stay_apart() -> None:
    one = {"address_1": "a", "address_2": "b", "response_time_p95": 1, "billing_address_line1": "c"}
    found = json_differences(one, {key: [value] for key, value in one.items()})
    assert {difference.field for difference in found} == {f"$.{key}" for key in one}


def test_a_map_of_identifiers_is_one_field() -> None:
    one = {key: 1 for key in IDENTIFIERS if "." not in key}
    assert {difference.field for difference in json_differences(one, dict.fromkeys(one, 2))} == {"$.*"}


def test_routes_named_like_functions_stay() -> None:
    assert template("/rpc/get_balance_v2") == "/rpc/get_balance_v2"
    assert template("/orders/ord-123456/reset_password2") == "/orders/{id}/reset_password2"
