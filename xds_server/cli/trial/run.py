"""The trial: set up, wait for a verdict, tell it, take down.

Guarantees: whatever happens (a failure, Ctrl-C, TERM), all that was started here is ended and the folder removed, and
that is said; the original is asked once whether it answers, else left alone. Ctrl-C while a verdict is waited
for ends in the verdict so far. On an unexpected failure of a part the last lines of each log are shown.
Not guaranteed: anything after KILL.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import httpx

from xds_server.cli import verdict_views
from xds_server.cli.client import JSON, Client
from xds_server.cli.gating import EXIT_CODES, Look, settled, span
from xds_server.cli.output import console
from xds_server.cli.reporting import put, read_profile, with_details
from xds_server.cli.showing import shower
from xds_server.cli.trial.gets import Gets
from xds_server.cli.trial.original import reach
from xds_server.cli.trial.plan import NETWORK, PROFILE, SELF, Plan
from xds_server.cli.waiting import pending
from xds_server.errors import ConflictError, RuntimeFailedError, UnavailableError
from xds_server.model.network import Address, Protocol
from xds_server.report.formats import Form
from xds_server.report.subject import Subject, listed
from xds_server.report.words import FAIL, PASS
from xds_server.stage.children import ChildError, port_is_free
from xds_server.stage.curtain import INTERRUPTED, fall, signals, tell_tails, unless_told
from xds_server.stage.mesh import Mesh
from xds_server.stage.show import Show

INTERVAL = 0.5
"""Seconds between two looks."""
SPARE_SECONDS = 30.0
"""How much longer than `--start-timeout` is waited until both are up; that one ends them by itself."""
QUIET_SECONDS = 10.0
"""Seconds without a request, or without a pair, after which it is said how to send some."""
FEW = 20
"""Requests from which it is strange that none was copied."""


class TrialMesh(Mesh):
    """A mesh in front of an original that runs already.

    Args:
        folder: made by the caller, removed by `strike`.
        plan: what is tried.
        address: of the original.
        say: told what has been set up.
    """

    def __init__(self, folder: Path, plan: Plan, address: Address, *, say: Callable[[str], None]) -> None:
        chance = Random()  # noqa: S311 - chooses ports
        super().__init__(folder, network=NETWORK, node="try", chance=chance, say=say, listen=plan.listen or None)
        self._plan = plan
        self._address = address

    def network_body(self) -> JSON:
        """Return the network: the original."""
        return self._plan.network_body(self._address, self.ports.envoy)

    async def requests(self) -> int | None:
        """Return how many requests of clients were answered, by Envoy's own counter; None: it did not tell."""
        wanted = rf"^listener\.127\.0\.0\.1_{self.ports.envoy}\.http\..*\.downstream_rq_completed$"
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                url = f"http://127.0.0.1:{self.ports.admin}/stats"
                stats = (await client.get(url, params={"format": "json", "filter": wanted})).json()["stats"]
            return sum(int(stat["value"]) for stat in stats)
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None


def run(plan: Plan, show: Show, places: dict[Form, str | None]) -> int:
    """Try it; from the main thread, since Envoy ends with the thread that started it.

    Args:
        plan: what is tried.
        show: where it is told.
        places: files for reports, by form; `-` is standard output.

    Returns:
        0 PASS, 1 FAIL, 2 INCONCLUSIVE; 130 after Ctrl-C before the new version was up.

    Raises:
        ShadowmeshError: it cannot be tried.
    """
    return asyncio.run(_run(plan, show, places))


async def _run(plan: Plan, show: Show, places: dict[Form, str | None]) -> int:
    address = await reach(plan.original, plan.protocol, plan.readiness or "/")
    if plan.listen and not port_is_free(plan.listen):
        raise ConflictError(f"port {plan.listen} is taken", field="--listen", hint="another one, or 0 for any free one")
    folder = Path(tempfile.mkdtemp(prefix="shadowmesh-try-"))
    show.say(f"the original answers at {plan.original}")
    mesh = TrialMesh(folder, plan, address, say=show.say)
    with signals() as told:
        try:
            return await _play(plan, mesh, show, places, told)
        except asyncio.CancelledError:
            show.say("interrupted", style="bold yellow")
            return INTERRUPTED
        except ChildError:
            tell_tails(mesh, show)
            raise
        finally:
            await fall(mesh, show)


async def _play(plan: Plan, mesh: TrialMesh, show: Show, places: dict[Form, str | None], told: asyncio.Event) -> int:
    await unless_told(mesh.set_up(), told)
    with Client(mesh.manager.url) as client:
        await unless_told(_begin(plan, mesh, client), told)
        where = f"http://127.0.0.1:{mesh.ports.envoy}"
        show.say("the new version is up and gets copies; its answers are compared and thrown away")
        show.say(f"send your requests to {where} instead of {plan.original}; Ctrl-C ends it", style="bold")
        gets = Gets(mesh.ports.envoy, plan.gets, rate=plan.rate) if plan.gets else None
        try:
            if gets:
                gets.start()
                show.say(f"{plan.rate:g} GETs a second are sent meanwhile: {', '.join(plan.gets)}")
            found = await _Wait(plan, mesh, client, where).decided(told)
        finally:
            if gets:
                await gets.stop()
        found = await asyncio.to_thread(with_details, client, found, PROFILE)
    _tell(plan, found, show)
    for form, place in places.items():
        if place:
            put(found, form, place)
            show.say(f"{form} report: {place}")
    return EXIT_CODES[found.decision]


