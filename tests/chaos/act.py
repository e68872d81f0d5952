"""One point played: bring the profile to its moment, land the blow, bring back what it hit, look at what must hold."""

import asyncio
import time
from contextlib import suppress

from tests.chaos.blows import AT_ITS_END, TARGET, Blows
from tests.chaos.books import Counters
from tests.chaos.callers import Callers
from tests.chaos.desk import NOT_FOUND, Desk
from tests.chaos.invariants import (
    BACK,
    CLEARED,
    ENVOY_UP,
    FAULT_LATE,
    MIRRORING_STOPPED,
    RESUMED,
    RUNNING,
    TTL_EARLY,
    TTL_LATE,
    Result,
    gone,
    judge_clients,
    judge_hit,
    judge_speed,
    until_clean,
)
from tests.chaos.looks import Looks
from tests.chaos.points import LONG, MANAGER_AWAY, OF_CLOCK, OF_DISK, OF_DOCKER, OF_TAKE_OVER, Blow, Moment, Point
from tests.chaos.theatre import Theatre
from tests.envoy.stack import NETWORK, until

SHADOW_DIES = frozenset(
    {
        *(Blow.KILL_SHADOW, Blow.KILL_SUPERVISOR, Blow.SHADOW_AND_MANAGER),
        # An engine that is started again ends the containers of the one before.
        *(Blow.KILL_DOCKERD, Blow.DOCKERD_AND_MANAGER),
    }
)
PROFILE = f"/networks/{NETWORK}/shadowing/profiles"
SHORT_TTL = 5.0
CLOCK_TTL, START = 16.0, 15.0
"""Seconds that a point lasts after its blow, and that the start of a manager may take on a busy machine."""
FAULT = 4.0
ASKS_AFTER = 0.8
"""Seconds from the start of a successor until it may ask, at least."""


