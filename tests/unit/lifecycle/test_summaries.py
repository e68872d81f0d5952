import asyncio

import pytest

from xds_server.errors import StoreError
from xds_server.lifecycle.clock import SystemClock
from xds_server.lifecycle.summaries import INTERVAL, Late, Summaries
from xds_server.model.ids import ProfileID
from xds_server.store.base import Changes

ONE, TWO = ProfileID("one"), ProfileID("two")


class Known:
    """A collector that knows of a profile what a test says."""

    def __init__(self) -> None:
        self.of: dict[ProfileID, bytes] = {}
        self.dumped = 0
        self.hurry = asyncio.Event()
        self.marks = 0
        self.kept_marks: list[int] = []

    def mark(self) -> int:
        self.marks += 1
        self.hurry.clear()
        return self.marks

    def kept(self, mark: int) -> None:
        self.kept_marks.append(mark)

    def dump(self, profile_id: ProfileID) -> bytes:
        self.dumped += 1
        return self.of[profile_id]

    def revision(self, profile_id: ProfileID) -> int:
        return hash(self.of.get(profile_id))

    def restart_evidence(self, profile_id: ProfileID) -> None:
        self.of[profile_id] = b"anew"

    def load(self, profile_id: ProfileID, data: bytes) -> None:
        if data == b"broken":
            raise ValueError(data)
        self.of[profile_id] = data

    def forget(self, profile_id: ProfileID) -> None:
        self.of.pop(profile_id, None)


class Disk:
    """A store that takes changes, or fails."""

    def __init__(self) -> None:
        self.written: list[dict[ProfileID, bytes]] = []
        self.fails = False
        self.dropped: list[ProfileID] = []

    async def apply(self, changes: Changes) -> None:
        if self.fails:
            raise StoreError("no space left")
        self.written.append(dict(changes.summaries))
        self.dropped += changes.drop_archive


def made(known: Known, disk: Disk) -> Summaries:
    return Summaries(clock=SystemClock(), store=disk, collector=known, profiles=lambda: list(known.of))  # type: ignore[arg-type]


async def test_what_has_changed_is_written_each_time_and_nothing_else() -> None:
    known, disk = Known(), Disk()
    summaries = made(known, disk)
    known.of = {ONE: b"1", TWO: b"2"}
    await summaries.save()
    await summaries.save()
    known.of[TWO] = b"3"
    await summaries.save()
    assert disk.written == [{ONE: b"1", TWO: b"2"}, {TWO: b"3"}]
    assert known.dumped == 3


async def test_what_came_in_of_deleted_profiles_is_written_in_the_same_step_and_then_said_to_be_kept() -> None:
    known, disk = Known(), Disk()
    summaries = made(known, disk)
    known.of = {ONE: b"1"}
    written: list[list[int]] = []
    summaries.take_along(lambda: Late(Changes(drop_archive=(TWO,)), lambda: written.append(list(known.kept_marks))))
    disk.fails = True
    await summaries.save()
    assert (written, known.kept_marks) == ([], [])
    disk.fails = False
    await summaries.save()
    assert (disk.written, disk.dropped) == ([{ONE: b"1"}], [TWO])
    assert (written, known.kept_marks) == ([[]], [2])


async def test_evidence_that_begins_anew_is_written_with_all_that_is_known_of_others() -> None:
    known, disk = Known(), Disk()
    summaries = made(known, disk)
    known.of = {ONE: b"1", TWO: b"2"}
    summaries.take_along(lambda: Late(Changes(drop_archive=(ProfileID("x"),)), lambda: None))
    assert summaries.restart_evidence(ONE) == Changes(
        summaries={ONE: b"anew", TWO: b"2"}, drop_archive=(ProfileID("x"),)
    )


async def test_what_could_not_be_written_is_written_the_next_time() -> None:
    known, disk = Known(), Disk()
    summaries = made(known, disk)
    known.of = {ONE: b"1"}
    disk.fails = True
    await summaries.save()
    disk.fails = False
    await summaries.save()
    assert disk.written == [{ONE: b"1"}]


async def test_what_came_in_counts_as_kept_only_when_it_was_written_or_there_was_nothing_to_write() -> None:
    known, disk = Known(), Disk()
    summaries = made(known, disk)
    known.of = {ONE: b"1"}
    disk.fails = True
    await summaries.save()
    assert known.kept_marks == []
    disk.fails = False
    await summaries.save()
    await summaries.save()
    assert known.kept_marks == [2, 3]


async def test_an_engine_that_waits_is_not_kept_waiting() -> None:
    known, disk = Known(), Disk()
    known.of = {ONE: b"1"}
    run = asyncio.create_task(made(known, disk).run())
    known.hurry.set()
    async with asyncio.timeout(INTERVAL / 2):
        while not known.kept_marks:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.01)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert disk.written == [{ONE: b"1"}]


async def test_what_was_read_is_not_written_again_unless_it_could_not_be_read() -> None:
    known, disk = Known(), Disk()
    summaries = made(known, disk)
    summaries.load(ONE, b"1")
    summaries.load(TWO, b"broken")
    known.of[TWO] = b"2"
    await summaries.save()
    assert disk.written == [{TWO: b"2"}]


@pytest.mark.parametrize("again", [b"1", b"2"])
async def test_a_forgotten_profile_that_comes_back_is_written(again: bytes) -> None:
    known, disk = Known(), Disk()
    summaries = made(known, disk)
    summaries.load(ONE, b"1")
    summaries.forget(ONE)
    known.of[ONE] = again
    await summaries.save()
    assert disk.written == [{ONE: again}]