async def _begin(plan: Plan, mesh: TrialMesh, client: Client) -> None:
    """Create the profile; return once the new version, and the control, run. Raises ShadowmeshError: they do not."""
    await asyncio.to_thread(client.post, "networks", NETWORK, "shadowing", "create", body=plan.profile_body())
    limit = plan.start_timeout + SPARE_SECONDS
    deadline = time.monotonic() + limit
    while True:
        mesh.check()
        try:
            waiting = pending(await asyncio.to_thread(read_profile, client, NETWORK, PROFILE), "try")
        except RuntimeFailedError as error:
            raise _explained(error, plan) from error
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise UnavailableError(f"{', '.join(waiting)} not up after {span(limit)}", hint=_MORE_TIME)
        await asyncio.sleep(0.1)


def _explained(error: RuntimeFailedError, plan: Plan) -> RuntimeFailedError:
    hint = "it gets PATH, HOME, LANG and what --env names; it runs in this folder"
    if "not ready" in error.detail:
        hint = f"{_MORE_TIME}; {hint}"
    if plan.told_by_env:
        hint += "; nothing in its command says {port}: only its environment (PORT) tells it where to listen"
    return RuntimeFailedError(error.detail, hint=hint, log=error.log)


_MORE_TIME = "--start-timeout 2m would give it longer"


class _Wait:
    """The wait for a verdict."""

    def __init__(self, plan: Plan, mesh: TrialMesh, client: Client, where: str) -> None:
        self._plan = plan
        self._mesh = mesh
        self._client = client
        self._where = where
        self._began = time.monotonic()

    async def decided(self, told: asyncio.Event) -> Subject:
        """Return the profile with its verdict when there is one, when the time is over, or when we are told to."""
        with shower(quiet=False) as show:
            while True:
                self._mesh.check()
                seen = Subject.now(NETWORK, await asyncio.to_thread(read_profile, self._client, NETWORK, PROFILE))
                end = self._end(seen, told)
                if end is not None:
                    # A PASS or FAIL needs no word why one did not wait any longer.
                    return seen if seen.decision in {PASS, FAIL} else replace(seen, note=end)
                requests = await self._mesh.requests()
                show(Look(seen, self._left, requests=requests, hint=self._hint(seen, requests)))
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(INTERVAL, max(0.0, self._left))):
                        await told.wait()

    @property
    def _left(self) -> float:
        return self._plan.timeout - (time.monotonic() - self._began)

    def _end(self, seen: Subject, told: asyncio.Event) -> str | None:
        """Return why it ends now; None: it goes on."""
        if told.is_set():
            return "it was ended before there was a decision"
        note = settled(seen)
        if note is not None and not (self._plan.keep_going and seen.decision in {PASS, FAIL}):
            return note
        return f"no decision within {span(self._plan.timeout)}" if self._left <= 0 else None

    def _hint(self, seen: Subject, requests: int | None) -> str:
        """Return what the user may do: nothing comes, or nothing of what comes is copied."""
        if time.monotonic() - self._began < QUIET_SECONDS or requests is None:
            return ""
        if not requests:
            return (
                f"no request has come yet: send some to {self._where}, like `curl {self._where}/`, or start again with "
                "--get / --rate 50 and it sends them itself"
            )
        pairs = int((seen.comparison.get("pairs") or 0) or (seen.verdict.get("pairs") or 0))
        if requests >= FEW and not pairs and not self._plan.methods and self._plan.protocol is not Protocol.GRPC:
            return (
                "requests come and none was compared: only GET, HEAD and OPTIONS are copied, unless --method says more"
            )
        return ""


def _tell(plan: Plan, found: Subject, show: Show) -> None:
    show.print("")
    out = console(to=show.console.file)
    for part in verdict_views.verdict(found):
        out.print(part)
    for instance in listed(found.profile.get("instances")):
        if instance.get("status") == "Failed" and instance.get("logTail"):
            show.lines(f"last lines of {instance.get('variant')}", [str(line) for line in instance["logTail"]])
    if hint := advice(plan, found):
        show.print("")
        show.say(hint)


def advice(plan: Plan, found: Subject) -> str:
    """Return what would tell noise from change, when there are differences and no control; else nothing."""
    differs = any(
        check.get("metric") == "difference_rate" and check.get("decision") != PASS and check.get("shadow")
        for check in found.checks
    )
    if plan.controlled or not differs:
        return ""
    more = "--control-command 'COMMAND OF THE OLD VERSION --port {port}' runs it once more"
    if plan.protocol is not Protocol.GRPC and not plan.methods:
        more = f"--control {SELF} asks the original twice for each copy, or {more}"
    return f"is it noise (times, ids, orders)? A control tells it from change: {more}"
