"""Every value of the model comes back as it went in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.errors import StoreError
from xds_server.model.analysis import Analysis
from xds_server.model.ids import NetworkID, ProfileID
from xds_server.model.judging import Check, Judging, Metric
from xds_server.model.network import Address, Component, Protocol, VirtualNetwork
from xds_server.model.nodes import ANY_NODE, Placement, Toleration
from xds_server.model.profile import Control, EndpointSpec, Fault, SelfSpec, ShadowingProfile, Variant
from xds_server.model.rollout import Cohort, Mode, Rollout, RolloutState, Split, Step
from xds_server.model.shadow import ShadowInstance
from xds_server.store import codec
from xds_server.store.codec_time import time_from, time_to

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False, width=64)
MOMENT = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive bounds

st.register_type_strategy(str, TEXT)
st.register_type_strategy(float, NUMBER)
st.register_type_strategy(int, st.integers(-(2**53), 2**53))
st.register_type_strategy(datetime, MOMENT)

PAIRS = [
    (VirtualNetwork, codec.encode_network, codec.decode_network),
    (ShadowingProfile, codec.encode_profile, codec.decode_profile),
    (ShadowInstance, codec.encode_instance, codec.decode_instance),
    (Fault, codec.encode_fault, codec.decode_fault),
]


@pytest.mark.parametrize(("kind", "encode", "decode"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
@given(data=st.data())
def test_what_goes_in_comes_out(kind: Any, encode: Any, decode: Any, data: st.DataObject) -> None:
    value = data.draw(st.from_type(kind))
    assert decode(encode(value)) == value


@pytest.mark.parametrize(("kind", "encode", "decode"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
@given(data=st.data())
def test_a_document_of_a_newer_form_is_refused(kind: Any, encode: Any, decode: Any, data: st.DataObject) -> None:
    document = orjson.loads(encode(data.draw(st.from_type(kind))))
    with pytest.raises(StoreError, match="newer"):
        decode(orjson.dumps(document | {"form": codec.FORM + 1}))


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"form": 1}', b"\xff", b'{"form": "one"}', b"null"])
@pytest.mark.parametrize(("kind", "encode", "decode"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_document_that_is_none_is_one_clear_error(kind: Any, encode: Any, decode: Any, document: bytes) -> None:
    with pytest.raises(StoreError) as caught:
        decode(document)
    assert caught.value.hint


def test_times_of_other_zones_come_back_in_utc() -> None:
    there = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert time_to(there) == "2026-01-01T10:00:00.000000+00:00"
    assert time_from(time_to(there)) == there


def test_documents_of_before_controls_were_known_are_read() -> None:
    component = Component("c", Protocol.HTTP1, Address("127.0.0.1", 1), (), version=EndpointSpec("127.0.0.1", 2))
    network = VirtualNetwork(NetworkID("n"), "n", (component,))
    document = orjson.loads(codec.encode_network(network))
    del document["components"][0]["version"]
    assert codec.decode_network(orjson.dumps(document)).components == (replace(component, version=None),)
    variants = (Variant("v", SelfSpec()),)
    profile = ShadowingProfile(ProfileID("p"), NetworkID("n"), "c", 0.5, 60.0, variants, control=Control(SelfSpec()))
    document = orjson.loads(codec.encode_profile(profile))
    del document["control"]
    assert codec.decode_profile(orjson.dumps(document)) == replace(profile, control=None)


def test_documents_of_before_checks_and_splits_were_known_are_read() -> None:
    profile = ShadowingProfile(
        ProfileID("p"),
        NetworkID("n"),
        "c",
        0.5,
        60.0,
        (Variant("v", SelfSpec()),),
        analysis=Analysis(judging=Judging(alpha=0.05, checks=(Check(Metric.CPU, max_ratio=1.1),))),
        mode=Mode.SPLIT,
        split=Split(Cohort(cookie="session"), {"v": 10.0}),
        steps=(Step(Mode.SPLIT, weights={"v": 10.0}),),
        rollout=Rollout(0, RolloutState.RUNNING, datetime(2026, 1, 1, tzinfo=UTC)),
    )
    document = orjson.loads(codec.encode_profile(profile))
    for name in ("mode", "split", "steps", "rollout"):
        del document[name]
    del document["analysis"]["judging"]
    read = codec.decode_profile(orjson.dumps(document))
    assert read == replace(profile, analysis=Analysis(), mode=Mode.SHADOW, split=None, steps=(), rollout=None)


def test_documents_of_before_placement_was_known_are_read() -> None:
    placement = Placement({"disk": "ssd"}, (Toleration("gpu"),))
    variants = (Variant("v", SelfSpec()),)
    profile = ShadowingProfile(ProfileID("p"), NetworkID("n"), "c", 0.5, 60.0, variants, placement=placement)
    document = orjson.loads(codec.encode_profile(profile))
    del document["placement"]
    assert codec.decode_profile(orjson.dumps(document)) == replace(profile, placement=ANY_NODE)
