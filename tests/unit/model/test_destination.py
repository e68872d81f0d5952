import pytest

from xds_server.model.destination import Destination, parse_destination


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("db.shop.svc:5432", Destination(name="db.shop.svc", port=5432)),
        ("DB", Destination(name="db")),
        ("10.1.2.3", Destination(network="10.1.2.3/32")),
        ("10.1.2.3/16:443", Destination(network="10.1.0.0/16", port=443)),
        ("fd00::1", Destination(network="fd00::1/128")),
        ("fd00::/8", Destination(network="fd00::/8")),
        ("[fd00::1]:443", Destination(network="fd00::1/128", port=443)),
        ("[fd00::]/8:443", Destination(network="fd00::/8", port=443)),
    ],
)
def test_a_destination_is_a_name_or_a_network_and_perhaps_a_port(text: str, found: Destination) -> None:
    assert parse_destination(text) == found


@pytest.mark.parametrize(
    "text", ["", ":80", "db:", "db:0", "db:65536", "db:x", "db:1:2", "10.0.0.0/33", "1.2.3", "a b", "http://db", "a/b"]
)
def test_what_is_no_destination_is_none(text: str) -> None:
    assert parse_destination(text) is None
