"""Profiles as alerts and metrics see them."""

from tests.unit.lifecycle.conftest import Managers
from tests.unit.lifecycle.fakes import a_network, a_profile
from xds_server.lifecycle.controller import Controller


async def test_each_profile_is_seen_with_names_and_instances_until_it_is_deleted(
    controller: Controller, managers: Managers
) -> None:
    await controller.create_network(a_network())
    first, _ = await controller.create_profile("shop", a_profile(name="first", percentage=0.2))
    unnamed, _ = await controller.create_profile("shop", a_profile(percentage=0.3))
    seen = list(controller.watched())
    assert [(w.network, w.component, w.profile, w.variants, w.share) for w in seen] == [
        ("shop", "catalog", "first", ("v2",), 0.2),
        ("shop", "catalog", unnamed.profile.id, ("v2",), 0.3),
    ]
    assert [i.profile_id for i in seen[0].instances] == [first.profile.id]
    looking = controller.watched()
    assert next(looking).profile == "first"
    # One that ends while somebody looks is not seen any more.
    await controller.delete_profile("shop", unnamed.profile.id)
    assert list(looking) == []


async def test_a_status_without_alerts_has_none(controller: Controller) -> None:
    await controller.create_network(a_network())
    status = await controller.status("shop")
    assert (status.alerts, status.alert_sinks) == ((), ())
