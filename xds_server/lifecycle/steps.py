"""Does what a verdict, the time, or a person makes of a profile: weights and percentage back to 0, or the next step.

Guarantees: what is taken from a version is told to the Envoys first and written afterwards, so no full disk keeps
a failing version among users; it counts as a revision, like a change by PATCH. A step is one transaction: the profile
with its new weights and where the rollout is, an evidence that begins anew, and a verdict of which nothing is latched;
whatever crashes in between leaves the step before whole. A step that cannot be (no room on a node, samples that
overlap) pauses the rollout with the reason.
Not guaranteed: that Envoys have ACKed it when a method returns.
"""

import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import structlog

from xds_server.errors import ShadowmeshError, StoreError, UnrecordedError
from xds_server.lifecycle.consequences import Consequence, consequence
from xds_server.lifecycle.context import Context, check_open, check_revision
from xds_server.lifecycle.entries import in_words, of_profile, profile_changes
from xds_server.lifecycle.owed import Owed
from xds_server.lifecycle.profiles import Profiles
from xds_server.lifecycle.registry import NetworkRecord
from xds_server.lifecycle.rollout import Move, RolloutAction, commanded
from xds_server.lifecycle.ruling import Ruling, ruling_of
from xds_server.lifecycle.verdicts import Acted, Verdict
from xds_server.model.audit import AuditEvent, AuditKind
from xds_server.model.ids import ProfileID
from xds_server.model.profile import ShadowingProfile
from xds_server.model.rollout import Rollout, RolloutState

log = structlog.get_logger(__name__)


