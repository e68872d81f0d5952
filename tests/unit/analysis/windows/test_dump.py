"""Comparisons as bytes for the disk."""

import pytest

from tests.unit.analysis.differing import a_tally, judged, seen
from xds_server.analysis.windows.dump import Progress, pack_dump, read_dump
from xds_server.analysis.windows.tally import Tally


def much() -> Tally:
    tally = a_tally()
    judged(tally, 1000)
    for number in range(20):
        seen(tally, f"$.f{number}", values=[("1" * 200, "2" * 200)] * 5)
    return tally


def examples(data: bytes) -> list[int]:
    (tally,) = read_dump(data)[1]
    return [len(field.examples) for field in tally.endpoints["GET /items/{id}"].fields.values()]


def test_what_is_dumped_is_read_again() -> None:
    progress = Progress({"engine": 7}, {"engine": 3})
    read, (tally,), evidence, config = read_dump(
        pack_dump(progress, [much()], evidence={"since": 1.5}, config={"profile_id": "p"})
    )
    assert config == {"profile_id": "p"}
    assert (read, tally.instance, tally.pack(), evidence) == (progress, "i1", much().pack(), {"since": 1.5})


@pytest.mark.parametrize("keep", [5, 1, 0])
def test_a_dump_that_is_too_large_leaves_out_examples_and_no_counts(keep: int) -> None:
    tally = much()
    sizes = {5: 10**9, 1: len(pack_dump(Progress(), [tally])) - 1, 0: 1}
    data = pack_dump(Progress(), [tally], most=sizes[keep])
    assert set(examples(data)) == {keep}
    (read,) = read_dump(data)[1]
    endpoint = read.endpoints["GET /items/{id}"]
    assert (endpoint.pairs, sum(f.count for f in endpoint.fields.values()), read.keep) == (1000, 200, 5)
    assert examples(pack_dump(Progress(), [tally])) == [5] * 20  # the original has all of them still


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version": 3, "tallies": [], "applied": {}, "reached": {}}',
        b'{"version": 4, "tallies": [1], "applied": {}, "reached": {}}',
    ],
)
def test_what_is_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_dump(data)
