"""Virtual networks over REST."""

import httpx

from api import examples


async def test_a_created_network_says_where_it_is_and_which_revision_it_has(client: httpx.AsyncClient) -> None:
    answer = await client.post("/networks", json=examples.NETWORK)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/networks/{made['virtualNetworkID']}"
    assert answer.headers["etag"] == f'"{made["virtualNetworkID"][:8]}-1"'
    again = await client.get(answer.headers["location"])
    assert again.json() == made
    assert again.headers["etag"] == answer.headers["etag"]


async def test_a_network_is_found_by_its_name_too(client: httpx.AsyncClient, shop: str) -> None:
    assert (await client.get("/networks/shop")).json()["virtualNetworkID"] == shop


async def test_what_was_given_is_answered_with_the_defaults_filled_in(client: httpx.AsyncClient, shop: str) -> None:
    component = (await client.get(f"/networks/{shop}")).json()["components"][0]
    assert component["listen"] == {"address": "127.0.0.1", "port": 10000}
    assert component["hosts"] == ["*"]
    assert component["timeout"] == "0s"
    assert "tls" not in component
    assert "idleTimeout" not in component


async def test_every_field_of_a_component_comes_back_as_it_was_given(client: httpx.AsyncClient) -> None:
    component = {
        "name": "pay",
        "protocol": "grpc",
        "listen": {"address": "0.0.0.0", "port": 10001},
        "endpoints": [
            {"address": "pay.shop.svc", "port": 443, "weight": 3, "region": "eu", "zone": "eu-1", "node": "n1"}
        ],
        "hosts": ["pay.example", "*.pay.example"],
        "timeout": "1h30m",
        "idleTimeout": "250ms",
        "retries": 2,
        "upgrades": ["websocket"],
        "tls": {"sni": "pay.example", "caFile": "/etc/ca.pem", "subjectAltNames": ["pay.example"]},
    }
    answer = await client.post("/networks", json={"name": "n", "components": [component], "labels": {"team": "a"}})
    assert answer.status_code == 201, answer.text
    assert answer.json()["components"] == [component]
    assert answer.json()["labels"] == {"team": "a"}


async def test_a_duplicate_name_is_a_conflict_that_names_the_field(client: httpx.AsyncClient, shop: str) -> None:
    answer = await client.post("/networks", json=examples.NETWORK)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "name"
    assert len((await client.get("/networks")).json()["items"]) == 1


async def test_an_unknown_network_is_a_problem_document(client: httpx.AsyncClient) -> None:
    answer = await client.get("/networks/nowhere")
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:shadowmesh:problems:not-found"
    assert "nowhere" in answer.json()["detail"]


async def test_a_replaced_network_has_a_new_etag_and_the_same_again_keeps_it(
    client: httpx.AsyncClient, shop: str
) -> None:
    same = await client.put(f"/networks/{shop}", json=examples.NETWORK)
    assert same.headers["etag"].endswith('-1"')
    changed = await client.put(f"/networks/{shop}", json=examples.NETWORK | {"labels": {"team": "a"}})
    assert changed.headers["etag"].endswith('-2"')


async def test_a_put_meant_for_an_older_revision_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, shop: str
) -> None:
    old = (await client.get("/networks/shop")).headers["etag"]
    body = examples.NETWORK | {"labels": {"team": "a"}}
    assert (await client.put("/networks/shop", json=body, headers={"If-Match": old})).status_code == 200
    again = await client.put("/networks/shop", json=examples.NETWORK, headers={"If-Match": old})
    assert again.status_code == 412
    assert again.json()["type"] == "urn:shadowmesh:problems:stale"
    assert (await client.get("/networks/shop")).json()["labels"] == {"team": "a"}


async def test_an_etag_of_a_deleted_namesake_does_not_match(client: httpx.AsyncClient, shop: str) -> None:
    old = (await client.get("/networks/shop")).headers["etag"]
    await client.delete("/networks/shop")
    await client.post("/networks", json=examples.NETWORK)
    answer = await client.put("/networks/shop", json=examples.NETWORK, headers={"If-Match": old})
    assert answer.status_code == 412


async def test_if_match_takes_a_star_and_a_list(client: httpx.AsyncClient, shop: str) -> None:
    tag = (await client.get("/networks/shop")).headers["etag"]
    for value in ("*", tag, f'"other", {tag}'):
        answer = await client.put("/networks/shop", json=examples.NETWORK, headers={"If-Match": value})
        assert answer.status_code == 200, value


async def test_an_if_match_that_is_no_etag_is_told(client: httpx.AsyncClient, shop: str) -> None:
    answer = await client.put("/networks/shop", json=examples.NETWORK, headers={"If-Match": "3"})
    assert answer.status_code == 400
    assert "If-Match" in answer.json()["detail"]


async def test_a_deleted_network_is_gone(client: httpx.AsyncClient, shop: str) -> None:
    assert (await client.delete(f"/networks/{shop}")).status_code == 204
    assert (await client.get(f"/networks/{shop}")).status_code == 404
