import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xds_server.analysis.endpoints import learning
from xds_server.analysis.endpoints.endpoints import Endpoints

WORDS = [f"{a}{b}{c}" for a in "bcdfghjklm" for b in "aeiou" for c in "npqrstvwxz"]


def named(paths: Iterable[str], endpoints: Endpoints | None = None) -> Counter[str]:
    """Return the pairs by name, as an analyser counts them: what was counted under an old name moves to the new one."""
    endpoints = Endpoints(200) if endpoints is None else endpoints
    found: Counter[str] = Counter()
    for path in paths:
        name = endpoints.of("GET", path)
        for old, new in endpoints.moved.items():
            found[new] += found.pop(old, 0)
        endpoints.moved = {}
        found[name] += 1
    return +found


def test_a_position_with_very_many_names_is_a_parameter() -> None:
    found = named(f"/users/{word}/orders" for word in WORDS)
    assert found == {"GET /users/{*}/orders": len(WORDS)}


def test_what_was_counted_before_moves_to_the_template() -> None:
    found = named([*(f"/users/{word}" for word in WORDS[:200]), "/health", "/users"])
    assert found == {"GET /users/{*}": 200, "GET /health": 1, "GET /users": 1}


def test_dozens_of_routes_that_are_seen_often_stay() -> None:
    chance = random.Random(1)
    routes = [f"/api/{word}" for word in WORDS[:90]]
    found = named(chance.choices(routes, k=20_000))
    assert set(found) == {f"GET {route}" for route in routes}


@pytest.mark.parametrize("seed", range(5))
def test_routes_of_uneven_use_stay(seed: int) -> None:
    chance = random.Random(seed)
    routes = [f"/api/{word}" for word in WORDS[:60]]
    found = named(chance.choices(routes, [1 / (rank + 1) for rank in range(60)], k=20_000))
    assert len(found) == 60


def test_a_scan_for_routes_that_are_not_there_leaves_those_that_are() -> None:
    chance = random.Random(1)
    routes = ["/items", "/cart", "/search", "/login"]
    scan = [f"/{word}.php" for word in WORDS]
    paths = [path for probe in scan for path in (probe, *chance.choices(routes, k=3))]
    found = named(paths)
    assert set(found) == {"GET /{*}", *(f"GET {route}" for route in routes)}
    assert found.total() == len(paths)


def test_a_scan_beside_a_hot_route_leaves_it_and_those_used_often() -> None:
    routes = [f"/{word}" for word in WORDS[:20]]
    used = [path for route in routes for path in [route] * 30]
    scan = [path for word in WORDS[100:300] for path in (f"/{word}.php", *["/hot"] * 50)]
    assert set(named([*used, *scan])) == {"GET /{*}", "GET /hot", *(f"GET {route}" for route in routes)}


def test_routes_that_come_after_a_hot_one_stay() -> None:
    routes = [f"/api/{word}" for word in WORDS[:40]]
    hot = ["/api/search"] * 500
    expected = {"GET /api/search": 500} | {f"GET {route}": 50 for route in routes}
    assert named([*hot, *(route for route in routes for _ in range(50))]) == expected
    assert named([*hot, *routes * 50]) == expected


@pytest.mark.parametrize("share", [0.9, 0.95, 0.999])
def test_one_hot_route_takes_no_name_from_others(share: float) -> None:
    routes = [f"/api/{word}" for word in WORDS[:60]]
    weights = [share, *[(1 - share) / 59] * 59]
    drawn = random.Random(1).choices(routes, weights, k=20_000)
    assert named(drawn) == Counter(f"GET {path}" for path in drawn)


def test_new_routes_beside_several_that_have_long_been_hot_stay() -> None:
    old, new = ([f"/api/{word}" for word in words] for words in (WORDS[:10], WORDS[10:90]))
    assert len(named([*old * 5_000, *new])) == 90


def test_identifiers_collapse_though_a_few_are_hot() -> None:
    hot = [f"/u/{word}" for word in WORDS[:3]]
    paths = [path for word in WORDS[3:203] for path in (*hot * 5, f"/u/{word}")]
    assert named(paths) == {"GET /u/{*}": 200, **{f"GET {one}": 1_000 for one in hot}}


@given(
    routes=st.integers(2, learning.MOST),
    hot=st.lists(st.integers(0, 3_000), max_size=3),
    shuffled=st.booleans(),
    chance=st.randoms(use_true_random=False),
)
@example(routes=learning.MOST, hot=[5_000], shuffled=True, chance=random.Random(1))
@example(routes=learning.MOST, hot=[5_000], shuffled=False, chance=random.Random(1))
@settings(max_examples=30)
def test_routes_never_collapse_up_to_the_limit_in_whatever_order(
    *, routes: int, hot: list[int], shuffled: bool, chance: random.Random
) -> None:
    counts = [chance.randrange(30, 60) + more for more in [*hot, *[0] * routes][:routes]]
    expected = Counter({f"GET /api/{word}": count for word, count in zip(WORDS, counts, strict=False)})
    paths = [name.removeprefix("GET ") for name in expected.elements()]
    if shuffled:
        chance.shuffle(paths)
    assert named(paths) == expected


