"""YAML that every reader takes for the same."""

import yaml

from tests.envoy.values import component, state
from xds_server.cache.resource import RUNTIME
from xds_server.translate import to_yaml, translate
from xds_server.translate.render import dump


def test_text_that_looks_like_something_else_is_quoted() -> None:
    for text in ("n", "y", "no", "1e3", "0x10", "nan", "007", "null", "1.0", "", "on", "~", "2026-01-01"):
        line = dump({"key": text})
        assert line.strip().endswith(("'", '"')), line
        assert yaml.safe_load(line) == {"key": text}


def test_names_stay_readable() -> None:
    assert dump({"name": "component/catalog"}) == "name: component/catalog\n"


def test_resources_come_as_documents_in_the_order_of_pushes_with_the_ttl_as_on_the_wire() -> None:
    documents = list(yaml.safe_load_all(to_yaml(translate(state(component()), runtime_ttl=15))))
    kinds = [each["@type"].rpartition(".")[2] for each in documents[:-1]]
    assert kinds == ["Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"]
    assert documents[-1]["ttl"] == "15s"
    assert documents[-1]["resource"]["@type"] == RUNTIME
