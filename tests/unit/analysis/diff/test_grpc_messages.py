import base64
import gzip
import math
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
)

from tests.unit.analysis.entries import pair
from xds_server.analysis.diff.compare import compare
from xds_server.analysis.diff.descriptors import Descriptors, check_descriptor_set
from xds_server.analysis.diff.expressions import BadRuleError
from xds_server.analysis.diff.rules import RuleBook
from xds_server.analysis.kinds import Reason
from xds_server.model.analysis import Analysis, Ignore

FIELD = descriptor_pb2.FieldDescriptorProto


def file(name: str = "shop.proto", *, imports: Iterable[str] = ()) -> descriptor_pb2.FileDescriptorProto:
    made = descriptor_pb2.FileDescriptorProto(name=name, package="shop", syntax="proto3", dependency=imports)
    item = made.message_type.add(name="Item")
    for number, (field, kind, label) in enumerate(
        [
            ("item_name", FIELD.TYPE_STRING, FIELD.LABEL_OPTIONAL),
            ("price", FIELD.TYPE_INT64, FIELD.LABEL_OPTIONAL),
            ("tags", FIELD.TYPE_STRING, FIELD.LABEL_REPEATED),
        ],
        1,
    ):
        item.field.add(name=field, number=number, type=kind, label=label)
    service = made.service.add(name="Catalog")
    service.method.add(name="Get", input_type=".shop.Item", output_type=".shop.Item")
    service.method.add(name="List", input_type=".shop.Item", output_type=".shop.Item", server_streaming=True)
    return made


def encoded(*files: descriptor_pb2.FileDescriptorProto) -> str:
    return base64.b64encode(descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()).decode()


POOL = descriptor_pool.DescriptorPool()
POOL.AddSerializedFile(file().SerializeToString())
ITEM: Any = message_factory.GetMessageClass(POOL.FindMessageTypeByName("shop.Item"))
RULES = RuleBook(Analysis(descriptor_set=encoded(file()))).of("POST /shop.Catalog/Get")


def frames(*items: Any, pack: bool = False) -> bytes:
    data = [item if isinstance(item, bytes) else item.SerializeToString() for item in items]
    data = [gzip.compress(each) if pack else each for each in data]
    return b"".join(struct.pack(">BI", pack, len(each)) + each for each in data)


def found(*bodies: bytes, method: str = "Get", rules: Any = RULES, **headers: str) -> list[tuple[str, str]]:
    given = {"content-type": "application/grpc", **{k.replace("_", "-"): v for k, v in headers.items()}}
    legs = ({"headers": given, "body": b, "path": f"/shop.Catalog/{method}", "method": 3} for b in bodies)
    outcome = compare(*pair(*legs), rules)
    assert outcome.reason is None
    return [(d.field, str(d.kind)) for d in outcome.differences]


def test_messages_are_compared_by_field_in_the_names_of_the_proto() -> None:
    assert found(frames(ITEM(price=1)), frames(ITEM(price=2))) == [("$.price", "value")]
    assert found(frames(ITEM(item_name="a")), frames(ITEM())) == [("$.item_name", "value")]
    assert found(frames(ITEM(tags=["a", "b"])), frames(ITEM(tags=["b", "a"]))) == [("$.tags", "array_order")]


def test_streams_are_arrays_of_messages() -> None:
    one = frames(ITEM(price=1), ITEM(price=2))
    assert found(one, frames(ITEM(price=1), ITEM(price=3)), method="List") == [("$[*].price", "value")]
    assert found(one, frames(ITEM(price=1)), method="List") == [("$", "array_length")]


def asked(*messages: bytes) -> Reason | None:
    """Return why a call whose request was this is not judged."""
    said = {"headers": {"content-type": "application/grpc"}, "trailers": {"grpc-status": "0"}, "method": 3}
    return compare(*pair(said, {**said, "asked": {"te": "trailers"}, "sent_body": b"".join(messages)}), RULES).reason


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("size", [0, 1, 20_000])
def test_a_call_whose_request_goes_on_after_its_first_message_is_streaming(size: int, *, pack: bool) -> None:
    one = frames(b"x" * size, pack=pack)
    assert asked(one) is None
    assert asked(one, frames(b"", pack=pack)) is Reason.STREAMING
    assert asked(one, frames(b"y" * 20_000, pack=pack)) is Reason.STREAMING


@pytest.mark.parametrize("request_", [b"", b"\0", b"\0\0\0\0", b"\0\0\0\0\x09a"])
def test_a_call_whose_request_is_not_whole_is_judged(request_: bytes) -> None:
    assert asked(request_) is None


def test_compressed_messages_are_read() -> None:
    one, other = (frames(ITEM(price=n), pack=True) for n in (1, 2))
    assert found(one, other, grpc_encoding="gzip") == [("$.price", "value")]
    assert found(one, other, grpc_encoding="strange") == [("body", "bytes")]
    bombs = (frames(ITEM(item_name=c * 8_000_000), pack=True) for c in "ab")
    assert found(*bombs, grpc_encoding="gzip") == [("body", "bytes")]
    assert found(one[:-1], other[:-1], grpc_encoding="gzip") == [("body", "bytes")]