def test_a_few_very_frequent_users_do_not_keep_the_others_from_collapsing() -> None:
    chance = random.Random(2)
    paths = chance.choices([f"/u/{word}/x" for word in WORDS], [1 / (r + 1) for r in range(len(WORDS))], k=5_000)
    found = named(paths)
    assert len(found) < 10
    assert found["GET /u/{*}/x"] > 2_500


def test_positions_beneath_are_united_and_collapse_too() -> None:
    every = [f"/{a}/{b}/end" for a in WORDS[:150] for b in WORDS[150:300]]
    every = random.Random(1).sample(every, 3_000)
    found = named(every, Endpoints(5_000))
    assert found == {"GET /{*}/{*}/end": len(every)}


def test_a_position_whose_names_are_seen_alike_keeps_none_of_them() -> None:
    found = named((f"/u/{word}" for word in WORDS[:150] for _ in range(50)), Endpoints(5_000))
    assert found == {"GET /u/{*}": 150 * 50}


def test_identifiers_by_looks_stay_beside_learnt_ones() -> None:
    found = named([*(f"/users/{word}" for word in WORDS), *(f"/users/{i}" for i in range(50))])
    assert found == {"GET /users/{*}": len(WORDS), "GET /users/{id}": 50}


def test_a_client_that_writes_the_sign_itself_teaches_nothing() -> None:
    assert set(named(["/api/a", "/api/b", "/api/{*}"])) == {"GET /api/a", "GET /api/b", "GET /api/%7B*%7D"}


def test_names_that_found_no_room_find_some_when_others_have_gone() -> None:
    endpoints = Endpoints(50)
    named((f"/a/{word}" for word in WORDS[:60]), endpoints)
    assert endpoints.of("GET", "/late") == "other"
    named((f"/a/{word}" for word in WORDS[60:]), endpoints)
    assert endpoints.of("GET", "/late") == "GET /late"


def test_a_million_paths_of_any_shape_cost_bounded_memory() -> None:
    chance = random.Random(3)
    endpoints = Endpoints(200)
    seen = 0
    for _ in range(20_000):
        path = "/".join(["", *(chance.choice(WORDS) * chance.choice((1, 1, 9)) for _ in range(chance.randrange(20)))])
        assert len(endpoints.of("GET", path)) <= 250
        endpoints.moved = {}
        seen = max(seen, endpoints._learner.nodes)
    assert seen <= learning.MAX_NODES
    assert len(endpoints._learner) <= 200
    assert endpoints._learner.nodes == endpoints._learner._root.size()
    assert endpoints._cached <= 20_000


def test_too_many_positions_without_a_crowded_one_are_other() -> None:
    endpoints = Endpoints(10_000)
    for a in WORDS[:15]:
        for b in WORDS[:15]:
            for c in WORDS[:15]:
                for d in WORDS[:15]:
                    endpoints.of("GET", f"/{a}/{b}/{c}/{d}")
    assert endpoints._learner.nodes == learning.MAX_NODES
    assert endpoints.of("GET", "/new") == "other"
    assert not endpoints.moved


def test_names_are_cleaned_before_anything_is_learnt() -> None:
    endpoints = Endpoints(200, clean=lambda name: name.replace("secret", "****"))
    assert named(["/a/secret", "/a/open"], endpoints) == {"GET /a/****": 1, "GET /a/open": 1}
    assert not any("secret" in leaf.name for leaf in endpoints._learner._root.all_leaves())


segments = st.sampled_from(WORDS[:140])
paths = st.lists(
    st.lists(segments | st.sampled_from(["a", "b", "7", ""]), min_size=1, max_size=3).map(lambda s: "/" + "/".join(s)),
    max_size=30,
)


@given(paths, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_no_hit_is_lost_and_each_name_is_current(some: list[str], chance: random.Random) -> None:
    filler = [f"/{chance.choice('ab')}/{word}" for word in WORDS[: chance.randrange(300)]]
    everything = [*some, *filler]
    chance.shuffle(everything)
    endpoints = Endpoints(chance.choice((5, 40, 500)))
    found = named(everything, endpoints)
    assert found.total() == len(everything)
    learner = endpoints._learner
    leaves = list(learner._root.all_leaves())
    assert sum(leaf.hits for leaf in leaves) == len(everything)
    names = [leaf.name for leaf in leaves if leaf.name != "other"]
    assert len(names) == len(set(names)) == len(learner)
    assert set(found) <= {*names, "other"}
    assert all(endpoints.current(name) == name for name in names)
