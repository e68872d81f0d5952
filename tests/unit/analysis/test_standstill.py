"""A process that stood still reads before it gives up."""

from xds_server.analysis.standstill import CATCH_UP, STILL, Standstill


def test_one_that_is_looked_at_often_has_always_caught_up() -> None:
    standstill = Standstill(100.0)
    assert all(standstill.caught_up(100.0 + step * STILL) for step in range(1, 50))


def test_one_that_stood_still_has_a_while_to_read_what_came_meanwhile() -> None:
    standstill = Standstill(100.0)
    assert standstill.caught_up(100.5)
    goes_on = 100.5 + STILL + 5.0
    assert not standstill.caught_up(goes_on)
    assert not standstill.caught_up(goes_on + 0.5 * CATCH_UP)
    assert not standstill.caught_up(goes_on + 0.99 * CATCH_UP)
    assert standstill.caught_up(goes_on + CATCH_UP)


def test_a_second_standstill_begins_another_while() -> None:
    standstill = Standstill(0.0)
    assert not standstill.caught_up(10.0)
    assert not standstill.caught_up(20.0)
    assert not standstill.caught_up(20.5)
    assert not standstill.caught_up(21.5)
    assert standstill.caught_up(20.0 + CATCH_UP)
