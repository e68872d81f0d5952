import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.model.quantity import format_bytes, parse_bytes


@pytest.mark.parametrize(
    ("text", "amount"),
    [("512Mi", 512 * 1024**2), ("4Gi", 4 * 1024**3), ("500M", 500_000_000), ("1.5Ki", 1536), ("7", 7), ("0", 0)],
)
def test_an_amount_is_read_as_kubernetes_reads_it(text: str, amount: int) -> None:
    assert parse_bytes(text) == amount


@pytest.mark.parametrize("text", ["", "Mi", "1 Mi", "-1Mi", "1mi", "1MB", "1e3", "٣Mi"])
def test_what_is_no_amount_is_none(text: str) -> None:
    assert parse_bytes(text) is None


@given(st.integers(0, 10**18 - 1))
def test_what_is_written_is_read_back(amount: int) -> None:
    assert parse_bytes(format_bytes(amount)) == amount
