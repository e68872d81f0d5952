"""Manifests: several documents a file, errors with file, document, line and field."""

from pathlib import Path

import pytest
import yaml

from api import manifests as module
from api.manifests import ProfileManifest, check_together, parse
from api.schemas.base import validate
from api.schemas.profile import ProfileBody, fields_of
from xds_server.errors import InvalidError, InvalidFieldsError
from xds_server.model.profile import EndpointSpec

EXAMPLES = sorted((Path(__file__).parents[3] / "manifests" / "examples").glob("*.yaml"))
SHOP = next(path for path in EXAMPLES if path.name == "shop.yaml").read_text()


def refused(text: str | bytes) -> str:
    with pytest.raises(InvalidFieldsError) as caught:
        parse(text, "f.yaml")
    return "\n".join(map(str, caught.value.problems))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_accepted(path: Path) -> None:
    assert parse(path.read_bytes(), path.name)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_a_manifest_that_was_shown_and_given_again_is_the_same(path: Path) -> None:
    for manifest in parse(path.read_bytes(), path.name):
        if isinstance(manifest.body, ProfileManifest):
            profile = manifest.body.to_model()
            shown = ProfileBody.model_construct(**fields_of(profile)).model_dump(mode="json", by_alias=True)
            if profile.steps:  # they say how it starts
                shown["mode"] = None
            assert validate(ProfileBody, shown).to_model(profile.name) == profile


def test_documents_are_found_in_their_order_with_their_places() -> None:
    found = parse(SHOP, "shop.yaml")
    assert [(m.label, m.document) for m in found] == [("network/shop", 1), ("profile/shop/catalog-v2", 2)]
    assert SHOP.splitlines()[found[1].line - 1].startswith("apiVersion")


def test_a_manifest_is_the_same_document_as_the_rest_body() -> None:
    network, profile = (manifest.body.to_model() for manifest in parse(SHOP, "shop.yaml"))
    assert network.name == "shop"
    assert (profile.name, profile.percentage, profile.ttl) == ("catalog-v2", 0.5, 600.0)  # type: ignore[union-attr]


def test_json_is_yaml() -> None:
    text = """{"apiVersion": "shadowmesh.io/v1alpha1", "kind": "ShadowingProfile", "metadata": {"name": "p"},
    "spec": {"network": "n", "componentName": "c", "trafficShadowingPercentage": 1, "shadowInstanceTTL": "1m",
    "variants": [{"name": "v", "endpoint": {"address": "h", "port": 1}}]}}"""
    profile = parse(text, "f.json")[0].body.to_model()
    assert profile.variants[0].spec == EndpointSpec("h", 1)  # type: ignore[union-attr]


def test_labels_of_the_metadata_are_the_networks() -> None:
    text = SHOP.split("---")[0].replace("name: shop", "name: shop\n  labels: {team: a}", 1)
    assert parse(text, "f")[0].body.to_model().labels == {"team": "a"}  # type: ignore[union-attr]


def test_every_problem_of_every_document_names_its_line_and_field() -> None:
    told = refused(SHOP.replace("0.5", "1.5").replace("port: 10000", "port: 0")).splitlines()
    assert told[0].startswith("f.yaml, document 1, line 14: spec.components[0].listen.port: 0 is out of range")
    assert told[1].startswith("f.yaml, document 2, line 25: spec.trafficShadowingPercentage: 1.5 is out of range")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": [1,', "f.yaml, line 1, column 10: ends in the middle of a value (is the file whole?)"),
        ("a: b: c", "f.yaml, line 1, column 5: is not YAML: mapping values are not allowed here"),
        (b"\xff\xfe\x00", "f.yaml: is not YAML"),
        ("\x00", "f.yaml: is not YAML"),
        ("[" * 5000, "f.yaml: is nested too deeply"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("", "f.yaml: holds no manifest"),
        ("---\n---\n", "f.yaml: holds no manifest"),
        ("hello", 'the document is "hello", not an object'),
        ("kind: Pod", "apiVersion: is required (shadowmesh.io/v1alpha1)"),
        ("apiVersion: v1", 'apiVersion: "v1" is not known'),
        ("apiVersion: shadowmesh.io/v1alpha1\nkind: Pod", 'line 2: kind: "Pod" is not known (VirtualNetwork or'),
        (SHOP.replace("name: shop\n", "name: shop\n  name: b\n", 1), "metadata.name: is there twice"),
        (SHOP.replace("componentName", "componenName"), "did you mean componentName?"),
        (SHOP[: SHOP.index("      endpoints")], "spec.components[0].endpoints: is required"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_read_is_a_clear_line(text: str | bytes, told: str) -> None:
    assert told in refused(text)


def test_aliases_that_multiply_cost_nothing() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    head = "apiVersion: shadowmesh.io/v1alpha1\nkind: VirtualNetwork\n"
    assert "is not a known field" in refused(head + "\n".join(lines))


def test_merges_that_multiply_are_refused() -> None:
    steps = "".join(f"y{i}: &a{i + 1} {{<<: [{', '.join([f'*a{i}'] * 9)}]}}\n" for i in range(9))
    assert "merges (<<) make" in refused(f"y: &a0 {{k: v}}\n{steps}")


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
def test_a_manifest_is_read_with_libyaml_and_a_broken_one_is_told_in_the_words_of_the_slow_loader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module._Loader, "check_node", lambda _: pytest.fail("read slowly"))
    parse(SHOP, "f.yaml")
    monkeypatch.undo()
    broken = f"{SHOP}  - [a, b"
    told = refused(broken)
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert refused(broken) == told
    parse(SHOP, "f.yaml")


def test_a_list_without_end_is_refused_while_it_is_read() -> None:
    text = "apiVersion: shadowmesh.io/v1alpha1\nkind: VirtualNetwork\nspec:\n  components:\n"
    told = refused(text + "  - {}\n" * 10_001 + "what follows was not: read: at all")
    assert told == "f.yaml, line 5, column 3: has more than 10000 entries, at most 10000 can be used"


def test_an_object_without_end_is_refused_while_it_is_read() -> None:
    told = refused("".join(f"k{number}: 1\n" for number in range(10_001)) + "a: b: c")
    assert told == "f.yaml, line 1, column 1: has more than 10000 entries, at most 10000 can be used"


def test_a_date_is_text() -> None:
    assert parse(SHOP.replace("name: shop\n", "name: shop\n  labels: {since: 2026-01-01}\n", 1), "f.yaml")


def test_an_object_that_is_there_twice_is_refused_with_both_places() -> None:
    with pytest.raises(InvalidError, match=r"b\.yaml.*network/shop is already in a\.yaml, document 1, line 6"):
        check_together(parse(SHOP, "a.yaml") + parse(SHOP.split("---")[0], "b.yaml"))