def test_the_order_of_fields_on_the_wire_does_not_matter() -> None:
    fields = b"\x0a\x01a", b"\x10\x05"
    assert found(frames(b"".join(fields)), frames(b"".join(fields[::-1]))) == []


def test_fields_that_the_set_does_not_know_are_told_as_bytes() -> None:
    assert found(frames(b"\x10\x05\xa0\x06\x01"), frames(b"\x10\x05\xa0\x06\x02")) == [("body", "bytes")]


def test_a_frame_without_its_end_is_left_out() -> None:
    whole = frames(*(ITEM(price=n, item_name="x" * 20) for n in range(100)))
    legs = [
        {"headers": {"content-type": "application/grpc"}, "body": b, "path": "/shop.Catalog/List", "head": 500}
        for b in (whole, whole[:-2] + b"yy")
    ]
    outcome = compare(*pair(*legs), RULES)
    assert (outcome.differences, outcome.head_only) == ([], True)


@pytest.mark.parametrize("body", [b"\0", b"\0\0\0\0\x09a", b"\0\0\0\0\x02\x0a\xff", b"\x01\0\0\0\x01x", b"\xff" * 50])
def test_what_is_no_message_never_raises(body: bytes) -> None:
    for method in ("Get", "List", "Nope"):
        assert found(frames(ITEM(price=1)), body, method=method)


WELL_KNOWN = [
    (struct_pb2.Value(number_value=math.nan), struct_pb2.Value(number_value=1.0)),
    (struct_pb2.Value(number_value=math.inf), struct_pb2.Value(number_value=math.nan)),
    (timestamp_pb2.Timestamp(seconds=10**12), timestamp_pb2.Timestamp(seconds=1)),
    (duration_pb2.Duration(seconds=10**12), duration_pb2.Duration(seconds=1)),
    (field_mask_pb2.FieldMask(paths=["aB"]), field_mask_pb2.FieldMask(paths=["a"])),
]


@pytest.mark.parametrize(("bad", "good"), WELL_KNOWN)
def test_a_message_that_cannot_be_written_as_json_is_compared_as_bytes(bad: Any, good: Any) -> None:
    known = descriptor_pb2.FileDescriptorProto()
    bad.DESCRIPTOR.file.CopyToProto(known)
    made = file(imports=[known.name])
    made.message_type[0].field.add(
        name="known",
        number=4,
        type=FIELD.TYPE_MESSAGE,
        label=FIELD.LABEL_OPTIONAL,
        type_name=f".{bad.DESCRIPTOR.full_name}",
    )
    rules = RuleBook(Analysis(descriptor_set=encoded(known, made))).of("POST /shop.Catalog/Get")
    ours, theirs = (frames(b"\x22" + bytes([each.ByteSize()]) + each.SerializeToString()) for each in (bad, good))
    assert found(ours, theirs, rules=rules) == found(theirs, ours, rules=rules) == [("body", "bytes")]


def test_rules_hold_for_messages() -> None:
    analysis = Analysis(descriptor_set=encoded(file()), ignore=(Ignore(path="$.price"),))
    assert found(frames(ITEM(price=1)), frames(ITEM(price=2)), rules=RuleBook(analysis).of("POST /x")) == []


def test_files_may_stand_in_any_order() -> None:
    base = descriptor_pb2.FileDescriptorProto(name="base.proto")
    assert Descriptors(encoded(file(imports=["base.proto"]), base)).method("/shop.Catalog/Get") is not None


def broken() -> descriptor_pb2.FileDescriptorProto:
    made = file()
    made.message_type[0].field[0].type_name, made.message_type[0].field[0].type = ".shop.Nope", FIELD.TYPE_MESSAGE
    return made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "base64"),
        (base64.b64encode(b"\xff\xff\xff").decode(), "FileDescriptorSet"),
        (base64.b64encode(file().SerializeToString()).decode(), "FileDescriptorSet"),
        (encoded(), "base64|FileDescriptorSet"),
        (encoded(file(imports=["other.proto"])), "lacks other.proto, which shop.proto imports"),
        (encoded(file("a", imports=["b"]), file("b", imports=["a"])), "circle"),
        (encoded(broken()), "cannot be built"),
    ],
)
def test_a_set_that_cannot_be_read_by_is_refused_and_never_used(text: str, said: str) -> None:
    if text:
        with pytest.raises(BadRuleError, match=said):
            check_descriptor_set(text)
    rules = RuleBook(Analysis(descriptor_set=text)).of("x")
    assert found(frames(ITEM(price=1)), frames(ITEM(price=2)), rules=rules) == [("body", "bytes")]
