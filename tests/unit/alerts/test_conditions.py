"""When an alert begins and when it ends, by a clock of the test's."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.alerts.made import ITEMS, PRICE, SETTINGS, START, instance, seen, verdict, watched
from xds_server.alerts.alert import DIFFERENCE_RATE, HARM, LOSS, NEW_DIFFERENCE, SHADOW_DEAD, VERDICT_FAIL, Alert
from xds_server.alerts.conditions import Moment
from xds_server.alerts.evaluator import Evaluation, Evaluator
from xds_server.alerts.watched import Watched
from xds_server.analysis.windows.tally import Tally
from xds_server.model.analysis import Alerting


def look(
    evaluator: Evaluator,
    seen_now: Watched | None,
    now: float,
    *,
    steady: float | None = None,
    wall: Callable[[datetime], datetime] = lambda when: when,
) -> Evaluation:
    if seen_now is not None:
        evaluator.look(seen_now, Moment(now, now if steady is None else steady, wall))
    return evaluator.done(now)


def names(found: Evaluation) -> list[str]:
    return sorted(alert.name for alert in found.firing.values())


def only(found: Evaluation) -> Alert:
    (alert,) = found.firing.values()
    return alert


def tally(instance_id: str = "i1") -> Tally:
    return Tally("p", instance_id)


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator(SETTINGS)


# New differences.


def test_a_new_difference_says_which_it_is_in_how_many_pairs_and_where_to_look(evaluator: Evaluator) -> None:
    alert = only(look(evaluator, watched({"i1": seen(tally(), START, pairs=4, differ=3)}), START + 1))
    assert dict(alert.labels) == {
        "alertname": NEW_DIFFERENCE,
        "network": "shop",
        "component": "catalog",
        "profile": "catalog-v2",
        "variant": "v2",
        "endpoint": ITEMS,
        "class": "type",
        "field": "$.price",
        "severity": "warning",
    }
    assert alert.annotations == {
        "summary": "catalog v2: GET /items/{id} differs in $.price (type)",
        "description": '3 of 4 pairs; for example original 1, shadow "1"',
        "example": "/items/7",
        "look": "shadowmesh diffs shop --profile catalog-v2 --endpoint 'GET /items/{id}' --field '$.price' "
        "--class type",
    }
    assert alert.starts_at.timestamp() == START


def test_noise_and_recognised_values_raise_nothing(evaluator: Evaluator) -> None:
    noisy = seen(tally(), START, pairs=9, differ=9, both=9)
    recognised = seen(tally(), START, pairs=9, differ=9, field=("$.at", "same_kind"))
    assert names(look(evaluator, watched({"i1": noisy}), START + 60)) == []
    assert names(look(evaluator, watched({"i1": recognised}), START + 60)) == []


def test_with_a_control_a_difference_waits_for_what_the_control_says(evaluator: Evaluator) -> None:
    controlled = watched({"i1": seen(tally(), START, differ=1)}, controlled=True)
    assert names(look(evaluator, controlled, START + 5)) == []
    assert names(look(evaluator, controlled, START + 11)) == [NEW_DIFFERENCE]


def test_a_difference_is_resolved_when_traffic_went_on_long_enough_without_it(evaluator: Evaluator) -> None:
    counted = seen(tally(), START, differ=1)
    profile = watched({"i1": counted})
    first = only(look(evaluator, profile, START + 1))
    # An hour without traffic proves nothing.
    assert names(look(evaluator, profile, START + 3600)) == [NEW_DIFFERENCE]
    seen(counted, START + 3700)
    found = look(evaluator, profile, START + 3701)
    assert found.firing == {}
    (ended,) = found.resolved
    assert (ended.labels, ended.ends_at is not None) == (first.labels, True)
    assert look(evaluator, profile, START + 3702).resolved == ()


def test_the_end_of_the_instances_or_of_the_profile_resolves(evaluator: Evaluator) -> None:
    profile = watched({"i1": seen(tally(), START, differ=1)})
    look(evaluator, profile, START + 1)
    ended = look(evaluator, replace(profile, instances=(instance(status="Stopped"),)), START + 2)
    assert [alert.name for alert in ended.resolved] == [NEW_DIFFERENCE]
    look(evaluator, profile, START + 3)
    assert [alert.name for alert in look(evaluator, None, START + 4).resolved] == [NEW_DIFFERENCE]


def test_two_instances_of_a_variant_one_after_the_other_are_one_alert(evaluator: Evaluator) -> None:
    one, two = seen(tally("i1"), START, differ=1), seen(tally("i2"), START + 5, differ=2)
    profile = watched({"i1": one, "i2": two}, instances=(instance("i1", status="Failed"), instance("i2")))
    found = [a for a in look(evaluator, profile, START + 6).firing.values() if a.name == NEW_DIFFERENCE]
    assert [a.annotations["description"].split(";")[0] for a in found] == ["3 of 2 pairs"]


def test_the_controls_own_differences_raise_nothing(evaluator: Evaluator) -> None:
    control = Tally("p", "c1", control=True)
    profile = watched({"c1": seen(control, START, differ=1)}, instances=(instance("c1", "control"), instance()))
    assert names(look(evaluator, profile, START + 1)) == []
    # Its tally says so too: an instance that ended long ago is not known by name any more.
    assert names(look(evaluator, replace(profile, instances=(instance(),)), START + 2)) == []


def test_conditions_that_a_profile_does_not_want_are_not_raised(evaluator: Evaluator) -> None:
    none = Alerting(new_differences=False, difference_rate=None, loss_rate=None, dead_shadow=False)
    counted = seen(tally(), START, pairs=500, differ=500)
    counted.lost["unpaired_original"] = 500
    profile = watched({"i1": counted}, alerting=none, instances=(instance(), instance("i2", "v3", "Failed")))
    assert names(look(evaluator, profile, START + 1)) == []


# Rates.


RATED = Alerting(new_differences=False, difference_rate=0.1, loss_rate=0.05)


def test_a_rate_above_the_limit_fires_and_ends_when_the_window_is_clean(evaluator: Evaluator) -> None:
    counted = tally()
    profile = watched({"i1": counted}, alerting=RATED)
    now = START
    look(evaluator, profile, now)
    seen(counted, now, pairs=200, differ=60)
    found = only(look(evaluator, profile, now + 10))
    assert (found.name, found.label("endpoint")) == (DIFFERENCE_RATE, ITEMS)
    assert found.annotations["description"] == "60 of 200 pairs (30.0%) differ in the last 300 s"
    resolved: list[Alert] = []
    for step in range(20, 700, 10):
        seen(counted, now + step, pairs=20)
        resolved += look(evaluator, profile, now + step).resolved
    assert [alert.labels for alert in resolved] == [found.labels]


def test_a_rate_of_few_pairs_is_not_judged_and_ends_nothing(evaluator: Evaluator) -> None:
    counted = seen(tally(), START, pairs=99, differ=99)
    profile = watched({"i1": counted}, alerting=RATED)
    assert names(look(evaluator, profile, START + 1)) == []
    seen(counted, START + 2, pairs=1)
    assert names(look(evaluator, profile, START + 3)) == [DIFFERENCE_RATE]
    # Nobody asks any more: that is no sign of health.
    assert names(look(evaluator, profile, START + 4000)) == [DIFFERENCE_RATE]


def test_what_turns_out_to_be_noise_ends_a_rate(evaluator: Evaluator) -> None:
    counted = tally()
    profile = watched({"i1": counted}, alerting=RATED)
    look(evaluator, profile, START)
    seen(counted, START + 1, pairs=200, differ=100)
    assert names(look(evaluator, profile, START + 2)) == [DIFFERENCE_RATE]
    counted.endpoints[ITEMS].trios = 200
    counted.endpoints[ITEMS].fields[PRICE].both = 100
    assert names(look(evaluator, profile, START + 3)) == []


def test_what_turns_out_not_to_be_noise_is_not_all_of_this_moment(evaluator: Evaluator) -> None:
    counted = seen(tally(), START, pairs=200, differ=100, both=1)
    profile = watched({"i1": counted}, alerting=RATED)
    look(evaluator, profile, START + 1000)
    counted.endpoints[ITEMS].fields[PRICE].alone = 50
    seen(counted, START + 1001, pairs=200)
    assert names(look(evaluator, profile, START + 1002)) == []


def test_a_manager_that_starts_again_sees_the_rate_by_the_timelines(evaluator: Evaluator) -> None:
    counted = seen(tally(), START, pairs=200, differ=60)
    assert names(look(evaluator, watched({"i1": counted}, alerting=RATED), START + 1)) == [DIFFERENCE_RATE]


# Dead shadows.


def test_a_failed_shadow_fires_until_another_one_of_its_variant_runs(evaluator: Evaluator) -> None:
    failed = instance("i1", status="Failed", reason="exited with code 1")
    found = only(look(evaluator, watched(instances=(failed,)), START + 1))
    assert (found.name, found.label("variant"), found.annotations["description"]) == (
        SHADOW_DEAD,
        "v2",
        "exited with code 1",
    )
    pending = instance("i2", status="Pending", created=START + 2)
    assert names(look(evaluator, watched(instances=(failed, pending)), START + 3)) == [SHADOW_DEAD]
    other = instance("i3", "v3", created=START + 2)
    assert names(look(evaluator, watched(instances=(failed, other)), START + 4)) == [SHADOW_DEAD]
    running = instance("i2", created=START + 2)
    assert [a.labels for a in look(evaluator, watched(instances=(failed, running)), START + 5).resolved] == [
        found.labels
    ]


# Loss.


def test_loss_above_the_limit_fires_and_ends(evaluator: Evaluator) -> None:
    counted = tally()
    profile = watched({"i1": counted})
    look(evaluator, profile, START)
    seen(counted, START + 1, pairs=180)
    counted.lost["unpaired_original"] = 20
    counted.lost["als_gap"] = 20  # the same ones, as Envoy counts them
    found = only(look(evaluator, profile, START + 2))
    assert found.name == LOSS
    assert found.annotations["description"].startswith("20 of 200 pairs (10.0%) were lost in the last 300 s")
    resolved: list[Alert] = []
    for step in range(20, 700, 20):
        seen(counted, START + step, pairs=50)
        resolved += look(evaluator, profile, START + step).resolved
    assert [alert.labels for alert in resolved] == [found.labels]


def test_loss_that_cannot_be_told_to_belong_to_one_of_several_versions_counts_too(evaluator: Evaluator) -> None:
    nobodys = Tally("p", "")
    profile = watched({"": nobodys}, variants=("v2", "v3"))
    look(evaluator, profile, START)
    nobodys.lost["unpaired_shadow"] = 500
    assert only(look(evaluator, profile, START + 1)).label("variant") == "unknown"


def test_loss_below_the_limit_is_no_alert(evaluator: Evaluator) -> None:
    counted = tally()
    look(evaluator, watched({"i1": counted}), START)
    seen(counted, START + 1, pairs=196)
    counted.lost["unpaired_original"] = 4
    assert names(look(evaluator, watched({"i1": counted}), START + 2)) == []


# Bounds.


def test_beyond_the_bound_the_rest_are_one_alert_and_those_that_fire_stay(evaluator: Evaluator) -> None:
    counted = tally()
    for number in range(5):
        seen(counted, START, pairs=100, differ=10 + number, field=(f"$.f{number}", "value"))
    profile = watched({"i1": counted})
    told = {a.label("field") for a in look(evaluator, profile, START + 1).firing.values()}
    assert told == {"$.f4", "$.f3", "$.f2", "other"}
    seen(counted, START + 2, pairs=100, differ=90, field=("$.f0", "value"))
    found = look(evaluator, profile, START + 3)
    assert {a.label("field") for a in found.firing.values()} == told
    assert found.resolved == ()
    (rest,) = (a for a in found.firing.values() if a.label("field") == "other")
    assert rest.annotations["summary"].startswith("catalog: 2 more of these")


def test_labels_are_the_same_each_time_valid_and_short(evaluator: Evaluator) -> None:
    fields = [("$." + "x" * 900 + end, "value") for end in ("a", "b")] + [("$.\udc80", "value")]
    counted = tally()
    for field in fields:
        seen(counted, START, differ=1, field=field)
    first = look(evaluator, watched({"i1": counted}), START + 1).firing
    again = look(Evaluator(SETTINGS), watched({"i1": counted}), START + 2).firing
    assert list(first) == list(again)
    assert len(first) == 3
    for labels in first:
        assert all(len(value) <= 200 and value.encode() for _, value in labels)


def test_an_alert_of_an_earlier_life_goes_on_with_its_beginning(evaluator: Evaluator) -> None:
    counted = seen(tally(), START, pairs=200, differ=60)
    profile = watched({"i1": counted}, alerting=RATED)
    before = look(evaluator, profile, START + 1)
    later = Evaluator(SETTINGS)
    later.resume(before.firing.values())
    found = look(later, profile, START + 50)
    assert (found.resolved, only(found).starts_at) == ((), only(before).starts_at)


# Verdicts.


def test_a_fail_fires_until_it_is_one_no_longer(evaluator: Evaluator) -> None:
    alert = only(look(evaluator, watched(verdict=verdict()), START))
    assert dict(alert.labels) == {
        "alertname": VERDICT_FAIL,
        "network": "shop",
        "component": "catalog",
        "profile": "catalog-v2",
        "variant": "v2",
        "severity": "warning",
    }
    assert alert.annotations == {
        "summary": "catalog v2: the verdict is FAIL",
        "description": "v2 fails more often",
        "look": "shadowmesh status shop",
    }
    assert alert.starts_at == datetime(2027, 1, 15, 8, tzinfo=UTC)
    over = look(evaluator, watched(verdict=verdict("INCONCLUSIVE")), START + 5)
    assert [ended.name for ended in over.resolved] == [VERDICT_FAIL]


def test_neither_a_pass_nor_no_verdict_fires(evaluator: Evaluator) -> None:
    for said in (None, verdict("PASS"), verdict("INCONCLUSIVE")):
        assert names(look(evaluator, watched(verdict=said), START)) == []


def test_a_fail_of_one_version_of_several_is_told_of_that_one(evaluator: Evaluator) -> None:
    two = watched(variants=("v2", "v3"), verdict=verdict("INCONCLUSIVE", v2="INCONCLUSIVE", v3="FAIL"))
    assert only(look(evaluator, two, START)).label("variant") == "v3"


def test_a_fail_in_front_of_real_users_is_critical(evaluator: Evaluator) -> None:
    assert only(look(evaluator, watched(verdict=verdict(), users=True), START)).label("severity") == "critical"


def test_a_fail_fires_also_when_nothing_runs_any_more(evaluator: Evaluator) -> None:
    ended = watched(instances=(instance(status="Stopped"),), verdict=verdict())
    assert names(look(evaluator, ended, START)) == [VERDICT_FAIL]


def test_harm_fires_and_is_critical(evaluator: Evaluator) -> None:
    alert = only(look(evaluator, watched(verdict=verdict("PASS", harm="HARM")), START))
    assert (alert.name, alert.label("severity"), alert.label("variant")) == (HARM, "critical", "")
    assert alert.annotations["description"] == "mirrored requests take longer"


# The wall clock is set.

HOUR = 3600.0


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_the_window_is_as_long_as_it_was_to_be_when_the_clock_is_set(evaluator: Evaluator, jump: float) -> None:
    counted = tally()
    profile = watched({"i1": counted})
    look(evaluator, profile, START, steady=0.0)
    seen(counted, START + 1, pairs=180)
    counted.lost["unpaired_original"] = 20
    assert names(look(evaluator, profile, START + 2, steady=2.0)) == [LOSS]
    ended = []
    for step in range(20, 700, 20):
        seen(counted, START + jump + step, pairs=8)  # so few that the loss has to leave the window
        ended += [step for _ in look(evaluator, profile, START + jump + step, steady=float(step)).resolved]
    assert len(ended) == 1
    assert SETTINGS.window - 20 <= ended[0] <= SETTINGS.window + 40


def test_an_alert_ends_now_and_not_in_the_future_when_the_clock_was_set_back(evaluator: Evaluator) -> None:
    failed = instance("i1", status="Failed")
    profile = watched(instances=(failed,))
    look(evaluator, profile, START + 1, steady=1.0)
    going_on = only(look(evaluator, profile, START - HOUR, steady=2.0))
    assert going_on.starts_at.timestamp() == START - HOUR
    (resolved,) = look(evaluator, None, START - HOUR + 1, steady=3.0).resolved
    assert resolved.ends_at is not None
    assert resolved.ends_at.timestamp() == START - HOUR + 1
    assert resolved.starts_at <= resolved.ends_at


def test_the_end_of_a_shadow_is_told_by_the_wall_clock(evaluator: Evaluator) -> None:
    failed = instance("i1", status="Failed")
    hour = timedelta(hours=1)
    alert = only(look(evaluator, watched(instances=(failed,)), START + HOUR + 5, wall=lambda when: when + hour))
    assert alert.starts_at.timestamp() == START + HOUR
