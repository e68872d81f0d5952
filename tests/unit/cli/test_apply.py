"""Apply and delete: created, configured, unchanged."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.api.fake import NOW, FakeController
from tests.unit.cli.conftest import SHOP, Shell
from xds_server.cli.client import JSON, Client
from xds_server.model.rollout import Cohort, Mode, Rollout, RolloutState, Split
from xds_server.model.shadow import InstanceStatus


def said(out: str) -> list[str]:
    return [" ".join(line.split()[:2]) for line in out.splitlines()]


def test_what_is_new_is_created_and_the_second_time_unchanged(shell: Shell, shop: Path) -> None:
    done = shell("apply", "-f", str(shop))
    assert (done.code, said(done.out)) == (0, ["network/shop created", "profile/shop/catalog-v2 created"])
    assert "mirrors 50 % of GET /… to v2 for 10m" in done.out
    done = shell("apply", "-f", str(shop))
    assert (done.code, said(done.out)) == (0, ["network/shop unchanged", "profile/shop/catalog-v2 unchanged"])


def test_a_change_that_a_living_profile_can_make_is_configured(shell: Shell, shop: Path, desk: FakeController) -> None:
    shell("apply", "-f", str(shop))
    shop.write_text(SHOP.replace("0.5 #", "0.25 #").replace("10m", "20m").replace("port: 9001", "port: 9005"))
    done = shell("apply", "-f", str(shop))
    assert said(done.out) == ["network/shop configured", "profile/shop/catalog-v2 configured"]
    profile = next(iter(desk.views.values())).profile
    assert (profile.percentage, profile.ttl, profile.revision) == (0.25, 1200.0, 2)


def test_what_changed_since_it_was_compared_is_left_alone(
    shell: Shell, shop: Path, desk: FakeController, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("apply", "-f", str(shop))
    find = Client.find

    def find_what_then_changes(client: Client, *path: str) -> tuple[JSON, str] | None:
        found = find(client, *path)
        assert found is not None
        return found[0], '"another-1"'

    monkeypatch.setattr(Client, "find", find_what_then_changes)
    shop.write_text(SHOP.replace("0.5 #", "0.25 #").replace("port: 9001", "port: 9005"))
    done = shell("apply", "-f", str(shop))
    assert (done.code, done.out) == (4, "")
    assert [line.split(": ")[1] for line in done.err.splitlines()] == ["network/shop", "profile/shop/catalog-v2"]
    assert {view.profile.revision for view in desk.views.values()} == {1}


def test_faults_that_are_gone_from_a_manifest_are_taken_away(shell: Shell, shop: Path, desk: FakeController) -> None:
    faults = "  faultInjectionParameters: {abort: {httpStatus: 503}}\n  performanceMetrics"
    shop.write_text(SHOP.replace("  performanceMetrics", faults))
    shell("apply", "-f", str(shop))
    assert next(iter(desk.views.values())).profile.faults
    shop.write_text(SHOP)
    assert said(shell("apply", "-f", str(shop)).out)[1] == "profile/shop/catalog-v2 configured"
    assert not next(iter(desk.views.values())).profile.faults


def test_a_change_that_it_cannot_make_is_refused_by_name_or_replaces(
    shell: Shell, shop: Path, desk: FakeController
) -> None:
    shell("apply", "-f", str(shop))
    before = set(desk.views)
    shop.write_text(SHOP.replace("app.py", "other.py"))
    done = shell("apply", "-f", str(shop))
    assert done.code == 4
    assert done.err == (
        "error: profile/shop/catalog-v2: variants cannot be changed while the profile lives "
        "(--replace ends the profile and creates it anew)\n"
    )
    assert set(desk.views) == before
    done = shell("apply", "--replace", "-f", str(shop))
    assert (done.code, said(done.out)[1]) == (0, "profile/shop/catalog-v2 replaced")
    assert set(desk.views).isdisjoint(before)


def test_a_control_that_comes_from_the_components_version_is_unchanged_the_second_time(
    shell: Shell, shop: Path, desk: FakeController
) -> None:
    version = "port: 9001}\n      version: {endpoint: {address: 127.0.0.1, port: 9001}}"
    text = SHOP.replace("port: 9001}", version)
    shop.write_text(text)
    shell("apply", "-f", str(shop))
    assert next(iter(desk.views.values())).profile.control is not None
    assert said(shell("apply", "-f", str(shop)).out) == ["network/shop unchanged", "profile/shop/catalog-v2 unchanged"]

    shop.write_text(text.replace("10m", "10m\n  control: {enabled: false}"))
    done = shell("apply", "-f", str(shop))
    assert "control cannot be changed while the profile lives" in done.err
    assert said(shell("apply", "--replace", "-f", str(shop)).out)[1] == "profile/shop/catalog-v2 replaced"
    assert said(shell("apply", "-f", str(shop)).out)[1] == "profile/shop/catalog-v2 unchanged"

    shop.write_text(text.replace("port: 9001}}", "port: 9009}}"))
    shell("apply", "--replace", "-f", str(shop))
    shop.write_text(text)
    assert "control cannot be changed" in shell("apply", "-f", str(shop)).err


SPLIT = "10m\n  mode: split\n  split: {cohort: {cookie: session}, weights: {v2: 10}}"


def test_other_weights_of_a_split_are_configured_and_another_cohort_is_refused(
    shell: Shell, shop: Path, desk: FakeController
) -> None:
    text = SHOP.replace("10m", SPLIT)
    shop.write_text(text)
    shell("apply", "-f", str(shop))
    assert said(shell("apply", "-f", str(shop)).out)[1] == "profile/shop/catalog-v2 unchanged"
    shop.write_text(text.replace("v2: 10}", "v2: 25}").replace("0.5 #", "0.25 #"))
    assert said(shell("apply", "-f", str(shop)).out)[1] == "profile/shop/catalog-v2 configured"
    profile = next(iter(desk.views.values())).profile
    assert profile.split == Split(Cohort(cookie="session"), {"v2": 25.0})
    assert (profile.percentage, profile.revision) == (0.25, 2)
    shop.write_text(text.replace("session", "user"))
    assert "split cannot be changed while the profile lives" in shell("apply", "-f", str(shop)).err


def test_what_a_rollout_has_changed_is_no_change_of_the_manifest(
    shell: Shell, shop: Path, desk: FakeController
) -> None:
    steps = "[{mode: shadow}, {mode: split, weights: {v2: 5}, trafficShadowingPercentage: 1}]"
    text = SHOP.replace("10m", f"10m\n  split: {{cohort: {{cookie: session}}}}\n  steps: {steps}")
    shop.write_text(text)
    assert shell("apply", "-f", str(shop)).code == 0
    (key,) = desk.views
    view = desk.views[key]
    split = Split(Cohort(cookie="session"), {"v2": 5.0})
    moved = replace(
        view.profile, mode=Mode.SPLIT, percentage=1.0, split=split, rollout=Rollout(1, RolloutState.DONE, NOW)
    )
    desk.views[key] = replace(view, profile=moved)
    assert said(shell("apply", "-f", str(shop)).out)[1] == "profile/shop/catalog-v2 unchanged"
    shop.write_text(text.replace("v2: 5}", "v2: 6}"))
    assert "steps cannot be changed while the profile lives" in shell("apply", "-f", str(shop)).err


def test_a_profile_that_has_ended_is_said_to_have(shell: Shell, shop: Path, desk: FakeController) -> None:
    shell("apply", "-f", str(shop))
    desk.later_status = InstanceStatus.STOPPED
    done = shell("apply", "-f", str(shop))
    assert "catalog-v2 unchanged (ended: Stopped; --replace runs it again)" in done.out
    assert said(shell("apply", "--replace", "-f", str(shop)).out)[1] == "profile/shop/catalog-v2 replaced"


def test_a_dry_run_changes_nothing(shell: Shell, shop: Path, desk: FakeController) -> None:
    shop.write_text(SHOP.split("---")[0])
    assert shell("apply", "--dry-run", "-f", str(shop)).out == "network/shop created (dry run)\n"
    assert desk.kept == {}


def test_folders_and_several_files_are_taken_networks_first(shell: Shell, tmp_path: Path) -> None:
    network, profile = SHOP.split("---\n")
    (tmp_path / "a-profile.yml").write_text(profile)
    (tmp_path / "b-network.yaml").write_text(network)
    (tmp_path / "notes.txt").write_text("not a manifest")
    other = tmp_path / "other"
    other.mkdir()
    (other / "more.yaml").write_text(network.replace("shop", "more").replace("10000", "10001"))
    done = shell("apply", "-f", str(tmp_path), "-f", str(other / "more.yaml"))
    assert said(done.out) == ["network/shop created", "network/more created", "profile/shop/catalog-v2 created"]


def test_standard_input_is_taken(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SHOP.encode())))
    assert shell("apply", "-f", "-").code == 0


def test_a_failure_does_not_keep_the_others_back_and_decides_the_exit_code(
    shell: Shell, shop: Path, desk: FakeController
) -> None:
    shop.write_text(SHOP.replace("componentName: catalog", "componentName: nope"))
    done = shell("apply", "-f", str(shop))
    assert (done.code, said(done.out)) == (3, ["network/shop created"])
    assert done.err.startswith("error: profile/shop/catalog-v2: componentName: there is no component")
    assert desk.views == {}


def test_waiting_ends_when_all_run(shell: Shell, shop: Path, desk: FakeController) -> None:
    desk.later_status = InstanceStatus.RUNNING
    done = shell("apply", "--wait", "-f", str(shop))
    assert (done.code, done.out.splitlines()[-1]) == (0, "profile/shop/catalog-v2 is running")


def test_waiting_ends_with_the_reason_of_a_failure(shell: Shell, shop: Path, desk: FakeController) -> None:
    desk.later_status = InstanceStatus.FAILED
    done = shell("apply", "--wait", "-f", str(shop))
    assert done.code == 1
    assert "v2 is Failed: exited with code 1" in done.err


def test_waiting_does_not_mind_a_control_whose_duration_is_over(shell: Shell, shop: Path, desk: FakeController) -> None:
    desk.first_status = InstanceStatus.RUNNING
    control = "10m\n  control: {duration: 1m, endpoint: {address: 127.0.0.1, port: 9001}}"
    shop.write_text(SHOP.replace("10m", control))
    shell("apply", "-f", str(shop))
    (key,) = desk.views
    view = desk.views[key]
    shadow, own = view.instances
    over = replace(own, instance=replace(own.instance, status=InstanceStatus.STOPPED, reason="over"))
    desk.views[key] = replace(view, instances=(shadow, over))
    done = shell("apply", "--wait", "-f", str(shop))
    assert (done.code, said(done.out)[-1]) == (0, "profile/shop/catalog-v2 is"), done.err
    assert "ended" not in done.out


def test_waiting_ends_in_time(shell: Shell, shop: Path) -> None:
    done = shell("apply", "--wait", "--timeout", "50ms", "-f", str(shop))
    assert done.code == 6
    assert "v2 still Pending after 50ms" in done.err


def test_a_fault_percentage_that_looks_like_a_share_is_warned_of(shell: Shell, shop: Path) -> None:
    faults = "  faultInjectionParameters: {abort: {httpStatus: 503, percentage: 0.5}}\n  performanceMetrics"
    shop.write_text(SHOP.replace("  performanceMetrics", faults))
    done = shell("apply", "-f", str(shop))
    assert done.code == 0
    assert done.err.startswith("warning: faultInjectionParameters.abort.percentage: 0.5 means half a percent")


def test_what_manifests_name_is_deleted(shell: Shell, shop: Path, desk: FakeController) -> None:
    shell("apply", "-f", str(shop))
    done = shell("delete", "-f", str(shop))
    assert done.out == "profile/shop/catalog-v2 deleted\nnetwork/shop deleted\n"
    assert desk.kept == {}
    done = shell("delete", "-f", str(shop))
    assert (done.code, len(done.err.splitlines())) == (3, 2)
    assert shell("delete", "--ignore-not-found", "-f", str(shop)).code == 0


@pytest.mark.parametrize("name", ["shop/shadowing/profiles/catalog-v2", "", "..", ".", "shop?x", "sh%6fp"])
@pytest.mark.parametrize("arguments", [["delete", "network"], ["delete", "profile"], ["status"], ["diffs"], ["lift"]])
def test_what_is_no_reference_is_refused_before_anything_is_asked(
    shell: Shell, shop: Path, desk: FakeController, arguments: list[str], name: str
) -> None:
    shell("apply", "-f", str(shop))
    desk.raises = AssertionError("asked")  # of every list
    done = shell(*arguments, name, *(["-n", "shop"] if arguments == ["delete", "profile"] else []))
    assert done.code == 2
    assert "is no name or id" in done.err
    assert len(done.err.splitlines()) == 1
    assert len(desk.kept) == len(desk.views) == 1


def test_of_several_names_none_is_deleted_when_one_is_no_reference(
    shell: Shell, shop: Path, desk: FakeController
) -> None:
    shell("apply", "-f", str(shop))
    assert shell("delete", "network", "shop", "a/b").code == 2
    assert len(desk.kept) == 1


def test_a_network_that_is_no_reference_is_refused_by_its_flag(shell: Shell) -> None:
    done = shell("get", "profiles", "-n", "shop/shadowing")
    assert (done.code, done.err.startswith("error: --network: ")) == (2, True)


def test_what_is_named_is_deleted(shell: Shell, shop: Path) -> None:
    shell("apply", "-f", str(shop))
    assert shell("delete", "profile", "catalog-v2").out == "profile/shop/catalog-v2 deleted\n"
    assert shell("delete", "network", "shop").out == "network/shop deleted\n"
    assert shell("delete", "network", "shop").code == 3
    assert shell("delete").code == 2
    assert shell("delete", "network").code == 2
