"""Secrets planted wherever a request or an answer can hold one: nothing that leaves the engine shows one, or half."""

import base64
import struct
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from structlog.testing import capture_logs

from tests.unit.analysis.conftest import CONFIG
from tests.unit.analysis.entries import PROFILE, batch, pair_entries
from tests.unit.analysis.kept import examples_of, of_shadows
from xds_server.analysis import analyser as analyser_module
from xds_server.analysis.analyser import Analyser
from xds_server.analysis.examples.redact import Redactor
from xds_server.analysis.link.collector import Collector
from xds_server.config import EngineSettings
from xds_server.lifecycle.clock import SystemClock
from xds_server.model.analysis import Analysis

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkLWp3dC0xIn0.c2lnbmF0dXJlLXBsYW50ZWQ"
CARD = "4012 8888 8888 1881"
PEM = "-----BEGIN PRIVATE KEY-----\nplantedpemplantedpemplantedpem\n-----END PRIVATE KEY-----"
HTML = '<form><input type="hidden" name="csrf_token" value="planted-csrf-{0}"></form><p>{0}</p>'
FIELD = descriptor_pb2.FieldDescriptorProto


def _proto() -> descriptor_pb2.FileDescriptorProto:
    made = descriptor_pb2.FileDescriptorProto(name="shop.proto", package="shop", syntax="proto3")
    message = made.message_type.add(name="User")
    for number, name in enumerate(("note", "api_token", "nickname", "name", "value"), 1):
        message.field.add(name=name, number=number, type=FIELD.TYPE_STRING, label=FIELD.LABEL_OPTIONAL)
    message.field.add(name="pins", number=6, type=FIELD.TYPE_INT64, label=FIELD.LABEL_REPEATED)
    message.field.add(name="by", number=7, type=FIELD.TYPE_MESSAGE, type_name=".shop.User", label=FIELD.LABEL_REPEATED)
    service = made.service.add(name="Users")
    service.method.add(name="Get", input_type=".shop.User", output_type=".shop.User")
    service.method.add(name="List", input_type=".shop.User", output_type=".shop.User", server_streaming=True)
    return made


POOL = descriptor_pool.DescriptorPool()
POOL.AddSerializedFile(_proto().SerializeToString())
USER: Any = message_factory.GetMessageClass(POOL.FindMessageTypeByName("shop.User"))
CHOSEN = Analysis(
    redact=("x-tenant", "$.customer.name", "nickname"),
    descriptor_set=base64.b64encode(descriptor_pb2.FileDescriptorSet(file=[_proto()]).SerializeToString()).decode(),
)

Place = tuple[Mapping[str, Any], Mapping[str, Any], tuple[str, ...]]
"""What the original's leg and the copy's leg are, and the secrets in them."""
_JSON = {"content-type": "application/json"}


def _bodies(left: Any, right: Any, *secrets: str, **more: Any) -> Place:
    encoded = (each if isinstance(each, bytes) else orjson.dumps(each) for each in (left, right))
    ours, theirs = ({"body": body, **more} for body in encoded)
    return ours, theirs, secrets


def _headers(name: str, left: str, right: str, *secrets: str) -> Place:
    return {"headers": {**_JSON, name: left}}, {"headers": {**_JSON, name: right}}, secrets


def _text(left: str, right: str, *secrets: str, kind: str = "text/plain") -> Place:
    return _bodies(left.encode(), right.encode(), *secrets, headers={"content-type": kind})


