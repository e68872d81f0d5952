"""CPU a request and memory, block by block."""

import math
from random import Random

import pytest

from xds_server.analysis.statistics.ratio import GAMMA, GRID
from xds_server.lifecycle.resources import CLIP, LITTLE, SCALE, CpuBlocks, Leg, MemoryBlocks, PerRequest, scores

SURE = math.log(100)


def test_a_score_is_the_distance_to_the_ratio_and_the_same_either_way_round() -> None:
    found = scores(100.0, 100.0 * GAMMA)
    assert found[GRID.index(1)] == 0
    assert math.isclose(found[GRID.index(0)], math.log(GAMMA) / SCALE)
    assert (found[0], found[-1]) == (CLIP, -CLIP)
    assert [-x for x in reversed(scores(1.3, 1.0))] == pytest.approx(scores(1.0, 1.3))


def test_nothing_against_something_is_the_furthest_there_is() -> None:
    assert set(scores(0.0, 1.0)) == {CLIP}
    assert set(scores(1.0, 0.0)) == {-CLIP}


def memory(blocks: MemoryBlocks, values: list[tuple[float, float]], *, start: float = 0.0, whose: str = "a") -> float:
    """Take a sample a second; return when the next one would be."""
    for number, (reference, candidate) in enumerate(values):
        blocks.add(start + number, Leg(memory=reference), Leg(whose, memory=candidate), length=5.0)
    return start + len(values)


def test_memory_is_judged_by_means_of_blocks() -> None:
    blocks = MemoryBlocks()
    chance = Random(1)
    memory(blocks, [(100e6 * chance.uniform(0.99, 1.01), 120e6 * chance.uniform(0.99, 1.01)) for _ in range(200)])
    assert blocks.evidence.count == 39
    assert blocks.evidence.log_evidence_above(1.1) > SURE
    assert blocks.evidence.log_evidence_below(1.3) > SURE
    assert blocks.evidence.log_evidence_above(1.25) < 0
    lo, hi = blocks.evidence.interval(0.01)
    assert 1.1 < lo < 1.2 < hi < 1.3
    assert blocks.reference is not None
    assert 99e6 < blocks.reference < 101e6
    assert blocks.reason == ""


def test_until_the_first_block_is_over_there_is_no_evidence_and_a_reason() -> None:
    blocks = MemoryBlocks()
    at = memory(blocks, [(1e6, 1e6)] * 5)
    assert (blocks.evidence.count, blocks.reason) == (0, "the first block is not over yet")
    memory(blocks, [(1e6, 1e6)], start=at)
    assert (blocks.evidence.count, blocks.reason) == (1, "")


def test_a_process_started_anew_begins_a_new_block() -> None:
    blocks = MemoryBlocks()
    at = memory(blocks, [(1e6, 1e6)] * 5)
    at = memory(blocks, [(1e6, 5e6)] * 5, start=at, whose="b")
    assert blocks.evidence.count == 0
    memory(blocks, [(1e6, 5e6)] * 5, start=at, whose="b")
    assert (blocks.evidence.count, blocks.candidate) == (1, 5e6)


def test_what_is_not_known_has_its_reason_and_what_was_measured_stays() -> None:
    blocks = MemoryBlocks()
    at = memory(blocks, [(1e6, 1e6)] * 6)
    blocks.add(at, Leg(unknown="the original is elsewhere"), Leg(memory=1e6), length=5.0)
    assert (blocks.reason, blocks.evidence.count) == ("the original is elsewhere", 1)
    blocks.add(at, Leg(unknown="the original is elsewhere"), Leg(unknown="the shadow too"), length=5.0)
    assert blocks.reason == "the shadow too"


class Load:
    """Two processes that serve requests, a second at a time."""

    def __init__(self, *, milliseconds: tuple[float, float], rate: tuple[int, int], noise: float = 0.0) -> None:
        self.blocks = CpuBlocks()
        self.at = 0.0
        self.cpu = [0.0, 0.0]
        self.requests = [0, 0]
        self.milliseconds, self.rate, self.noise = milliseconds, rate, noise
        self.chance = Random(2)
        self.whose = "a"

    def run(self, seconds: int, *, every: int = 5, alike: bool = True, length: float = 5.0) -> CpuBlocks:
        for _ in range(seconds):
            counted = self.at % every == 0
            legs = [Leg(self.whose, cpu=c, requests=r) for c, r in zip(self.cpu, self.requests, strict=True)]
            self.blocks.add(self.at, *legs, length=length, counted=counted, alike=alike)
            self.at += 1
            for leg in (0, 1):
                factor = math.exp(self.chance.gauss(0, self.noise)) if self.noise else 1.0
                self.requests[leg] += self.rate[leg]
                self.cpu[leg] += self.rate[leg] * self.milliseconds[leg] / 1000 * factor
        return self.blocks


