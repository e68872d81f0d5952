"""What the translation is given of a network."""

from dataclasses import replace
from datetime import UTC, datetime

from tests.unit.lifecycle.fakes import a_network, a_profile
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.model.ids import InstanceID, ProfileID
from xds_server.model.network import Address
from xds_server.model.profile import CONTROL, Control, SelfSpec
from xds_server.model.rollout import Cohort, Mode, Split
from xds_server.model.shadow import InstanceStatus, ShadowInstance

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPLIT = Split(Cohort(header="x-user"), {"v2": 25.0})


def record(mode: Mode) -> NetworkRecord:
    """Return a network with a profile that has a shadow and a control, both Running."""
    each = a_profile(id=ProfileID("p"), mode=mode, split=SPLIT, control=Control(SelfSpec()))
    made = NetworkRecord(a_network(), profiles={each.id: each})
    for name, variant in (("i", "v2"), ("c", CONTROL)):
        made.instances[InstanceID(name)] = ShadowInstance(
            id=InstanceID(name),
            network_id=each.network_id,
            profile_id=each.id,
            component_name=each.component_name,
            variant=variant,
            node="",
            status=InstanceStatus.RUNNING,
            created_at=NOW,
            expires_at=NOW,
            address=Address("127.0.0.1", 1),
        )
    return made


def test_a_control_has_no_part_in_a_split() -> None:
    for mode, wanted in ((Mode.SHADOW, ["i", "c"]), (Mode.SPLIT, ["i"])):
        [active] = record(mode).state().profiles
        assert [shadow.instance_id for shadow in active.shadows] == wanted


def test_an_instance_that_drains_is_there_and_says_so() -> None:
    splitting = record(Mode.SPLIT)
    splitting.draining.add(InstanceID("i"))
    [active] = splitting.state().profiles
    assert [(shadow.instance_id, shadow.draining) for shadow in active.shadows] == [("i", True)]


def test_a_silent_state_has_neither_shares_nor_weights() -> None:
    splitting = record(Mode.SPLIT)
    [active] = splitting.state(silent=True).profiles
    assert active.profile == replace(
        splitting.profiles[ProfileID("p")], percentage=0.0, split=replace(SPLIT, weights={"v2": 0.0})
    )