def _request(path: str, *secrets: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Place:
    asked = {":authority": "shop.example", **(headers or {})}
    ours = {"path": path, "body": b'{"a":1}'}
    return ours, {"path": path, "body": b'{"a":2}', "method": 2, "asked": asked, "sent_body": body}, secrets


def _messages(left: Any, right: Any, *secrets: str, method: str = "Get") -> Place:
    sides = []
    for user in (left, right):
        data = user.SerializeToString()
        body = struct.pack(">BI", 0, len(data)) + data
        shared = {"path": f"/shop.Users/{method}", "method": 3, "headers": {"content-type": "application/grpc"}}
        sides.append({**shared, "body": body})
    asked = {":authority": "shop.example", "content-type": "application/grpc"}
    return sides[0], {**sides[1], "asked": asked, "sent_body": sides[0]["body"]}, secrets


PLACES: dict[str, Place] = {
    "a field of a gRPC message by its name": _messages(
        USER(api_token="planted-one", by=[USER(api_token="planted-aside")]),
        USER(api_token="planted-two", by=[USER(api_token="planted-aside")]),
        "planted-",
    ),
    "a field of a gRPC message by its looks": _messages(
        USER(note="ask planted@example.com"), USER(note=f"paid by {CARD}"), "planted@", CARD
    ),
    "a field of a gRPC message that the profile names": _messages(
        USER(by=[USER(nickname="PlantedN")]), USER(by=[USER(nickname="PlantedM")]), "Planted"
    ),
    "a field of a stream of gRPC messages": _messages(
        USER(api_token="planted-one"),
        USER(api_token="planted-two"),
        "planted-",
        method="List",
    ),
    "a field of a gRPC message whose name stands beside it": _messages(
        USER(by=[USER(name="password", value="planted-v1")]),
        USER(by=[USER(name="password", value="planted-v2")]),
        "planted-",
    ),
    "a value by its name": _bodies({"accessToken": "planted-one"}, {"accessToken": "planted-two"}, "planted-"),
    "numbers by their name": _bodies({"cvv": 918273}, {"cvv": 645546}, "918273", "645546"),
    "far below a sensitive name": _bodies(
        {"session": {"user": [{"nick": "plantedA"}]}}, {"session": {"user": [{"nick": "plantedB"}]}}, "planted"
    ),
    "in a subtree that is new": _bodies({}, {"new": {"deep": [{"password": "planted-pass"}]}}, "planted-pass"),
    "beside what differs": _bodies(
        {"price": 1, "client_secret": "planted-aside"}, {"price": 2, "client_secret": "planted-aside"}, "planted-aside"
    ),
    "an address in a text": _bodies(
        {"note": "ask planted@example.com"}, {"note": "ask no one"}, "planted@", "planted%"
    ),
    "a card as a number": _bodies({"n": 4012888888881881}, {"n": 1}, "4012888888881881"),
    "a card with separators": _bodies({"note": f"paid by {CARD}."}, {"note": ""}, CARD, "8888 1881"),
    "a web token": _bodies({"x": JWT}, {"x": "y"}, "eyJhbGci", "c2lnbmF0"),
    "a private key": _bodies({"x": PEM}, {"x": "y"}, "plantedpem"),
    "keys of an object": _bodies(
        {"by": {"planted@example.com": {"n": 1}}}, {"by": {"planted@example.com": {"n": 2}}}, "planted@"
    ),
    "a key that is gone": _bodies({"planted@example.com": 1}, {}, "planted@"),
    "a place the profile names": _bodies(
        {"customer": {"name": "Planted Paula"}}, {"customer": {"name": "Planted Peter"}}, "Planted"
    ),
    "a name the profile names": _bodies({"x": {"nickname": "PlantedN"}}, {"x": {"nickname": "PlantedM"}}, "Planted"),
    "JSON that was cut": _bodies(
        b'{"price": 1, "password": "planted-cut' + b"x" * 50,
        b'{"price": 2, "password": "planted-cut' + b"x" * 50,
        "planted-cut",
        size=100_000,
        headers=_JSON,
    ),
    "an address cut in half": _bodies(
        b'{"a": 1, "mail": "planted@exam', b'{"a": 2, "mail": "planted@exam', "planted@", size=9999, headers=_JSON
    ),
    "text cut in half": _bodies(
        b"one is the mail planted@exam",
        b"two is the mail planted@exam",
        "planted@",
        size=9999,
        headers={"content-type": "text/plain"},
    ),
    "what says JSON and is none": _bodies(
        b'{"password": "planted-bad", }', b'{"password": "planted-bad2", }', "planted-bad", headers=_JSON
    ),
    "a place the profile names, in JSON that cannot be read": _bodies(
        b'{"a": NaN, "customer": {"name": "Planted Paula"}}',
        b'{"a": NaN, "customer": {"name": "Planted Peter"}}',
        "Planted",
        headers=_JSON,
    ),
    "a type that changed": _bodies({"token": "planted-t"}, {"token": ["planted-t"]}, "planted-t"),
    "an element of a list": _bodies({"tokens": ["planted-a"]}, {"tokens": ["planted-b", "planted-c"]}, "planted-"),
    "beyond what is shown of a value": _bodies(
        {"x": "w " * 90 + "planted@example.com " + "w " * 99}, {"x": "v"}, "planted@", "planted"
    ),
    "a value whose name stands beside it": _bodies(
        {"fields": [{"name": "user", "value": "a"}, {"name": "password", "value": "planted-v1"}]},
        {"fields": [{"name": "user", "value": "a"}, {"name": "password", "value": "planted-v2"}]},
        "planted-v",
    ),
    "a value whose name stands beside it, elsewhere on each side": _bodies(
        {"f": [{"key": "a", "value": "1"}, {"key": "pw", "value": "planted-v1"}, {"key": "a", "value": "2"}]},
        {"f": [{"key": "pw", "value": "planted-v2"}, {"key": "b", "value": "3"}, {"key": "a", "value": "4"}]},
        "planted-v",
    ),
    "below a value whose name stands beside it": _bodies(
        {"name": "session", "value": {"x": "planted-v1"}},
        {"name": "session", "value": {"x": "planted-v2"}},
        "planted-v",
    ),
    "a value whose name stands beside it, in events": _text(
        'data: {"name":"password","value":"planted-1"}\n\n',
        'data: {"name":"password","value":"planted-2"}\n\n',
        "planted-",
        kind="text/event-stream",
    ),
    "a value whose name stands beside it, in JSON one a line": _text(
        '{"name":"password","value":"planted-1"}\n{}\n',
        '{"name":"password","value":"planted-2"}\n{}\n',
        "planted-",
        kind="application/x-ndjson",
    ),
    "pairs of names and values": _bodies(
        {"headers": [["cookie", "planted-p1"]]}, {"headers": [["cookie", "planted-p2"]]}, "planted-p"
    ),
    "CSV": _text(
        "user,password,age\nbob,planted-1,5\n", "user,password,age\nbob,planted-2,6\n", "planted-", kind="text/csv"
    ),
    "CSV in JSON": _bodies({"x": "a,pass\nb,planted-1\n"}, {"x": "a,pass\nb,planted-2\n"}, "planted-"),
    "the code of a sign-in in a text": _bodies(
        {"x": "at https://a.example/callback?code=planted-1&state=s"},
        {"x": "at https://a.example/callback?code=planted-2&state=s"},
        "planted-",
    ),
    "the code of a sign-in in a redirect": _headers(
        "location", "/x?code=planted-l1&state=a", "/x?code=planted-l2&state=a", "planted-l"
    ),
    "the code of a sign-in in the query": _request("/x?code=planted-c&state=a", "planted-c"),
    "recovery codes": _bodies({"recovery_codes": [918273]}, {"recovery_codes": [645546]}, "918273", "645546"),
    "HTML": _text(HTML.format("one"), HTML.format("two"), "planted-csrf", kind="text/html"),
    "the value of a field beside its name": _text(
        '<input name="csrf_token" value="planted&amp;1"><p>x</p>',
        '<input name="csrf_token" value="planted&amp;2"><p>x</p>',
        "planted",
        kind="text/html",
    ),
    "a stream of events": _text(
        'data: {"token":"planted-1"}\n\n', 'data: {"token":"planted-2"}\n\n', "planted", kind="text/event-stream"
    ),
    "JSON with a key that stands twice": _bodies(
        b'{"token":"planted1","token":"planted3"}', b'{"token":"planted2","token":"planted4"}', "planted", headers=_JSON
    ),
    "far from its name": _text(
        "secret='" + "y " * 3000 + "planted1 " + "z " * 3000 + "'",
        "secret='" + "y " * 3000 + "planted2 " + "z " * 3000 + "'",
        "planted",
    ),
    "XML": _text(
        "<a><password>planted-x1</password></a>", "<a><password>planted-x2</password></a>", "planted-x", kind="text/xml"
    ),
    "a text whose name is far before its value": _text(
        "password=" + "a" * 90 + "planted1" + "b" * 90, "password=" + "a" * 90 + "planted2" + "b" * 90, "planted"
    ),
    "a form": _text(
        "a=1&password=planted%2Fform&mail=planted%40example.com",
        "a=2&password=planted%2Fform",
        "planted",
        kind="application/x-www-form-urlencoded",
    ),
    "a text of an error": _text(
        "cannot log in with Bearer plantedbearer1234", "cannot log in with Bearer plantedbearer5678", "plantedbearer"
    ),
    "an error against JSON": _bodies(b'{"a": 1}', b"no user planted@example.com", "planted@", headers=_JSON),
    "set-cookie": _headers("set-cookie", "sid=planted-c1; Path=/", "sid=planted-c2; Path=/; Secure", "planted-c"),
    "location": _headers("location", "/x?token=planted-l1", "/x?token=planted-l2", "planted-l"),
    "a header by its name": _headers("x-auth-token", "planted-h1", "planted-h2", "planted-h"),
    "a header the profile names": _headers("x-tenant", "planted-n1", "planted-n2", "planted-n"),
    "a header by its looks": _headers("x-owner", "planted@example.com", "none", "planted@"),
    "gRPC messages": (
        {"trailers": {"grpc-status": "5", "grpc-message": "no user planted@example.com"}},
        {"trailers": {"grpc-status": "5", "grpc-message": "token: planted-grpc is bad"}},
        ("planted",),
    ),
    "the query": _request("/x?api_key=planted-q&mail=planted%40example.com&next=a", "planted"),
    "the path": _request("/users/planted@example.com/reset/planted12345", "planted"),
    "the path, encoded": _request("/users/planted%40example.com/", "planted"),
    "a card in the path": _request("/cards/4012-8888-8888-1881/x", "4012-8888", "8888-1881"),
    "headers of the request": _request(
        "/x",
        "planted",
        "cGxhbnRlZDpwbGFudGVk",
        headers={
            "authorization": "Basic cGxhbnRlZDpwbGFudGVk",
            "cookie": "a=planted-1; b=planted-2",
            "x-api-key": "planted-3",
            "referer": "https://shop.example/x?token=planted-4",
            "from": "planted@example.com",
            "x-tenant": "planted-5",
        },
    ),
    "a JSON request": _request(
        "/x",
        "planted",
        "Planted",
        headers=_JSON,
        body=orjson.dumps(
            {"user": {"password": "planted-6", "mail": "planted@example.com"}, "customer": {"name": "Planted"}}
        ),
    ),
    "a form request": _request(
        "/x", "planted", headers={"content-type": "application/x-www-form-urlencoded"}, body=b"pwd=planted-7&a=1"
    ),
    "a multipart request": _request(
        "/x",
        "planted",
        headers={"content-type": "multipart/form-data; boundary=b"},
        body=b'--b\r\nContent-Disposition: form-data; name="pwd"\r\n\r\nplanted-8\r\n--b--\r\n',
    ),
    "a binary request with a secret": _request(
        "/x", "planted", "cGxhbnRlZC", "AHBsYW50ZW", body=b"\0planted@example.com\xff"
    ),
    "a request that was cut": _request("/x", "planted", headers=_JSON, body=b'{"password": "planted' + b"9" * 20_000),
}


def outputs(place: Place) -> str:
    """Return everything that leaves the engine and what the manager makes of it."""
    with capture_logs() as logs:
        engine = Analyser(EngineSettings(), wall=lambda: 1.0)
        engine.configure([replace(CONFIG, analysis=CHOSEN)])
        ours, theirs, _ = place
        engine.feed(batch(*pair_entries(ours, theirs)), 0.0)
        tallies = engine.take()
        assert [t.endpoints and next(iter(t.endpoints.values())).differing for t in of_shadows(tallies)] == [1], (
            "they must differ"
        )
        collector = Collector(clock=SystemClock(), settings=EngineSettings())
        for number, tally in enumerate(tallies, 1):
            collector._take("engine", number, number - 1, orjson.loads(orjson.dumps(tally.pack())))
        said = [collector.summary(PROFILE).as_json(), [each.as_json() for each in examples_of(collector, PROFILE)]]
        assert said[1], "there must be an example"
    parts = [orjson.dumps(tally.pack()) for tally in tallies] + [collector.dump(PROFILE), orjson.dumps(said)]
    return b"\n".join(parts).decode() + str(logs)


@pytest.mark.parametrize("where", PLACES)
def test_a_secret_is_in_nothing_that_leaves_the_engine(where: str) -> None:
    text = outputs(PLACES[where])
    assert not [secret for secret in PLACES[where][2] if secret in text]


@pytest.mark.parametrize("where", [w for w in PLACES if not {"binary", "half", "cut"} & set(w.split())])
def test_without_redaction_the_same_search_finds_it(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Redactor, "mark", lambda _, __, secret: secret)
    text = outputs(PLACES[where])
    assert [secret for secret in PLACES[where][2] if secret in text] or where.startswith("a key that is gone")


def test_two_secrets_that_differ_are_seen_to_differ_and_equal_ones_to_be_equal() -> None:
    text = outputs(_bodies({"token": "one", "b": {"token": "one"}}, {"token": "two", "b": {"token": "one"}}))
    redactor = Redactor(key=b"k")
    assert redactor.mark("", "one") == redactor.mark("", "one") != redactor.mark("", "two")
    assert Redactor(key=b"other").mark("", "one") != redactor.mark("", "one")
    assert text.count("[redacted ") > 2


def test_an_error_in_the_engine_is_logged_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError(f"invalid literal: {'planted' + '-error'}")

    monkeypatch.setattr(analyser_module, "make_example", fails)
    with capture_logs() as logs:
        engine = Analyser(EngineSettings(), wall=lambda: 1.0)
        engine.configure([CONFIG])
        engine.feed(batch(*pair_entries({"body": b"1"}, {"body": b"2"})), 0.0)
    assert [entry["error"] for entry in logs] == ["ValueError"]
    assert "planted-error" not in str(logs)
    (tally,) = of_shadows(engine.take())
    (endpoint,) = tally.endpoints.values()
    assert (endpoint.differing, sum(field.count for field in endpoint.fields.values())) == (1, 1)


def test_no_example_is_made_before_it_is_known_what_the_profile_redacts() -> None:
    engine = Analyser(EngineSettings(), wall=lambda: 1.0)
    engine.feed(batch(*pair_entries({"body": b"1"}, {"body": b"2"})), 0.0)
    (tally,) = of_shadows(engine.take())
    assert [field.count for each in tally.endpoints.values() for field in each.fields.values()] == [1]
    assert not tally.pack()["examples"]
    engine.configure([CONFIG])
    engine.feed(batch(*pair_entries({"body": b"1"}, {"body": b"2"})), 0.0)
    assert of_shadows(engine.take())[0].pack()["examples"]
