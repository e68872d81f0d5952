"""What is hidden in texts of all forms, what is not, and that it takes linear time whatever comes."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.examples import secret_looks as looks
from xds_server.analysis.examples.redact import ELIDED, SCANNED, Redactor

CARD = "4012888888881881"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(["x-tenant", "$.customer.name", "$..phone", "$.rows[*][1]"], key=b"key of tests")


HIDDEN = [
    "planted@example.com",
    "mail=planted%40example.com;",
    "<planted@example.co.uk>",
    "planted&#64;example.com",
    "planted.name+tag@sub.example.museum",
    "plänted@exämple.de",
    "4012 8888 8888 1881",
    "4012-8888-8888-1881",
    "4012.8888.8888.1881",
    "4012%208888%208888%201881",
    "n:4012888888881881,",
    "3782 822463 10005",
    "Bearer planted12345",
    "bearer%20planted12345",
    "authorization: anything planted",
    "Cookie: a=planted; b=planted2",
    "Basic cGxhbnRlZDpwbGFudGVk",
    "https://planted:planted@host/x",
    "token=planted&x=1",
    "reset_token%3Dplanted",
    "password: planted",
    "password=pla,nted",
    'password="pla nted"',
    "password='pla\\'nted'",
    "token=Bearer planted",
    '{\\"password\\": \\"planted\\"}',
    'x = {"session": {"id": "planted", "l": ["planted"]}, ',
    "AKIAIOSFODNN7PLANTED",
    "ghp_plantedplantedplantedplanted",
    "-----BEGIN RSA PRIVATE KEY-----\nplanted\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nplanted",
    '<input value="planted" type=password>',
    "<meta name='csrf-token' content='planted'>",
    "<ns:password a='b'>planted</ns:password>",
    "<password><![CDATA[planted]]></password>",
    '<string name="api_key">planted</string>',
    'name="secret"\r\n\r\nplanted\r\n--',
    "ÿþpassword=planted",
    "ключpassword=planted",
    "9password=planted",
    "--password=planted",
    "spring.config.password=planted",
    "pass: planted",
    "user%5Bpassword%5D=planted&a=1",
    "user[pass]=planted",
    "x%26pa%73sword%3Dplanted",
    "%7B%22password%22%3A%22planted%22%7D",
    '{"name": "password", "value": "planted"}',
    '{"name": "password", "type": "text", "newValue": "planted", ',
    '{"value": "pla{nted", "name": "password"}',
    '{"key":"session","value":{"id":["planted"]}}',
    '{\\"name\\":\\"password\\",\\"value\\":\\"planted\\"}',
    '[["user", "bob"], ["password", "planted"]]',
    "['password', 'planted'",
    "\nuser,password\nbob,planted\nal,planted2\n",
    '\n\ufeffpassword;user\r\n"pla;""nted";bob\r\nplanted;x',
    "\nuser,password\nbob,pla,nted",
    "\nuser\tpassword\tn\nbob\tplanted\t1",
    "https://a.example/x?code=planted&state=1",
    "https://a.example/x?state=1&code=planted",
    "https://a.example/x?redirect_uri=%2F&code=planted#x",
    "https://a.example/oauth2/return?code=planted",
    "next=https%3A%2F%2Fa.example%2Fcallback%3Fcode%3Dplanted%26x%3D1",
    "ÿ" * 70 + "planted@example.com",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_secrets_of_any_form_are_hidden(redactor: Redactor, text: str) -> None:
    shown = redactor.text(f"before {text}").lower()
    assert shown.startswith("before ")
    assert "[redacted" in shown
    rest = [part for part in ("planted", "pla", "nted", "cgxhbn", "8888", "822463", "12345") if part in shown]
    assert not rest, shown


PLAIN = [
    "tokens_used: 12 token_count=3 session_timeout: 30",
    "max_tokens=512",
    "password: null, secret: true",
    "Basic subscription, bearer of news",
    "1795491434000 is milliseconds, 0012888888881881 begins with 0",
    "12 34 56 78 90 12 34 56 78 90",
    "2026-11-25T23:17:54.000Z",
    "9b2d0f4e-0a3c-4d6a-8f2e-1c2d3e4f5a6b",
    "1111111111111111",
    "a@b, @home, user@localhost",
    "https://example.com:8080/a@b",
    "<p>hello <b>world</b></p>",
    "3.4012888888881881",
    "x4012888888881881y",
    '{"code": "E42", "state": "open"} code=5; state=failed',
    "https://a.example/vouchers?code=SUMMER&page=2",
    '{"name": "price", "value": 5} {"name": "token_count", "value": "5"}',
    '{"name": "password"}, {"name": "age", "value": "5"}',
    '["user", "bob"] ["password", "user", "age"]',
    "\nuser,age\nbob,5\n",
    "\nEnter a password.\nThen go on, and wait.\n",
    "the pass rate: 5, boarding_pass: 12A",
]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_is_shown_as_it_is(redactor: Redactor, text: str) -> None:
    assert redactor.text(text) == text
    assert redactor.marks == 0


@given(st.text(max_size=400) | st.binary(max_size=400).map(lambda data: data.decode("latin-1")))
def test_nothing_raises_whatever_the_text(text: str) -> None:
    redactor = Redactor(["$..x", "y"], key=b"k")
    for shown in (redactor.text(text), redactor.path(text), redactor.form(text), redactor.header("set-cookie", text)):
        assert len(shown) <= 40 * len(text) + 40
    redactor.header("cookie", text)
    redactor.endpoint(f"GET /{text}")
    redactor.field(f"$.{text}")
    redactor.at(f"$['{text}']")
    redactor.difference(f"header:{text}", "", text)


_json: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(_json)
def test_a_value_stays_json_and_without_secrets_what_it_was(value: Any) -> None:
    redactor = Redactor(key=b"k")
    shown = redactor.value(value)
    orjson.dumps(shown)
    if redactor.marks == 0 and "\0" not in str(orjson.dumps(value)) and "\\u0000" not in orjson.dumps(value).decode():
        assert shown == value


SLOW: dict[str, Callable[[int], str]] = {
    "letters": lambda n: "a" * n,
    "digits": lambda n: "4" * n,
    "digits with gaps": lambda n: "4012 " * (n // 5),
    "signs": lambda n: "@" * n,
    "half addresses": lambda n: "a@" * (n // 2),
    "dots": lambda n: "a." * (n // 2) + "@",
    "domains": lambda n: "x@" + "a." * (n // 2),
    "percents": lambda n: "%" * n,
    "names": lambda n: "password=" * (n // 9),
    "open containers": lambda n: 'token:{"' * (n // 8),
    "open strings": lambda n: 'token:"\\' * (n // 8),
    "open tags": lambda n: "<input " * (n // 7),
    "open attributes": lambda n: "<input " + 'a="' * (n // 3),
    "parts": lambda n: 'name="a"\n' * (n // 9),
    "keys": lambda n: "-----BEGIN PRIVATE KEY-----" * (n // 27),
    "web tokens": lambda n: "eyJaaaaaa." * (n // 10),
    "schemes": lambda n: "bearer " * (n // 7),
    "URLs": lambda n: "://a:" * (n // 5),
    "CDATA": lambda n: "<a><![CDATA[" * (n // 12),
    "spaces": lambda n: "token" + " " * n,
    "brackets": lambda n: "a[" * (n // 2),
    "percents of names": lambda n: "%61" * (n // 3),
    "siblings": lambda n: '{"name":"password","value":{' * (n // 28),
    "siblings behind": lambda n: '"value":{"a","name":"password"' * (n // 30),
    "names without values": lambda n: '"name":"password",' * (n // 18),
    "pairs": lambda n: '["password",[' * (n // 13),
    "pairs that are none": lambda n: "[" * (n // 2) + '["password",[' * (n // 26) + "]" * (n // 2),
    "tables": lambda n: "password,a\n" * (n // 11),
    "headers": lambda n: "password," * (n // 9),
    "open cells": lambda n: "password,a\n" + '",' * (n // 2),
    "codes": lambda n: "code=" * (n // 5),
    "codes of one URL": lambda n: "&code=1" * (n // 7),
}


@pytest.mark.parametrize("kind", SLOW)
def test_no_more_of_a_text_is_looked_at_than_is_said(redactor: Redactor, kind: str) -> None:
    # How long that takes is told by the bench of the engine.
    text = SLOW[kind](1_000_000)
    assert redactor.text(text) == redactor.text(text[:SCANNED] + "x" * len(text[SCANNED:]))


def test_of_a_text_that_goes_on_the_last_word_is_left_out(redactor: Redactor) -> None:
    for secret in ("planted@example.com", "4012 8888 8888 1881"):
        for cut in range(3, len(secret)):
            shown = redactor.text(f"the text is {secret[:cut]}", whole=False)
            assert shown == f"the text is {ELIDED}", shown
        for at in range(SCANNED - len(secret) - 3, SCANNED + 3):
            shown = redactor.text(f"{'x ' * (at // 2)}{secret} {'y ' * 50}")
            assert secret[:4] not in shown


def test_a_value_under_a_place_or_name_of_the_profile_is_hidden(redactor: Redactor) -> None:
    value = {"customer": {"name": "A", "id": 1}, "a": {"phone": {"home": "B"}}, "rows": [[1, 2]], "X-Tenant": "C"}
    shown = redactor.value(value)
    assert shown["customer"]["id"] == 1
    assert all(
        str(each).startswith("[redacted ")
        for each in (shown["customer"]["name"], shown["a"]["phone"], shown["X-Tenant"])
    )
    assert redactor.value("D", ["customer", "name"]).startswith("[redacted ")
    assert redactor.difference("$.customer.name", "$.customer.name", "D").startswith("[redacted ")
    assert redactor.difference("$.customer", "$.customer", {"name": "D"})["name"].startswith("[redacted ")
    assert redactor.difference("$.customer.id", "$.customer.id", 7) == 7


def test_cookies_keep_their_names_and_attributes(redactor: Redactor) -> None:
    shown = redactor.header("set-cookie", "sid=a; Path=/; HttpOnly, b=c; Expires=Wed, 21 Oct 2026 07:28:00 GMT")
    assert shown.count("[redacted ") == 2
    assert "Path=/; HttpOnly, b=" in shown
    assert "Expires=Wed, 21 Oct 2026 07:28:00 GMT" in shown
    for attribute in ("Lax", "Secure", "Path=/", "SameSite=Strict", "Max-Age=7"):
        assert redactor.difference("header:set-cookie", "", attribute) == attribute
    assert redactor.difference("cookie:connect.sid", "", "planted").startswith("[redacted ")
    assert redactor.difference("cookie:sid.samesite", "", "Lax") == "Lax"
    assert redactor.difference("cookie:sid.path", "", "/a") == "/a"
    assert redactor.difference("cookie:their.path", "", "planted").startswith("[redacted ")


def test_parts_of_a_redirect_are_hidden_by_their_names(redactor: Redactor) -> None:
    assert redactor.difference("header:location.query.token", "", "planted").startswith("[redacted ")
    assert "planted" not in redactor.difference("header:location.path", "", "/reset/planted12345")
    assert redactor.difference("header:location.path", "", "/items/7") == "/items/7"


def test_what_an_element_of_markup_says_is_hidden_by_the_names_above_it(redactor: Redactor) -> None:
    assert redactor.difference("body:a/password", "", "planted").startswith("[redacted ")
    assert redactor.difference("body:html/body/p", "", "hello") == "hello"


def test_endpoints_and_fields_become_general_where_a_secret_is_in_their_name(redactor: Redactor) -> None:
    assert redactor.endpoint("GET /users/planted@example.com/orders/{id}") == "GET /users/{email}/orders/{id}"
    assert redactor.endpoint(f"GET /cards/{CARD}") == "GET /cards/{card}"
    assert redactor.endpoint("POST /password/reset") == "POST /password/reset"
    assert redactor.endpoint("GET /reset/a8f3") == "GET /reset/{redacted}"
    assert redactor.field("$.by['planted@example.com'].n") == "$.by.*.n"
    assert redactor.field("$.items[*].price") == "$.items[*].price"
    assert redactor.field("header:etag") == "header:etag"
    assert "planted" not in redactor.at("$.by['planted@example.com'][3].n")


def test_cards_are_told_by_luhns_sum() -> None:
    valid = ["4012888888881881", "378282246310005", "5555555555554444", "6011111111111117", "4222222222222"]
    assert all(map(looks.is_card, valid))
    assert not any(looks.is_card(number[:-1] + str((int(number[-1]) + 1) % 10)) for number in valid)


def test_numbers_that_are_cards_are_hidden_in_json(redactor: Redactor) -> None:
    shown = redactor.value({"a": int(CARD), "b": 7, "c": -1.5, "tokens": 5, "token": 6})
    assert "card number" in shown["a"]
    assert (shown["b"], shown["c"], shown["tokens"]) == (7, -1.5, 5)
    assert shown["token"].startswith("[redacted ")


def test_large_and_deep_values_are_cut(redactor: Redactor) -> None:
    deep: Any = "planted"
    for _ in range(900):
        deep = [deep]
    assert ELIDED in str(redactor.value(deep))
    assert len(redactor.value(list(range(100_000)))) < 3_000
    assert redactor.value({"password": deep})["password"].startswith("[redacted ")


def test_under_a_sensitive_key_all_is_hidden_whatever_the_keys_below_it(redactor: Redactor) -> None:
    shown = redactor.value({"tokens": {"a": "planted", "b": [{"c": "planted"}]}, "a": "b"})
    assert "planted" not in str(shown)
    assert shown["a"] == "b"


def test_a_value_is_hidden_by_the_name_beside_it(redactor: Redactor) -> None:
    for named in (
        {"name": "password", "value": "planted"},
        {"value": {"x": ["planted"]}, "Key": "api_key"},
        {"field": "recovery_codes", "oldValue": 1, "values": ["planted"]},
        {"headers": [["accept", "a"], ["cookie", "planted"]]},
        {"name": "x-tenant", "value": "planted"},
    ):
        assert "planted" not in str(redactor.value(named))
    for shown in (
        {"name": "password", "type": "text", "required": True},
        {"name": "price", "value": "5"},
        {"name": "tokens", "value": 5},
        {"required": ["password", "user", "age"]},
        [["user", "bob"], ["age", 5]],
    ):
        assert redactor.value(shown) == shown


def test_a_code_is_secret_in_the_query_of_a_sign_in_only(redactor: Redactor) -> None:
    for path in ("/x?code=planted&state=a", "/x?session_state=a&code=planted", "/auth/callback?code=planted"):
        assert "planted" not in redactor.path(path)
    assert "planted" not in redactor.form("grant_type=authorization_code&code=planted")
    assert redactor.difference("header:location.query.code", "", "planted").startswith("[redacted ")
    for path in ("/vouchers?code=SUMMER", "/x?country_code=de&state=a", "/x?state=a"):
        assert redactor.path(path) == path
    assert redactor.value({"code": "E42", "state": "a"}) == {"code": "E42", "state": "a"}