class Steps:
    """See the module.

    Args:
        context: the other desks.
        profiles: writes what becomes of a profile.
        later: does something in the background, to the end.
    """

    def __init__(
        self, context: Context, profiles: Profiles, *, later: Callable[[Coroutine[Any, Any, None]], None]
    ) -> None:
        self._context = context
        self._parts = context.parts
        self._profiles = profiles
        self._later = later
        self._busy: set[ProfileID] = set()

    def heed(self, profile: ShadowingProfile, verdict: Verdict) -> None:
        """Have done what follows from a verdict, in the background; what is being done already is done once."""
        profile_id = profile.id
        record = self._parts.registry.get(profile.network_id)
        if record is None or profile_id in self._busy:
            return
        if self._follows(record, profile_id, verdict) is None:
            return
        self._busy.add(profile_id)
        self._later(self._follow(record, profile_id, verdict))

    async def command(
        self, record: NetworkRecord, ref: str, action: RolloutAction, *, if_match: int | None
    ) -> ShadowingProfile:
        """Do what a person says.

        Raises:
            NotFoundError, StaleError, ConflictError, UnavailableError, StoreError.
            UnrecordedError: it is paused or aborted, and the disk has not taken that.
        """
        async with record.lock:
            check_open(record)
            before = record.profile(ref)
            check_revision(before.revision, if_match, what=f'profile "{before.name or before.id}"')
            acted = self._context.verdicts.acted(before.id)
            ruling = _ruling(before, self._context.verdicts.of(before.id))
            move = commanded(before, action, ruling, self._parts.clock.now(), out=acted.out)
            log.info("rollout", profile=before.id, action=str(action))
            told = self._told(record, before, move, str(action), kind=AuditKind.ROLLOUT)
            if action is RolloutAction.ABORT:
                await self._take_back(record, before, move, acted.reason, told=told)
            else:
                await self._go_on(record, before, move, start=action is not RolloutAction.PAUSE, told=told)
            return record.profiles[before.id]

    async def _follow(self, record: NetworkRecord, profile_id: ProfileID, verdict: Verdict) -> None:
        try:
            async with record.lock:
                # It may have changed while this waited for its turn.
                follows = self._follows(record, profile_id, verdict)
                if follows is None:
                    return
                before, move = record.profiles[profile_id], follows.move
                if follows.reason:
                    told = self._told(record, before, move, "taken back", kind=AuditKind.VERDICT, why=follows.reason)
                    with contextlib.suppress(UnrecordedError):  # the books have said so, and see to it
                        await self._take_back(record, before, move, follows.reason, told=told)
                else:
                    await self._try_to_go_on(record, before, move)
        finally:
            self._busy.discard(profile_id)

    def _follows(self, record: NetworkRecord, profile_id: ProfileID, verdict: Verdict) -> Consequence | None:
        profile = record.profiles.get(profile_id)
        if profile is None or record.ending or profile_id in record.ending_profiles:
            return None
        verdicts = self._context.verdicts
        newest = verdicts.latest(profile_id)
        if newest is not verdict:  # it was judged again, or the evidence began anew
            return None
        return consequence(
            profile,
            _ruling(profile, verdict),
            self._parts.clock.now(),
            living=[i.variant for i in record.instances_of(profile_id) if not i.ended],
            out=verdicts.acted(profile_id).out,
        )

    def _told(
        self,
        record: NetworkRecord,
        before: ShadowingProfile,
        move: Move,
        event: str,
        *,
        kind: AuditKind,
        why: str = "",
    ) -> AuditEvent:
        changes, now = profile_changes(before, move.profile), self._parts.clock.now()
        detail = in_words(changes)
        return of_profile(record, before, event, at=now, detail=detail, why=why, kind=kind, changes=changes)

    async def _take_back(
        self, record: NetworkRecord, before: ShadowingProfile, move: Move, reason: str, *, told: AuditEvent
    ) -> None:
        after = replace(move.profile, revision=before.revision + 1)
        record.profiles[after.id] = after
        self._parts.publisher.publish(record.state())
        now = self._parts.clock.now()
        acted = Acted(move.out, reason, now.isoformat().replace("+00:00", "Z"))
        log.warning("taken back", profile=after.id, reason=reason)
        verdicts = self._context.verdicts
        verdicts.did(after.id, acted)
        row = {after.id: lambda: verdicts.row(after.id, verdicts.acted(after.id))}
        await self._parts.books.taken(record, Owed(profiles={after.id: None}, verdicts=row, events=[told]))

    async def _try_to_go_on(self, record: NetworkRecord, before: ShadowingProfile, move: Move) -> None:
        try:
            state = move.profile.rollout.state if move.profile.rollout else RolloutState.RUNNING
            event = "next step" if state is RolloutState.RUNNING else str(state)
            told = self._told(record, before, move, event, kind=AuditKind.ROLLOUT, why=_cause(move))
            await self._go_on(record, before, move, start=move.anew, told=told)
        except UnrecordedError as error:
            log.warning("a rollout is paused, and that is not on record yet", profile=before.id, error=str(error))
        except StoreError as error:
            record.trouble = str(error)
            log.warning("a step could not be written and is tried again", profile=before.id, error=str(error))
        except ShadowmeshError as error:
            rollout, now = before.rollout, self._parts.clock.now()
            step = rollout.step if rollout else 0
            reason = f"step {step + 2} cannot be: {error}"
            log.warning("rollout paused", profile=before.id, reason=reason)
            paused = replace(before, rollout=Rollout(step, RolloutState.PAUSED, now, reason))
            stay = Move(paused, out=move.out)
            told = self._told(record, before, stay, str(RolloutState.PAUSED), kind=AuditKind.ROLLOUT, why=reason)
            with contextlib.suppress(UnrecordedError):
                await self._go_on(record, before, stay, start=False, told=told)

    async def _go_on(
        self, record: NetworkRecord, before: ShadowingProfile, move: Move, *, start: bool, told: AuditEvent
    ) -> None:
        after = replace(move.profile, revision=before.revision + 1)
        if after.rollout is not None:
            log.info("rollout", profile=after.id, step=after.rollout.step + 1, state=str(after.rollout.state))
        acted = replace(self._context.verdicts.acted(after.id), out=move.out)
        if move.anew:
            acted = replace(acted, reason="", at="")
        await self._profiles.move(record, before, after, start=start, told=told, anew=move.anew, acted=acted)


def _cause(move: Move) -> str:
    """Return why a rollout went on, or stays."""
    rollout = move.profile.rollout
    passed = "the verdict is PASS, and the hold is over"
    if rollout is None or rollout.state is RolloutState.PAUSED:
        return rollout.reason if rollout else passed
    return f"{passed}; {rollout.reason}" if rollout.reason else passed


def _ruling(profile: ShadowingProfile, verdict: Verdict | None) -> Ruling:
    return ruling_of(verdict, [variant.name for variant in profile.variants])
