"""What a report is about: a profile at one moment, as REST answers it, and whose verdict of it is meant.

Guarantees: reads any document that REST may answer, also one of an older manager without a verdict, or of a profile in
the archive; what is not there is said (`reasons`), and is never a PASS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from xds_server.report.words import DECISIONS, FAIL, INCONCLUSIVE, JSON, PASS, clip

MOST_REASONS = 20
_ENDED = ("exited with code", "killed by", "it exited")
_NEVER_UP = ("not ready", "never got ready")
"""How the reason of an instance that failed by its own doing begins, and what it says of one that was never up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A profile to report on.

    `variant`: only this version; empty for the profile's own verdict. `note`: why one did not wait any longer for a
    decision; then a PASS (of a step, say) is none. `differences`: classes of difference (`.../diffs?group=class`), the
    most surprising first, of `total` that there are. `histograms`: of the response times (`.../report`); None where
    they are not known.
    """

    network: str
    profile: JSON
    made_at: datetime
    variant: str = ""
    note: str = ""
    differences: Sequence[JSON] = ()
    total: int = 0
    histograms: JSON | None = None
    archived: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More to be said in the page's head, by name."""

    @classmethod
    def now(cls, network: str, profile: JSON, *, variant: str = "") -> "Subject":
        """Return a profile as it is at this moment, without more than what its own document says."""
        return cls(network=network, profile=profile, made_at=datetime.now(UTC), variant=variant)

    @property
    def name(self) -> str:
        """Name of the profile, or its id."""
        return clip(self.profile.get("name") or self.profile.get("profileID") or "?", 120)

    @property
    def component(self) -> str:
        """Component that it is on."""
        return clip(self.profile.get("componentName") or "?", 120)

    @property
    def versions(self) -> list[str]:
        """The versions that are compared with the original."""
        if self.variant:
            return [clip(self.variant, 120)]
        found = self.profile.get("variants") or []
        return [clip(each.get("name", "") if isinstance(each, Mapping) else each, 120) for each in found]

    @property
    def meant(self) -> str:
        """The versions that the decision is about: of several, one that passes does not speak for the others."""
        passing = [clip(each.get("variant"), 120) for each in self.ranking if each.get("decision") == PASS]
        several = len(self.ranking) > 1 and not self.variant
        return ", ".join(passing if several and passing and self.decision == PASS else self.versions)

    @property
    def verdict(self) -> JSON:
        """The verdict; empty when there is none."""
        found = self.profile.get("verdict")
        return dict(found) if isinstance(found, Mapping) else {}

    @property
    def comparison(self) -> JSON:
        """The comparison; empty when there is none."""
        found = self.profile.get("comparison")
        return dict(found) if isinstance(found, Mapping) else {}

    @property
    def ranking(self) -> list[JSON]:
        """The versions, best first, with a decision each."""
        return sorted(listed(self.verdict.get("variants")), key=lambda each: each.get("rank") or 0)

    @property
    def decision(self) -> str:
        """PASS, FAIL or INCONCLUSIVE; what is anything else is INCONCLUSIVE, and a PASS with a note is."""
        found = self._mine.get("decision")
        return found if found in DECISIONS and not (found == PASS and self.note) else INCONCLUSIVE

    @property
    def reasons(self) -> list[str]:
        """Why."""
        told = [clip(each) for each in self._mine.get("reasons") or ()][:MOST_REASONS]
        if self.note and self.decision == INCONCLUSIVE:
            told.insert(0, self.note)
        if self.decision == INCONCLUSIVE:
            told = [*self.failures, *told]
        if told:
            return told
        if not self.verdict:
            what = "the archive keeps the comparison, not the verdict" if self.archived else "nothing was judged yet"
            return [what]
        return []

    @property
    def failures(self) -> list[str]:
        """The versions that failed, as a sentence each; one that was started anew since is not among them."""
        newest = {str(each.get("variant")): each for each in listed(self.profile.get("instances"))}
        mine = [each for name, each in newest.items() if self.variant in {"", name} and not each.get("control")]
        failed = [each for each in mine if each.get("status") == "Failed"]
        return [_failure(each, several=len(self.versions) > 1) for each in failed]

    @property
    def _mine(self) -> JSON:
        """The verdict that is meant: the whole one, or that of the one version."""
        if not self.variant or self.versions_judged == {self.variant}:
            return self.verdict
        return next((each for each in self.ranking if each.get("variant") == self.variant), {})

    @property
    def versions_judged(self) -> set[str]:
        """Versions that the verdict is about."""
        return {str(each.get("variant")) for each in listed(self.verdict.get("variants"))}

    @property
    def checks(self) -> list[JSON]:
        """The checks that are meant, in their order."""
        found = listed(self.verdict.get("checks"))
        return [each for each in found if not self.variant or each.get("variant") in {None, "", self.variant}]

    def fails(self, check: JSON) -> bool:
        """Tell whether a check makes what is meant FAIL, or helps to."""
        return check.get("decision") == FAIL and self.decision == FAIL and not check.get("muted")


def _failure(instance: JSON, *, several: bool) -> str:
    """Return how a version failed; that it should not be shipped where that is its own doing."""
    who = f"the new version {clip(instance.get('variant'), 120)}" if several else "the new version"
    reason = clip(instance.get("reason") or "no reason known")
    if reason.startswith(_ENDED):
        return f"{who} ended by itself: {reason}; a pipeline should not ship it"
    if any(words in reason for words in _NEVER_UP):
        return f"{who} did not start: {reason}; a pipeline should not ship it"
    return f"{who} failed: {reason}"


def listed(value: Any) -> list[JSON]:
    """Return the objects of a list."""
    return [each for each in value or () if isinstance(each, Mapping)]  # type: ignore[misc]