class Act(Looks):
    """Plays one point; see the module."""

    def __init__(self, theatre: Theatre, callers: Callers, counters: Counters, desk: Desk, point: Point) -> None:
        super().__init__(theatre, callers, counters, desk, point)
        ends = point.moment in {Moment.IDLE, Moment.DELETE, Moment.TTL}
        self._blows = Blows(theatre, into=point.delay / 4, patience=AT_ITS_END if ends else TARGET)
        self._percentage = 1.0
        self._injected = 0.0
        self._ttl = 600.0

    async def play(self) -> Result:
        """Do all of it; what goes wrong is in the result."""
        result, begin = self.result, time.monotonic()
        self._callers.begin()
        self._counters.seen.clear()
        try:
            await self._play()
        except Exception as error:  # noqa: BLE001 - the next point is to be played
            result.wrong.append(f"{type(error).__name__}: {error}"[:600])
        finally:
            self._callers.go_on()
            result.requests, result.hit = self._callers.sent, self._blows.hit
            judge_hit(result)
            judge_clients(result, self._callers.wrong, self._blows.away)
            judge_speed(result, self._callers, [*self._blows.away, *self._blows.still])
            result.took = round(time.monotonic() - begin, 1)
        return result

    async def _play(self) -> None:
        point, result = self._point, self.result
        begun = await self._desk.trail_ends()
        await self._prepare()
        # A successor takes its time until it asks; what is to be under way then is begun later.
        later = point.blow in OF_TAKE_OVER
        doing = asyncio.create_task(self._do(after=ASKS_AFTER + point.delay if later else 0.0))
        quick = later or point.moment in {Moment.CREATE, Moment.PATCH, Moment.DELETE}
        await asyncio.sleep(point.delay / 10 if quick else point.delay)
        before = await self._copies()
        mend = await self._blows.land(point.blow)
        landed = time.monotonic()
        try:
            await asyncio.sleep(point.hold)
            await self._judge_silence(landed, before)
        finally:
            await mend()
        mended = time.monotonic()
        if self._blows.envoy_up:
            result.within("envoy_up", self._blows.envoy_up, ENVOY_UP)
        await doing
        await self._all_back(mended)
        await self._judge_moment(time.monotonic())
        await self._judge_comparison()
        await self._judge_books()
        await self._judge_ttl()
        await self._clear()
        await self._judge_trail(begun)

    # To the moment.

    async def _prepare(self) -> None:
        """Bring the profile to where the blow is to land."""
        moment = self._point.moment
        if self._point.blow in OF_CLOCK:
            self._ttl = _ttl_under(self._point)
        if moment is Moment.CREATE:
            return
        if moment in {Moment.PENDING, Moment.BECOMING}:
            await self._create(after=1.2 if moment is Moment.PENDING else 0.2)
            return
        if moment is Moment.TTL:
            self._ttl = SHORT_TTL
        await self._create()
        await self._until_running()
        if moment is Moment.TTL:
            await asyncio.sleep(max(0.0, self._born[1] + self._ttl - 0.4 - time.monotonic()))
            return
        await self._until_pairs(30)
        if moment is Moment.IDLE:
            # What is between profiles is the settling of the one before.
            await self._desk.delete(self._profile)
            self._deleted.append(self._profile)
        if moment is Moment.FAULT:
            (instance,) = await self._instances()
            body = {"instanceID": instance["instanceID"], "duration": f"{FAULT:g}s"}
            body["faultInjectionParameters"] = {"abort": {"httpStatus": 503, "percentage": 30}}
            answer = await self._desk.insist("POST", f"/networks/{NETWORK}/shadowing/inject_fault", body)
            assert answer.is_success, answer.text
            self._injected = time.monotonic()

    async def _do(self, *, after: float) -> None:
        """What is under way while the blow lands."""
        await asyncio.sleep(after)
        match self._point.moment:
            case Moment.CREATE:
                await self._create()
            case Moment.PATCH:
                self._percentage = 0.5
                await self._desk.change(self._profile, trafficShadowingPercentage=0.5)
            case Moment.DELETE:
                await self._desk.delete(self._profile)
                self._deleted.append(self._profile)
            case _:
                pass

    async def _create(self, *, after: float = 0.0) -> None:
        body = self._theatre.profile_body(
            shadowInstanceTTL=f"{self._ttl:g}s",
            shadowTimeout="500ms",
            variants=[self._theatre.version(after=after)],
        )
        asked = time.monotonic()
        made = await self._desk.create(body)
        self._born = asked, time.monotonic()
        self._profile = made["profileID"]

    # What must hold.

    async def _judge_silence(self, landed: float, before: int) -> None:
        """The dead man's switch: with nobody there, the last copy comes within the bound, by the shadow's own count."""
        if self._point.blow not in MANAGER_AWAY or self._point.hold < LONG or not before:
            return
        last = max(self._theatre.counted(each)[1] for each in self._counters.seen)
        if last > landed:  # else its deletion or its TTL had stopped it before
            self.result.within("stopped", last - landed, MIRRORING_STOPPED)

    async def _all_back(self, mended: float) -> None:
        async def connected() -> bool:
            status = await self._desk.get(f"/networks/{NETWORK}/shadowing/status")
            envoys = [each for each in status["envoys"] if each["connected"]]
            acked = bool(envoys) and all(r["state"] == "ACKED" for e in envoys for r in e["resources"])
            return acked and any(each["connected"] for each in status["engines"])

        await until(connected, "manager, engine and Envoy are back", seconds=BACK * 2)
        self.result.within("back", time.monotonic() - mended, BACK)

    async def _judge_moment(self, back: float) -> None:
        """What was accepted is there, and as it was accepted."""
        found = await self._desk.profiles()
        result, moment, blow = self.result, self._point.moment, self._point.blow
        wanted = {self._profile} - set(self._deleted) - {""}
        result.lost_profiles = len(wanted - found.keys())
        result.must(found.keys() == wanted, f"profiles {sorted(found)} instead of {sorted(wanted)}")
        for deleted in self._deleted:
            answer = await self._desk.insist("GET", f"{PROFILE}/{deleted}")
            result.must(answer.status_code == NOT_FOUND, "a deleted profile is there again")
        if moment is Moment.FAULT:
            await self._until_lifted(max(back, self._injected + FAULT))
        if moment is Moment.TTL:
            await self._until_ended(max(back, self._born[1] + self._ttl))
        if moment in {Moment.TTL, Moment.DELETE, Moment.IDLE}:
            await self._judge_struck_books()
            await self._clear()
            self._ttl = _ttl_under(self._point) if blow in OF_CLOCK else 600.0
            await self._create()
        else:
            share = found[self._profile]["trafficShadowingPercentage"]
            result.must(share == self._percentage, f"percentage {share} instead of {self._percentage}")
            await self._judge_instance()
        begin = time.monotonic()
        await self._until_running()
        result.within("running", time.monotonic() - begin, RUNNING)
        await until_clean(self._theatre, self._desk.profiles, result, CLEARED)

    async def _until_lifted(self, due: float) -> None:
        async def lifted() -> bool:
            return not (await self._desk.get(f"/networks/{NETWORK}/shadowing/faults"))["items"]

        await until(lifted, "the fault is lifted", seconds=max(0.0, due - time.monotonic()) + FAULT_LATE + 5.0)
        self.result.within("fault_off", max(0.0, time.monotonic() - due), FAULT_LATE)

    async def _judge_instance(self) -> None:
        """Exactly one instance; it ended where the blow was meant for it, and is then replaced as a person would."""
        blow, moment = self._point.blow, self._point.moment
        dies = blow in SHADOW_DIES and self._blows.hit > (1 if blow is Blow.SHADOW_AND_MANAGER else 0)
        early = moment in {Moment.CREATE, Moment.PENDING, Moment.BECOMING}
        if not dies and not (early and blow in OF_DISK | OF_DOCKER):
            instances = await self._instances()
            states = [(each["status"], each["reason"]) for each in instances]
            self.result.must(len(states) == 1 and states[0][0] in {"Pending", "Running"}, f"instances: {states}")
            return

        async def settled() -> bool:
            alive = await asyncio.to_thread(self._theatre.processes)
            return all(
                each["status"] == "Failed" or (each["status"] == "Running" and each["instanceID"] in alive)
                for each in await self._instances()
            )

        await until(settled, "the shadow is known to have ended", seconds=RUNNING)
        if not any(each["status"] == "Running" for each in await self._instances()):
            await self._desk.change(self._profile, trafficShadowingPercentage=0.0)
            await self._desk.change(self._profile, trafficShadowingPercentage=self._percentage)

    async def _judge_comparison(self) -> None:
        begin, pairs = time.monotonic(), await self._pairs()
        with suppress(AssertionError):
            await self._until_pairs(pairs + 30)
        self.result.within("resumed", time.monotonic() - begin, RESUMED)

    async def _judge_ttl(self) -> None:
        """Under a clock that is set, a life is as long as it was to be."""
        if self._point.blow in OF_CLOCK:
            await self._until_ended(self._born[1] + self._ttl)

    async def _until_ended(self, due: float) -> None:
        assert self._process is not None
        ended = await gone(self._process, seconds=max(0.0, due - time.monotonic()) + TTL_LATE + 10.0)
        self.result.must(ended is not None, "the shadow outlives its TTL")
        if ended is None:
            return
        early = self._born[0] + self._ttl - ended
        dies = self._point.blow in SHADOW_DIES
        self.result.must(dies or early <= TTL_EARLY, f"the shadow ended {early:.1f} s before its TTL was over")
        self.result.within("ttl_off", ended - due, TTL_LATE)

    async def _clear(self) -> None:
        """Delete what there is; nothing of it is left."""
        for profile in await self._desk.profiles():
            await self._desk.delete(profile)
            self._deleted.append(profile)
        took = await until_clean(self._theatre, self._desk.profiles, self.result, CLEARED)
        self.result.cleared = round(max(took, self.result.cleared or 0.0), 2)
        left = await self._desk.profiles()
        self.result.must(not left, f"deleted profiles are there: {sorted(left)}")


def _ttl_under(point: Point) -> float:
    """Return a TTL that is over soon after what else is looked at under a clock that is set."""
    return CLOCK_TTL + point.hold + (START if point.blow is Blow.CLOCK_BACK_AND_MANAGER else 0.0)
