"""What happens in the demo, in order; the plot without the stage and without the report.

Guarantees: clients are checked from before the first profile exists until after the last one has ended; the run is
extended, up to a bound, until each planted bug was seen, all noise is cancelled and both versions are judged, so a busy
machine needs longer and not luck.
Not guaranteed: an exact length.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from xds_server.demo.catalogue import BAD_VERSION, GOOD_VERSION
from xds_server.demo.findings import Finding, check_list, false_alarms, noise_list
from xds_server.demo.load import Clients, Tally, ask, catalogue_requests
from xds_server.demo.reading import Reading, Verdict, read
from xds_server.demo.stage import NETWORK, Stage, fault_body, profile_body
from xds_server.errors import RuntimeFailedError, UnavailableError
from xds_server.stage.show import Show

SHARE = 0.5
"""Share of the requests that is copied to version 2 first."""
LITTLE, MOST = 0.1, 0.9
"""The shares of version 2 and version 3 then."""
ITEMS_ASKED = range(1, 25)
RUNNING_SECONDS = 60.0
"""Longest wait for shadow and control to be Running, and for the first compared pair."""
EXTRA_SECONDS = 150.0
"""Longest extension until each planted bug was seen and nothing else, and until each verdict is there."""
FAULT_SECONDS = 20.0
"""Longest extension until the injected faults show in the comparison."""
POLL = 0.25
PASS, FAIL = "PASS", "FAIL"
RIGHT = {BAD_VERSION: FAIL, GOOD_VERSION: PASS}
"""The verdict that each version deserves."""


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    tally: Tally = field(default_factory=Tally)
    reading: Reading = field(default_factory=Reading)
    """Of version 2."""
    findings: list[Finding] = field(default_factory=list)
    """The planted bugs."""
    noise: list[Finding] = field(default_factory=list)
    """The noisy fields; found means cancelled."""
    good_one: Reading = field(default_factory=Reading)
    """Of version 3."""
    false_alarms: list[str] = field(default_factory=list)
    first_pair_seconds: float | None = None
    """From the request to create the profile to the first compared pair, as polled."""

    @property
    def good(self) -> bool:
        """Whether bugs, noise and verdicts are as they should be, and no client was hurt."""
        return self.right and self.judged and not self.tally.hurt and self.served

    @property
    def right(self) -> bool:
        """Whether each planted bug was found, all noise cancelled, and nothing else reported as a difference."""
        checks = [*self.findings, *self.noise]
        return bool(checks) and all(check.found for check in checks) and not self.false_alarms

    @property
    def verdicts(self) -> dict[int, Verdict]:
        """The verdict on each version."""
        return {version: reading.verdict for version, reading in self.readings.items()}

    @property
    def readings(self) -> dict[int, Reading]:
        """What was read of each version."""
        return {BAD_VERSION: self.reading, GOOD_VERSION: self.good_one}

    @property
    def judged(self) -> bool:
        """Whether each version has the verdict that it deserves."""
        return all(verdict.decision == RIGHT[version] for version, verdict in self.verdicts.items())

    @property
    def served(self) -> bool:
        """Whether clients were served at all: nobody is hurt when nobody asks."""
        return self.tally.requests > 0


class Scenario:
    """One run.

    Args:
        stage: set up already.
        show: told what happens.
        seconds: how long clients send requests until version 2 is judged, about.
        ttl: life of the shadows, like `10m`.
        chance: chooses requests.
    """

    def __init__(self, stage: Stage, show: Show, *, seconds: float, ttl: str, chance: Random) -> None:
        self.outcome = Outcome()
        self.clients: Clients | None = None
        self.profiles: dict[int, str] = {}
        """Ids of the profiles, by the version that they judge."""
        self.image = ""
        """Image of the versions; empty: they are processes."""
        self._stage = stage
        self._show = show
        self._seconds = seconds
        self._ttl = ttl
        self._chance = chance

    async def play(self) -> Outcome:
        """Play it up to the moment before the profiles end. Clients are still sending when this returns.

        Raises:
            ShadowmeshError: a part failed.
        """
        stage, say = self._stage, self._show.say
        expected = await ask(stage.ports.original, [*catalogue_requests(ITEMS_ASKED)])
        self.clients = clients = Clients(port=stage.ports.envoy, expected=expected, chance=self._chance)
        self.outcome.tally = clients.tally
        clients.tally.phases[0].name = "version 1 alone"
        clients.start()
        say(f"clients send requests through Envoy; each of the {len(expected)} answers is known but for its noise")
        await self._for(self._seconds * 0.1)
        await self._judge_bad(clients)
        await self._judge_good(clients)
        return self.outcome

    async def _judge_bad(self, clients: Clients) -> None:
        stage, say = self._stage, self._show.say
        clients.phase("version 2 mirrored")
        created = time.monotonic()
        await self._create(BAD_VERSION, SHARE)
        say(f"profile created: copy {SHARE:.0%} of the requests to version 2, started for {self._ttl} on this machine,")
        say("and to a control, version 1 once more: what differs there too is noise")
        instance = await self._until_running(lambda: self.outcome.reading, "version 2")
        await self._until(lambda: self.outcome.reading.pairs > 0, RUNNING_SECONDS, "the first compared pair")
        took = self.outcome.first_pair_seconds = time.monotonic() - created
        say(f"version 2 and the control are Running; first pair compared {took:.1f} s after the request")
        await self._for(self._seconds * 0.5)

        clients.phase("faults in copies")
        length = self._seconds * 0.25
        fault = await stage.manager.inject_fault(NETWORK, fault_body(instance, seconds=length + 60))
        say("fault injected into the shadow: 20 % of the copies aborted with 503, 50 % delayed by 200 ms")
        await self._for(length)
        await self._until(self._faults_seen, FAULT_SECONDS, "")
        await stage.manager.lift_fault(NETWORK, str(fault["faultID"]))
        say("fault lifted")

        clients.phase("mirrored again")
        lifted = datetime.now(UTC)
        await self._for(self._seconds * 0.15)
        await self._until(
            lambda: self.outcome.right and self._counted(lifted) and bool(self._decided(BAD_VERSION)), EXTRA_SECONDS, ""
        )
        self._tell_verdict(BAD_VERSION)

    async def _judge_good(self, clients: Clients) -> None:
        stage, say = self._stage, self._show.say
        clients.phase("version 3 mirrored")
        await stage.manager.change_profile(NETWORK, self.profiles[BAD_VERSION], {"trafficShadowingPercentage": LITTLE})
        await self._create(GOOD_VERSION, MOST)
        say(f"version 3, rewritten without the bugs: copies of {MOST:.0%} of the requests, its own control beside it")
        await self._until_running(lambda: self.outcome.good_one, "version 3")
        await self._until(lambda: bool(self._decided(GOOD_VERSION)), EXTRA_SECONDS, "")
        self._tell_verdict(GOOD_VERSION)

    async def _create(self, version: int, share: float) -> None:
        body = profile_body(version=version, share=share, ttl=self._ttl, image=self.image)
        made = await self._stage.manager.create_profile(NETWORK, body)
        self.profiles[version] = str(made["profileID"])

    def _decided(self, version: int) -> str:
        decision = self.outcome.verdicts[version].decision
        return decision if decision in {PASS, FAIL} else ""

    def _tell_verdict(self, version: int) -> None:
        verdict = self.outcome.verdicts[version]
        style = "bold green" if verdict.decision == RIGHT[version] else "bold red"
        self._show.say(f"the verdict on version {version}: {verdict.decision or 'none'}", style=style)

    async def end_profile(self) -> None:
        """Delete the profiles while clients go on; then stop them. What was compared has been read before."""
        if self.clients is None:
            return
        self.clients.phase("profiles ended")
        ids, self.profiles = [*self.profiles.values()], {}
        for profile_id in ids:
            await self._stage.manager.delete_profile(NETWORK, profile_id)
        self._show.say("profiles ended: mirroring off, shadows stopped, while clients went on")
        await self._for(self._seconds * 0.05)
        await self.clients.stop()

    async def abandon(self) -> None:
        """Stop the clients at once."""
        if self.clients is not None:
            await self.clients.abandon()

    async def refresh(self) -> None:
        """Read the status anew."""
        if not self.profiles:
            return
        outcome, status = self.outcome, await self._stage.manager.status(NETWORK)
        outcome.reading = read(status, self.profiles.get(BAD_VERSION, ""))
        outcome.good_one = read(status, self.profiles.get(GOOD_VERSION, ""))
        outcome.findings = check_list(outcome.reading)
        outcome.noise = noise_list(outcome.reading)
        outcome.false_alarms = [
            *false_alarms(outcome.reading),
            *(f"version 3: {alarm}" for alarm in false_alarms(outcome.good_one, planted=False)),
        ]

    def _faults_seen(self) -> bool:
        return self.outcome.reading.aborted > 0 and self.outcome.reading.delayed > 0

    def _counted(self, moment: datetime) -> bool:
        """Whether the comparison has come as far as `moment`; windows take a second or two."""
        return self.outcome.reading.until is not None and self.outcome.reading.until > moment

    async def _until_running(self, reading: Callable[[], Reading], what: str) -> str:
        def settled() -> bool:
            statuses = {reading().shadow_status, reading().control_status}
            return statuses == {"Running"} or bool(statuses - {"Pending", "Running"})

        await self._until(settled, RUNNING_SECONDS, f"{what} and the control to be up")
        found = reading()
        for who, status, reason in (
            ("shadow", found.shadow_status, found.shadow_reason),
            ("control", found.control_status, found.control_reason),
        ):
            if status not in {"Pending", "Running"}:
                raise RuntimeFailedError(f"the {who} is {status}: {reason}")
        return found.shadow_id

    async def _for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        await self._watch(lambda: time.monotonic() >= end)

    async def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        await self._watch(lambda: condition() or time.monotonic() >= end)
        if what and not condition():
            raise UnavailableError(f"waited {seconds:g} s for {what}")

    async def _watch(self, until: Callable[[], bool]) -> None:
        poll = asyncio.create_task(self._poll())
        try:
            await self._show.watch(self._tell, until=lambda: until() or poll.done())
            if poll.done():
                await poll
        finally:
            poll.cancel()
            await asyncio.gather(poll, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            self._stage.check()
            await self.refresh()
            await asyncio.sleep(POLL)

    def _tell(self) -> str:
        tally, outcome = self.outcome.tally, self.outcome
        text = f"{tally.phases[-1].name}: {tally.requests} requests, {tally.hurt} clients hurt"
        if not self.profiles:
            return text
        if GOOD_VERSION in self.profiles:
            verdict = outcome.good_one.verdict
            more = f", about {verdict.needed:,} more needed" if verdict.needed else ""
            return f"{text}, {outcome.good_one.pairs} pairs compared, {verdict.decision or 'nothing judged yet'}{more}"
        found = sum(finding.found for finding in outcome.findings)
        return f"{text}, {outcome.reading.pairs} pairs compared, {found} of {len(outcome.findings)} planted bugs found"
