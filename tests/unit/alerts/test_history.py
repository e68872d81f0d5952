"""Totals over a window."""

from xds_server.alerts.history import SAMPLES, History


def test_a_difference_is_taken_over_the_window() -> None:
    history = History(100)
    for second in range(0, 301, 5):
        rise = history.delta(("a",), float(second), (second,))
    assert rise == (100,)


def test_what_is_kept_is_bounded_and_series_that_are_gone_are_dropped() -> None:
    history = History(100)
    for second in range(1000):
        history.delta(("a",), second / 7, (second,))
    assert len(history._series["a",].samples) <= SAMPLES + 2
    history.prune()
    history.prune()
    assert history._series == {}


def test_a_total_that_falls_or_another_epoch_begins_anew() -> None:
    history = History(100)
    history.delta(("a",), 0.0, (10,), epoch=1)
    assert history.delta(("a",), 1.0, (4,), epoch=1) == (0,)
    assert history.delta(("a",), 2.0, (6,), epoch=1) == (2,)
    assert history.delta(("a",), 3.0, (7,), epoch=2) == (0,)
