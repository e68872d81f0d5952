"""Whatever two services answer, and whatever rules there are, comparing them never raises and is consistent."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.analysis.diff.test_grpc_messages import encoded, file
from tests.unit.analysis.entries import pair
from xds_server.analysis.diff.compare import compare
from xds_server.analysis.diff.rules import RuleBook
from xds_server.analysis.examples.example import make_example
from xds_server.analysis.examples.redact import Redactor
from xds_server.model.analysis import Analysis, ArrayKey, Ignore, Normalize, Tolerance

REDACTOR = Redactor(key=b"k")
TYPES = [
    "",
    "application/json",
    "text/html",
    "application/xml",
    "text/plain",
    "text/event-stream",
    "application/x-ndjson",
    "application/grpc",
    "image/png",
]
PIECES = [
    b'{"a":',
    b"[",
    b"]",
    b"}",
    b",",
    b'"x":',
    b'"',
    b"NaN",
    b"1e999",
    b"9" * 30,
    b"null",
    b"true",
    b"<p class='",
    b"<!--",
    b"</p>",
    b">",
    b"\n\n",
    b"data: ",
    b"id: 7\n",
    b"\xff\xfe",
    b"\0\0\0\0\x02",
    b"\x0a\x01",
    b"\\ud800",
    b"2026-11-24T03:37:14Z",
    b"6fa459ea-ee8a-3ca4-894e-db77e160355e",
]
bodies = st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=12).map(b"".join)
headers = st.fixed_dictionaries(
    {"content-type": st.sampled_from(TYPES)},
    optional={
        "content-encoding": st.sampled_from(["gzip", "br", "nope"]),
        "set-cookie": st.text('ab=; ,\\"é', max_size=20),
        "location": st.text("ab:/?#[]@%&=é", max_size=20),
        "x-a": st.text("ab1", max_size=5),
    },
)
answers = st.fixed_dictionaries(
    {"body": bodies, "headers": headers, "status": st.sampled_from([200, 201, 302, 404, 500])},
    optional={"head": st.integers(1, 40), "checksum": st.integers(0, 2), "trailers": st.just({"grpc-status": "0"})},
)
RULES = RuleBook(
    Analysis(
        ignore=(Ignore(path="$..x"), Ignore(value="7"), Ignore(field="body:.*"), Ignore(header="x-*", value="a")),
        normalize=(Normalize(regex="[0-9]+", replace="#"), Normalize(unordered=True), Normalize(ignore_case=True)),
        tolerance=(Tolerance(relative=0.5), Tolerance(path="$..a", absolute=1.0)),
        array_keys=(ArrayKey("$.a", "x"), ArrayKey("$..*", "a")),
        descriptor_set=encoded(file()),
    )
).of("GET /x")
PLAIN = RuleBook().of("GET /x")
PATH = {"path": "/shop.Catalog/List", "method": 3}


@given(answers, answers)
@settings(max_examples=400)
def test_no_pair_of_answers_raises(original: dict[str, Any], shadow: dict[str, Any]) -> None:
    legs = pair({**original, **PATH}, {**shadow, **PATH})
    for rules in (PLAIN, RULES):
        outcome = compare(*legs, rules)
        fields = [(d.field, d.kind) for d in outcome.differences]
        assert len(set(fields)) == len(fields)
        orjson.dumps(
            make_example(*legs, endpoint="GET /x", differences=outcome.differences, redactor=REDACTOR).as_json()
        )


@given(answers)
@settings(max_examples=200)
def test_no_answer_differs_from_itself(answer: dict[str, Any]) -> None:
    for rules in (PLAIN, RULES):
        assert compare(*pair({**answer, **PATH}, {**answer, **PATH}), rules).differences == []


@given(answers, answers)
@settings(max_examples=200)
def test_what_differs_one_way_differs_the_other_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = (compare(*pair({**a, **PATH}, {**b, **PATH}), PLAIN) for a, b in ((one, other), (other, one)))
    assert bool(there.differences) == bool(back.differences)
