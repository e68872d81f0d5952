"""Every ending, as the real Envoy 1.40 wrote it (recorded/*.pb): CORRECTIONS 5, 6 and 7."""

from pathlib import Path

import pytest

from tests.unit.analysis.entries import record
from xds_server.analysis.diff.compare import compare
from xds_server.analysis.ingest.als import Batch, read_batch
from xds_server.analysis.kinds import Ending, Kind, Reason
from xds_server.analysis.record import Record

RECORDED = Path(__file__).parents[1] / "recorded"
OWN, GONE = Ending.OWN, Ending.CLIENT_GONE


def legs(case: str) -> tuple[Record, Record]:
    batch = read_batch((RECORDED / f"{case}.pb").read_bytes())
    (original,) = [r for r in batch.records if not r.shadow]
    (shadow,) = [r for r in batch.records if r.shadow]
    return original, shadow


@pytest.mark.parametrize(
    ("case", "original_ending", "shadow_ending", "verdict"),
    [
        ("ok", OWN, OWN, Kind.VALUE),
        ("size40k", OWN, OWN, None),
        ("size2m", OWN, OWN, None),
        ("shadow_500", OWN, OWN, Kind.STATUS),
        ("shadow_close", OWN, OWN, Kind.STATUS),
        ("shadow_refused", OWN, OWN, Kind.STATUS),
        ("shadow_hang", OWN, OWN, Kind.STATUS),
        ("shadow_cut", OWN, OWN, Kind.INCOMPLETE),
        ("shadow_drip_hang", OWN, OWN, Kind.INCOMPLETE),
        ("orig_close", OWN, OWN, None),
        ("orig_timeout_leg_shorter", OWN, OWN, None),
        ("orig_timeout", OWN, Ending.CANCELLED, Reason.CANCELLED),
        ("fault_abort", OWN, Ending.INJECTED, Reason.INJECTED),
        ("fault_grpc_abort", OWN, Ending.INJECTED, Reason.INJECTED),
        ("fault_delay_abort", OWN, Ending.INJECTED, Reason.INJECTED),
        ("fault_delay", OWN, OWN, Kind.VALUE),
        ("fault_rate", OWN, OWN, None),
        ("guard_413", OWN, Ending.GUARD, Reason.GUARD),
        ("client_gone", GONE, OWN, Reason.CLIENT_GONE),
        ("client_gone_upload", GONE, Ending.CANCELLED, Reason.CLIENT_GONE),
    ],
)
def test_each_ending_is_told_whose_it_is(
    case: str, original_ending: Ending, shadow_ending: Ending, verdict: Kind | Reason | None
) -> None:
    original, shadow = legs(case)
    assert (original.ending, shadow.ending) == (original_ending, shadow_ending)
    outcome = compare(original, shadow)
    assert (outcome.reason or next((d.kind for d in outcome.differences), None)) == verdict


def test_a_record_has_what_the_entry_said() -> None:
    original, shadow = legs("ok")
    assert original.pair == shadow.pair == "prof1/080e94de-d517-4182-82ec-a522bebcff36"
    assert (original.shadow, shadow.shadow) == ("", "inst1")
    assert (original.method, original.path, original.status, original.size) == ("GET", "/ok", 200, 20)
    assert original.carried_credentials
    assert original.response_time == pytest.approx(0.000387708)
    assert original.completed - original.started == pytest.approx(0.001410974, abs=1e-6)


def test_a_hang_counts_with_the_time_it_was_given() -> None:
    assert legs("shadow_hang")[1].response_time == pytest.approx(2.0, abs=0.01)


def test_an_injected_delay_is_marked_and_is_no_response_time() -> None:
    shadow = legs("fault_delay")[1]
    assert shadow.delayed
    assert shadow.response_time is not None
    assert shadow.response_time < 0.01


def test_a_large_body_is_captured_by_head_size_and_checksum() -> None:
    shadow = legs("size40k")[1]
    assert (shadow.size, shadow.checksum) == (40000, 216488564)
    assert legs("size2m")[1].checksum is None


def test_a_body_that_was_cut_keeps_the_bytes_that_came() -> None:
    shadow = legs("shadow_cut")[1]
    assert (shadow.cut_off, shadow.size, shadow.head) == (True, 10, "")


def test_the_first_message_of_a_stream_names_the_node() -> None:
    batch = read_batch((RECORDED / "ok.pb").read_bytes())
    assert (batch.node, batch.cluster, batch.log_name) == ("node-1", "shop", "shadowmesh")


def test_broken_and_foreign_messages_are_counted() -> None:
    assert read_batch(b"\xff\xff\xff") == Batch(broken=1)
    assert read_batch(b"").records == []


@pytest.mark.parametrize("details", ["http2.remote_reset", "downstream_remote_disconnect"])
def test_a_copy_that_was_held_back_until_its_original_had_ended_is_the_faults_doing(details: str) -> None:
    held = record(shadow="i", details=details, status=0, flags=["delay_injected", "downstream_remote_reset"])
    assert held.ending is Ending.INJECTED
    assert record(shadow="i", details=details, status=0).ending is not Ending.INJECTED
