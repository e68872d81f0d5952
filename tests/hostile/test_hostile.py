"""A shadow may do what it likes: the original's clients get their answers, whole, and hardly later.

Each test is one behaviour of a shadow that gets a copy of every request. "Later" is told against a plain Envoy with the
same original, before and after: not a measure of speed (`build/hostile/table.md` has that), but whether a client was
held up. The guards may hold one up once, by the time that a stuffed connection is given.
"""

from collections.abc import Iterator

import pytest

from tests.hostile.clients import MEGABYTE, download, upload
from tests.hostile.ground import Ground, Trial, ground
from xds_server.translate.clusters import STUFFED_TIMEOUT

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(120)]

NOISE = 1.0
"""Seconds by which a request may be later than the slowest of the plain Envoy because the machine is busy."""
ONCE = STUFFED_TIMEOUT + 0.1
"""Seconds by which the guards may hold up a client, once."""
SHORT = "3s"
"""So that copies that hang reach both their timeout and the breaker while a trial lasts."""
GROWN = 200.0
"""MiB by which Envoy may grow: what the copies in flight hold, and the noise of its allocator."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, trials: list[Trial]) -> Iterator[Ground]:
    with ground(tmp_path_factory.mktemp("hostile")) as made:
        yield made
        trials.extend(made.trials)


def unhurt(place: Ground, trial: Trial, *, grown: float = GROWN) -> None:
    assert trial.wrong == []
    assert min(len(each.seconds) for each in (trial.plain, trial.new, trial.later)) > 0
    # Twice, since on a busy machine an upload of 100 MB takes seconds, now this many and now that.
    slowest = 2 * trial.plain.longest + NOISE
    assert trial.new.longest <= slowest + ONCE
    assert trial.later.longest <= slowest
    assert trial.grown < grown
    place.stack.proxy.child.check()


def judged(trial: Trial) -> None:
    """Its endings are held against the shadow; what our cap refused is not, and nobody else is blamed."""
    assert trial.comparison["pairs"] > 0
    assert set(trial.comparison["notJudged"]) <= {"guard"}


async def test_a_shadow_that_accepts_and_never_answers_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("never_answers", shadowTimeout=SHORT)
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["cut at their timeout"] > 0


async def test_a_shadow_that_reads_a_byte_a_second_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("reads_a_byte_a_second", shadowTimeout=SHORT)
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["cut at their timeout"] > 0


async def test_a_shadow_that_never_reads_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("never_reads", shadowTimeout=SHORT)
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["cut at their timeout"] > 0


async def test_copies_that_hang_for_long_are_stopped_by_the_breaker(place: Ground) -> None:
    uploads = dict([upload(900 * 1024)])
    trial = await place.trial(
        "never_answers", name="never answers uploads of 900 KB", expected=uploads, rate=200.0, connections=16
    )
    unhurt(place, trial, grown=2 * 256 + GROWN)
    assert trial.ends["refused by the breaker"] > 0


async def test_a_shadow_that_answers_ten_gigabytes_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("answers_ten_gigabytes", shadowTimeout=SHORT)
    unhurt(place, trial, grown=256 * 1.5 + GROWN)
    judged(trial)
    assert trial.ends["held to the pace"] > 0


async def test_endless_headers_hurt_nobody(place: Ground) -> None:
    trial = await place.trial("sends_endless_headers")
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["broken off: not HTTP"] > 0


async def test_one_endless_header_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("sends_one_endless_header")
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["broken off: not HTTP"] > 0


async def test_a_shadow_that_closes_at_once_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("closes_at_once")
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["closed by the shadow"] > 0


async def test_a_shadow_that_resets_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("resets")
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["closed by the shadow"] > 0


async def test_malformed_http_hurts_nobody_and_is_held_against_the_shadow(place: Ground) -> None:
    trial = await place.trial("sends_malformed_http")
    unhurt(place, trial)
    # A 101 that nobody asked for cannot be passed on: its own copy is cancelled, and the connection's others go on.
    cancelled = trial.comparison["notJudged"].pop("cancelled", 0)
    judged(trial)
    assert trial.comparison["pairs"] > 5 * cancelled
    assert trial.ends["broken off: not HTTP"] > 0


async def test_http2_rapid_reset_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("resets_each_stream", component="two", name="HTTP/2: resets each stream")
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["reset by the shadow"] > 0


async def test_http2_goaway_at_each_request_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("goes_away_at_each_stream", component="two", name="HTTP/2: goes away at each stream")
    unhurt(place, trial)
    judged(trial)


async def test_an_http2_flood_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("floods", component="two", name="HTTP/2: pings, settings, empty frames")
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["broken off: not HTTP"] > 0


async def test_an_http2_window_of_nothing_hurts_nobody(place: Ground) -> None:
    trial = await place.trial("opens_no_window", component="two", name="HTTP/2: no window", shadowTimeout=SHORT)
    unhurt(place, trial)
    judged(trial)
    assert trial.ends["cut at their timeout"] > 0


LARGE = dict([upload(100 * MEGABYTE), *(download(size) for size in (20, 200, 2000, 30_000))])


async def test_uploads_of_a_hundred_megabytes_are_not_mirrored_by_default_and_reach_the_original_whole(
    place: Ground,
) -> None:
    name = "100 MB uploads, cap 1 MiB, never reads"
    trial = await place.trial("never_reads", name=name, expected=LARGE, rate=10.0, connections=4)
    unhurt(place, trial)
    assert trial.ends["over the cap"] > 0


async def test_uploads_of_a_hundred_megabytes_within_the_cap_are_held_in_bounds(place: Ground) -> None:
    name = "100 MB uploads, cap 128 MiB, reads a byte a second"
    trial = await place.trial(
        "reads_a_byte_a_second", name=name, expected=LARGE, rate=10.0, connections=4, maxRequestBytes=128 * MEGABYTE
    )
    unhurt(place, trial, grown=4 * 128 + GROWN)
    assert trial.ends["refused by the breaker"] > 0