def test_cpu_is_judged_a_request_whatever_the_share_that_is_mirrored() -> None:
    blocks = Load(milliseconds=(2.0, 2.6), rate=(200, 20), noise=0.1).run(300, alike=False)
    assert blocks.evidence.count == 58, "the first two give no evidence: one to begin, one for the load"
    assert blocks.evidence.log_evidence_above(1.15) > SURE
    assert blocks.evidence.log_evidence_below(1.5) > SURE
    assert blocks.reference is not None
    assert blocks.candidate is not None
    assert math.isclose(blocks.reference, 2.0, rel_tol=0.05)
    assert math.isclose(blocks.candidate, 2.6, rel_tol=0.05)
    assert blocks.reason == "the original serves 10 times as many requests"


def test_a_block_goes_on_until_there_are_requests_and_cpu_enough() -> None:
    few = Load(milliseconds=(20.0, 20.0), rate=(1, 1))
    assert few.run(16).reason == "too few requests so far: 15 of 20 in a block"
    assert few.run(10).evidence.count == 1
    little = Load(milliseconds=(0.11, 0.11), rate=(50, 50))
    assert little.run(7).reason == "too little CPU was used so far to measure it: 0.03 of 0.05 s in a block"
    assert little.run(5).evidence.count == 1


def test_against_the_original_blocks_with_little_load_are_no_evidence() -> None:
    idle = Load(milliseconds=(1.0, 2.0), rate=(100, 5))
    blocks = idle.run(100, alike=False)
    assert (blocks.evidence.count, blocks.candidate) == (0, None)
    assert blocks.reason == LITTLE.format(1.0)
    idle.rate = (100, 20)
    assert idle.run(20, alike=False).evidence.count > 0


def test_a_block_ends_only_where_requests_were_counted() -> None:
    blocks = Load(milliseconds=(1.0, 1.0), rate=(100, 100)).run(36, every=7)
    assert blocks.evidence.count == 5


def test_a_process_started_anew_or_a_count_that_falls_begins_a_new_block_of_cpu() -> None:
    load = Load(milliseconds=(1.0, 1.0), rate=(100, 100))
    load.run(4, every=1)
    load.cpu[1] = 0.0
    load.run(3, every=1)
    load.whose = "b"
    assert load.run(5, every=1).evidence.count == 0
    assert load.run(1, every=1).evidence.count == 1


def test_without_counts_the_reason_is_theirs() -> None:
    blocks = CpuBlocks()
    blocks.add(0.0, Leg(cpu=1.0, uncounted="no Envoy"), Leg(cpu=1.0, requests=1), length=5.0)
    assert blocks.reason == "no Envoy"


def test_the_same_version_twice_is_hardly_ever_told_apart_while_everybody_watches() -> None:
    alarms = 0
    for seed in range(100):
        load = Load(milliseconds=(2.0, 2.0), rate=(100, 100), noise=0.15)
        load.chance = Random(seed)
        for _ in range(20):
            evidence = load.run(25).evidence
            if max(evidence.log_evidence_above(1.0), evidence.log_evidence_below(1.0)) > math.log(1 / 0.05):
                alarms += 1
                break
    assert alarms <= 2 * 0.05 * 100


def test_cpu_of_one_leg_is_told_from_count_to_count() -> None:
    one = PerRequest()
    assert one.add(Leg("a", cpu=1.0, requests=100)) is None
    assert one.add(Leg("a", cpu=1.1, requests=110)) is None, "too few"
    assert math.isclose(one.add(Leg("a", cpu=1.5, requests=200)) or 0, 5.0)
    assert one.add(Leg("b", cpu=9.0, requests=900)) is None, "another process"
    assert one.add(Leg("b")) is None
    assert one.add(Leg("b", cpu=9.0, requests=900)) is None
