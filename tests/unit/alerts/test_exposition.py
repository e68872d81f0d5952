"""What Prometheus reads."""

from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.alerts.made import START, instance, seen, verdict, watched
from xds_server.alerts.exposition import Exposition
from xds_server.alerts.watched import Watched
from xds_server.analysis.windows.tally import Tally

Samples = dict[tuple[str, ...], float]


def scrape(exposition: Exposition) -> dict[str, list[tuple[dict[str, str], float]]]:
    registry = CollectorRegistry()
    registry.register(exposition)
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def one(found: dict[str, list[tuple[dict[str, str], float]]], name: str, **labels: str) -> float:
    (value,) = [value for given, value in found[name] if labels.items() <= given.items()]
    return value


def test_pairs_differences_losses_and_times_are_counted_by_variant() -> None:
    tally = seen(Tally("p", "i1"), START, pairs=10, differ=4)
    tally.lost["unpaired_original"] = 2
    tally.counts["delayed"] = 3
    tally.endpoints["GET /items/{id}"].not_judged["injected"] = 5
    tally.endpoints["GET /items/{id}"].shadow.errors = 1
    found = scrape(Exposition(lambda: [watched({"i1": tally})]))
    where = {"network": "shop", "component": "catalog", "profile": "catalog-v2", "variant": "v2"}
    assert one(found, "shadowmesh_pairs_total", **where) == 10
    assert one(found, "shadowmesh_identical_pairs_total", **where) == 6
    assert one(found, "shadowmesh_discrepancies", **where) == 4
    assert one(found, "shadowmesh_differences_total", **where, **{"class": "type"}) == 4
    assert one(found, "shadowmesh_lost_total", **where, kind="unpaired_original") == 2
    assert one(found, "shadowmesh_not_judged_total", **where, reason="injected") == 5
    assert one(found, "shadowmesh_injected_total", **where) == 8
    assert one(found, "shadowmesh_errors_total", **where, leg="shadow") == 1
    assert one(found, "shadowmesh_shadows", **where, status="Running") == 1
    assert one(found, "shadowmesh_mirrored_share", **where) == 0.5


def test_response_times_are_a_cumulative_histogram_of_each_leg() -> None:
    tally = seen(Tally("p", "i1"), START, pairs=10)
    found = scrape(Exposition(lambda: [watched({"i1": tally})]))
    name = "shadowmesh_response_time_seconds"
    buckets = [(g["le"], v) for g, v in found[f"{name}_bucket"] if g["leg"] == "shadow"]
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    assert dict(buckets)["0.01"] == 0
    assert dict(buckets)["0.025"] == dict(buckets)["+Inf"] == one(found, f"{name}_count", leg="shadow") == 10
    assert abs(one(found, f"{name}_sum", leg="shadow") - 0.2) < 0.2 * 0.011


def test_a_profile_without_a_pair_is_there_with_zeros_so_that_the_first_rise_is_seen() -> None:
    found = scrape(Exposition(lambda: [watched()]))
    assert one(found, "shadowmesh_pairs_total") == 0


def test_a_share_counts_only_while_a_shadow_runs() -> None:
    found = scrape(Exposition(lambda: [watched(instances=(instance(status="Pending"),))]))
    assert one(found, "shadowmesh_mirrored_share") == 0


def test_noise_is_in_the_raw_counters_and_not_among_the_discrepancies() -> None:
    tally = seen(Tally("p", "i1"), START, pairs=10, differ=4, both=4)
    found = scrape(Exposition(lambda: [watched({"i1": tally})]))
    assert one(found, "shadowmesh_identical_pairs_total") == 6
    assert one(found, "shadowmesh_discrepancies") == 0


def test_series_beyond_the_bound_are_summed_as_other_and_stay_so() -> None:
    seen_now: list[Watched] = []
    for number in range(5):
        tally = seen(Tally("p", "i1"), START, pairs=1 + number)
        seen_now.append(replace(watched({"i1": tally}), profile=f"p{number}"))
    exposition = Exposition(lambda: seen_now, most=2)
    found = scrape(exposition)
    assert len(found["shadowmesh_pairs_total"]) == 3
    assert one(found, "shadowmesh_pairs_total", profile="other") == 3 + 4 + 5
    assert one(found, "shadowmesh_series_folded") == 3
    # One that is counted as `other` stays there although a place is free: it would count twice. A new one takes it.
    del seen_now[0], seen_now[-1]
    found = scrape(exposition)
    assert {g["profile"] for g, _ in found["shadowmesh_pairs_total"]} == {"p1", "other"}
    assert one(found, "shadowmesh_pairs_total", profile="other") == 12
    seen_now.append(replace(watched(), profile="new"))
    assert one(scrape(exposition), "shadowmesh_pairs_total", profile="new") == 0


def test_a_profile_that_is_made_anew_under_its_name_begins_at_nothing() -> None:
    seen_now = [watched({"i1": seen(Tally("p", "i1"), START, pairs=9)})]
    exposition = Exposition(lambda: seen_now)
    scrape(exposition)
    seen_now[0] = replace(watched({"i2": seen(Tally("q", "i2"), START, pairs=2)}), profile_id="q")
    assert one(scrape(exposition), "shadowmesh_pairs_total") == 2
    seen_now.clear()
    scrape(exposition)
    assert (exposition._own, exposition._highest) == ({}, {})


def test_a_counter_never_falls_though_a_loss_turned_out_to_be_less() -> None:
    tally = seen(Tally("p", "i1"), START)
    tally.lost["als_gap"] = 7
    exposition = Exposition(lambda: [watched({"i1": tally})])
    scrape(exposition)
    tally.lost["als_gap"] = 5
    assert one(scrape(exposition), "shadowmesh_lost_total") == 7


def test_an_instance_that_is_forgotten_still_counts() -> None:
    tally = seen(Tally("p", "i0"), START, pairs=3)
    found = scrape(Exposition(lambda: [watched({"i0": tally, "i1": seen(Tally("p", "i1"), START, pairs=4)})]))
    assert one(found, "shadowmesh_pairs_total", variant="v2") == 7


def test_the_verdict_on_each_version_is_one_of_three() -> None:
    two = watched(variants=("v2", "v3"), verdict=verdict("INCONCLUSIVE", v2="FAIL", v3="INCONCLUSIVE"))
    found = scrape(Exposition(lambda: [two]))
    for variant, its in (("v2", "FAIL"), ("v3", "INCONCLUSIVE")):
        for decision in ("PASS", "FAIL", "INCONCLUSIVE"):
            assert one(found, "shadowmesh_verdict", variant=variant, decision=decision) == (decision == its)
    assert one(found, "shadowmesh_verdict_pairs", variant="v3") == 901


def test_before_anything_was_judged_there_is_no_verdict() -> None:
    assert "shadowmesh_verdict" not in scrape(Exposition(lambda: [watched()]))
