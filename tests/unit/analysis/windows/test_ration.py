"""Too many examples: every field keeps one before any keeps two."""

from xds_server.analysis.examples.example import Example
from xds_server.analysis.windows.ration import Ration
from xds_server.analysis.windows.tally import EndpointTally, FieldTally, Tally


def tally(fields: int, examples: int, *, size: int = 10) -> Tally:
    """Return fields `f0`, `f1`... of one endpoint, later ones first seen later, each with examples of its own."""
    made = Tally("p", "i")
    endpoint = made.endpoints["GET /"] = EndpointTally()
    for number in range(fields):
        kept = [Example(turn, f"{number}/{turn}", {"x": "y" * size}) for turn in range(examples)]
        endpoint.fields[f"f{number}", "value"] = FieldTally(examples, kept, first=float(number))
    return made


def kept(*tallies: Tally) -> dict[str, list[str]]:
    fields = (item for each in tallies for item in each.endpoints["GET /"].fields.items())
    return {name: [example.id for example in field.examples] for (name, _), field in fields}


def test_what_fits_is_left_alone() -> None:
    made = tally(10, 5)
    before = kept(made)
    Ration(count=50).apply([made])
    assert kept(made) == before


def test_each_field_keeps_its_newest_before_any_keeps_two() -> None:
    made = tally(10, 5)
    Ration(count=13).apply([made])
    found = kept(made)
    assert all(f"{number}/4" in found[f"f{number}"] for number in range(10))
    assert [name for name, ids in found.items() if len(ids) == 2] == ["f7", "f8", "f9"]


def test_fields_seen_first_last_come_first() -> None:
    made = tally(10, 2)
    Ration(count=3).apply([made])
    assert [name for name, ids in kept(made).items() if ids] == ["f7", "f8", "f9"]


def test_bytes_are_bounded_and_a_large_one_does_not_keep_small_ones_out() -> None:
    small, large = tally(5, 1), tally(1, 1, size=5_000)
    large.endpoints["GET /"].fields = {
        ("big", "value"): FieldTally(1, [Example(9, "big", {"x": "y" * 5_000})], first=99)
    }
    Ration(size=1_000).apply([small, large])
    assert kept(small, large) == {"f0": ["0/0"], "f1": ["1/0"], "f2": ["2/0"], "f3": ["3/0"], "f4": ["4/0"], "big": []}


def test_an_example_of_several_fields_counts_once() -> None:
    made = tally(10, 0)
    for field in made.endpoints["GET /"].fields.values():
        field.examples = [Example(1.0, "shared", {})]
    Ration(count=1).apply([made])
    assert all(ids == ["shared"] for ids in kept(made).values())
