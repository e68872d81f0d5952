"""The error tree: what a user reads."""

from xds_server.errors import FOREIGN_LIMIT, InvalidError, RuntimeFailedError, ShadowmeshError, cut


def test_an_error_says_the_field_what_is_wrong_and_what_would_be_right() -> None:
    error = InvalidError("1.5 is out of range", field="trafficShadowingPercentage", hint="give 0.0 to 1.0")
    assert str(error) == "trafficShadowingPercentage: 1.5 is out of range (give 0.0 to 1.0)"


def test_an_error_about_no_field_says_just_what_is_wrong() -> None:
    assert str(ShadowmeshError("the disk is full")) == "the disk is full"


def test_a_foreign_text_is_cut_and_says_so() -> None:
    shown = cut("x" * (FOREIGN_LIMIT + 7))
    assert shown == "x" * FOREIGN_LIMIT + "… (7 more characters)"
    assert cut("short") == "short"


def test_a_failed_shadow_brings_its_last_log_lines() -> None:
    assert RuntimeFailedError("exit code 3", log=("boom",)).log == ("boom",)
