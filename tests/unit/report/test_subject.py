"""Whose verdict is meant."""

from dataclasses import replace

import pytest

from tests.unit.report.samples import NOW, instance, profile, subject, two, verdict
from xds_server.report.subject import Subject


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("exited with code 3", "the new version ended by itself: exited with code 3; a pipeline should not ship it"),
        (
            "process.readiness: not ready on :5 after 30 s",
            "the new version did not start: process.readiness: not ready on :5 after 30 s; a",
        ),
        ("the machine was restarted", "the new version failed: the machine was restarted"),
    ],
)
def test_a_version_that_failed_is_the_first_reason_of_what_is_not_decided(reason: str, told: str) -> None:
    failed = instance(status="Failed") | {"reason": reason}
    open_verdict = verdict("pass") | {"decision": "INCONCLUSIVE", "reasons": ["too few pairs"]}
    found = Subject.now("shop", profile(open_verdict, instances=[failed]))
    assert found.reasons[0].startswith(told)
    assert found.reasons[-1] == "too few pairs"
    again = Subject.now("shop", profile(open_verdict, instances=[failed, instance()]))
    assert again.reasons == ["too few pairs"]


def test_the_decision_is_that_of_the_profile_or_of_the_version_that_is_meant() -> None:
    both = two()
    assert (both.decision, both.meant) == ("PASS", "v3")
    v2 = replace(both, variant="v2")
    assert (v2.decision, v2.meant, {check["variant"] for check in v2.checks}) == ("FAIL", "v2", {"v2"})
    assert v2.reasons[0].startswith("GET /items/{id}: error_rate")
    assert [each["variant"] for each in both.ranking] == ["v3", "v2"]


def test_a_version_without_a_verdict_of_its_own_is_not_decided() -> None:
    assert replace(two(), variant="v4").decision == "INCONCLUSIVE"


def test_no_verdict_is_no_pass_and_says_so() -> None:
    none = subject(profile=profile(None))
    assert (none.decision, none.reasons) == ("INCONCLUSIVE", ["nothing was judged yet"])
    old = replace(none, archived=True)
    assert old.reasons == ["the archive keeps the comparison, not the verdict"]
    odd = profile(verdict("pass") | {"decision": "SURELY"})
    assert subject(profile=odd).decision == "INCONCLUSIVE"


def test_a_note_says_why_a_pass_is_none_and_leaves_a_fail_as_it_is() -> None:
    stopped = subject("pass", note="the rollout was aborted")
    assert (stopped.decision, stopped.reasons[0]) == ("INCONCLUSIVE", "the rollout was aborted")
    assert subject("fail", note="too late").decision == "FAIL"


def test_a_profile_of_the_archive_names_its_versions_too() -> None:
    document = {"profileID": "p", "name": "", "componentName": "catalog", "variants": ["v2", "v3"]}
    old = Subject(network="shop", profile=document, made_at=NOW, archived=True)
    assert (old.versions, old.name, old.checks, old.comparison) == (["v2", "v3"], "p", [], {})
