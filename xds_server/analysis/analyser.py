"""The engine without its sockets: messages of the access log in, tallies out.

Guarantees: no I/O, no clock of its own; nothing that arrives raises; memory bounded by the settings. A pair is in
exactly one tally: that of its profile and instance, in the window in which it was completed.
Not guaranteed: thread safety; it belongs to one event loop.
"""

import math
import secrets
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import structlog

from xds_server.analysis.counting import count_arm, count_leg, count_missing, has_failed, not_judged, prove
from xds_server.analysis.diff.compare import Outcome, compare
from xds_server.analysis.diff.difference import Difference
from xds_server.analysis.diff.rules import RuleBook
from xds_server.analysis.endpoints.endpoints import Endpoints, Names
from xds_server.analysis.examples.example import MAX_DIFFERENCES, Example, make_example
from xds_server.analysis.examples.quota import Quota
from xds_server.analysis.examples.redact import Redactor
from xds_server.analysis.ingest.als import Batch, read_batch
from xds_server.analysis.ingest.pairing import ANYONE, Pairing, profile_of
from xds_server.analysis.ingest.trios import Controls, Seen, book, book_fields, weight_of
from xds_server.analysis.kinds import OTHER, Ending, Kind, Lost, Reason
from xds_server.analysis.profile_config import ProfileConfig
from xds_server.analysis.record import Record
from xds_server.analysis.windows.arms import MARK, MAX_ARMS, MIRRORED, ArmTally, arm_of
from xds_server.analysis.windows.fold import move
from xds_server.analysis.windows.tally import EndpointTally, Field, FieldTally, Tally
from xds_server.config import EngineSettings

log = structlog.get_logger(__name__)

MAX_PROFILES = 10_000
"""Profiles told apart; the pair header is a request header, so its values cannot be trusted to be few."""
CACHED_FIELDS = 4_096
"""Differences of which it is remembered what field they are counted under."""
ON_THE_WAY = 5.0
"""Seconds from the end of a request until its record is here, at most; Envoy flushes every 0.1 s."""
MAX_WARM = 1_000
"""Instances of a profile of which it is remembered since when they are warm."""
_NEVER = math.inf

_UNKNOWN_PROFILE = "unknown"
_FAILED = Outcome(Reason.FAILED)


class _Profile:
    """What the analyser keeps of a profile from window to window."""

    __slots__ = ("config", "controls", "endpoints", "expected", "field", "fields", "key", "redactor", "rules", "warm")

    def __init__(self, settings: EngineSettings, key: bytes) -> None:
        self.key = key
        self.redactor = Redactor(key=key)
        self.endpoints = Endpoints(settings.max_endpoints, clean=self.redactor.endpoint)
        self.fields = Names(settings.max_differences)
        self.field = lru_cache(maxsize=CACHED_FIELDS)(self._field)
        """Which field is a difference counted under?"""
        self.expected = ANYONE
        self.rules = RuleBook()
        self.config: ProfileConfig | None = None
        self.controls = Controls()
        self.warm: dict[str, float] = {}
        """Since when answers of an instance are evidence; of one that is not there, they are not."""

    def fields_of(self, endpoint: str, differences: Iterable[Difference]) -> dict[Field, str]:
        """Return field and class of each difference, `other` for those beyond the bounds, with the recognised kind."""
        field = self.field
        return {field(endpoint, each.kind, each.field): each.what for each in differences}

    def moved(self, names: dict[str, str]) -> None:
        """Take note that endpoints are called otherwise now."""
        self.fields.move(names)
        self.field.cache_clear()
        self.controls.moved(names)

    def _field(self, endpoint: str, kind: Kind, name: str) -> Field:
        name = self.redactor.field(name)
        known = self.fields.admit(f"{endpoint}\0{kind}\0{name}") != OTHER
        return name if known else OTHER, str(kind)

    def configure(self, config: ProfileConfig) -> None:
        """Take over what the manager says of it."""
        before, self.config = self.config, config
        self.expected = frozenset(config.shadows)
        self.controls.configure(config.control)
        for instance in config.shadows:
            # Those that have ended stay known, since their last pairs are on the way.
            self.warm.pop(instance, None)
            self.warm[instance] = config.warm.get(instance, 0.0)
        while len(self.warm) > MAX_WARM:
            del self.warm[next(iter(self.warm))]
        if before is None or (before.analysis, before.keep_credentials) != (config.analysis, config.keep_credentials):
            self.rules = RuleBook(config.analysis, keep_credentials=config.keep_credentials)
        if before is None or before.analysis != config.analysis:
            self.redactor = Redactor(config.analysis.redact, key=self.key)
            self.endpoints.use(config.analysis.endpoints, clean=self.redactor.endpoint)
            self.field.cache_clear()


class Analyser:
    """Pairs, compares and counts.

    Args:
        settings: the bounds.
        wall: the wall clock, seconds since the epoch.
        key: of what stands in the place of secrets; random, and known to nobody, when left out.
    """

    def __init__(self, settings: EngineSettings, *, wall: Callable[[], float], key: bytes | None = None) -> None:
        self._settings = settings
        self._wall = wall
        self._now = 0.0
        """The wall clock's time when the last message came: asked once, not for each of its pairs."""
        self._key = secrets.token_bytes(16) if key is None else key
        self._profiles: dict[str, _Profile] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._arms: dict[str, ArmTally] = {}
        """The arms of the open window, to find them at once; they are in the tallies."""
        self._quota = Quota()
        self.pairing = Pairing(
            expected=self._expected,
            lost=self.lost,
            missed=self._missed,
            timeout=settings.pair_timeout,
            max_waiting=settings.max_waiting,
            max_bytes=settings.max_waiting_bytes,
        )
        self.records = 0
        """Records received since the start."""
        self.pairs = 0
        """Pairs completed since the start, judged or not."""
        self.news = False
        """Whether a profile and instance have appeared since the last window that no window told of yet."""
        self._told: set[tuple[str, str]] = set()
        self._owners: dict[str, str] = {}
        self._failed = False
        self.foreign = 0
        self.broken = 0

    def configure(self, profiles: Iterable[ProfileConfig]) -> None:
        """Take over which instances each profile has now and how it compares; forget profiles that are gone."""
        wanted = {config.profile_id: config for config in profiles}
        for gone in [name for name in self._profiles if name not in wanted]:
            del self._profiles[gone]
        for name, config in wanted.items():
            self._profile(name).configure(config)
        # A hang is known when its timeout has struck, and is evidence; its original waits for it.
        longest = max((config.patience for config in wanted.values()), default=0.0)
        self.pairing.timeout = max(self._settings.pair_timeout, longest + ON_THE_WAY)

    def feed(self, message: bytes, now: float) -> Batch:
        """Take one encoded `StreamAccessLogsMessage` in; `now` is a monotonic time in seconds."""
        batch = read_batch(message)
        self.records += len(batch.records)
        self.foreign += batch.foreign
        self.broken += batch.broken
        self._now = self._wall()
        add, judge = self.pairing.add, self._judge
        for record in batch.records:
            if not record.shadow and not self._count(record):
                continue
            for original, shadow in add(record, now):
                judge(original, shadow)
        return batch

    def expire(self, now: float) -> None:
        """Give up legs that have waited too long."""
        self.pairing.expire(now)

    def take(self) -> list[Tally]:
        """Close the window: return what was seen since the last call, one tally a profile and instance."""
        taken = [tally for tally in self._tallies.values() if tally]
        self._tallies, self._arms = {}, {}
        self._quota.turn()
        self.news = False
        return taken

    def profile_of_instance(self, instance: str) -> str | None:
        """Return the profile that a shadow instance was seen to belong to."""
        return self._owners.get(instance)

    def lost(self, kind: Lost, profile: str, instance: str, count: int = 1) -> None:
        """Count a loss; negative when it turned out to be less."""
        if count:
            self._now = self._wall()
            self._tally(profile, instance).lost[kind] += count

    def _expected(self, profile: str) -> frozenset[str]:
        known = self._profiles.get(profile)
        return known.expected if known is not None else ANYONE

    def _profile(self, name: str) -> _Profile:
        profile = self._profiles.get(name)
        if profile is None:
            if len(self._profiles) >= MAX_PROFILES and name != _UNKNOWN_PROFILE:
                return self._profile(_UNKNOWN_PROFILE)
            profile = self._profiles[name] = _Profile(self._settings, self._key)
        return profile

    def _tally(self, profile: str, instance: str) -> Tally:
        key = profile, instance
        tally = self._tallies.get(key)
        if tally is None:
            if len(self._tallies) >= MAX_PROFILES and profile != _UNKNOWN_PROFILE:
                return self._tally(_UNKNOWN_PROFILE, "")
            known = self._profiles.get(profile)
            control = known is not None and instance in known.controls
            tally = self._tallies[key] = Tally(profile, instance, keep=self._settings.examples, control=control)
            if key not in self._told and instance:
                if len(self._told) >= MAX_PROFILES:
                    self._told.clear()
                    self._owners.clear()
                self._told.add(key)
                self._owners[instance] = profile
                self.news = True
        tally.seen(self._now)
        return tally

    def _move(self, profile: _Profile) -> None:
        """Move what the open window counted under names that have changed."""
        moved, profile.endpoints.moved = profile.endpoints.moved, {}
        profile.moved(moved)
        for tally in self._tallies.values():
            if self._profile(tally.profile) is profile:
                move(tally, moved)

    def _judge(self, original: Record, shadow: Record) -> None:
        self.pairs += 1
        name = profile_of(original.pair)
        profile = self._profiles.get(name) or self._profile(name)
        endpoint_name = profile.endpoints.of(original.method, original.path)
        if profile.endpoints.moved:
            self._move(profile)
        try:
            outcome = compare(original, shadow, profile.rules.of(endpoint_name))
        except Exception as error:  # noqa: BLE001 - see the next line
            # One pair must not cost the others; it is counted, so it is not overlooked either.
            if not self._failed:
                _say_failed(original.pair, error)
            self._failed = True
            outcome = _FAILED
        tally = self._tally(name, shadow.shadow)
        endpoint = _endpoint(tally, endpoint_name)
        warm = original.started >= profile.warm.get(shadow.shadow, _NEVER)
        if outcome.reason is not None:
            endpoint.not_judged[outcome.reason] += 1
            if warm:
                not_judged(endpoint.evidence, outcome.reason, original)
            return
        fields = profile.fields_of(endpoint_name, outcome.differences) if outcome.differences else {}
        # An injected delay says nothing about the shadow's own time, and an original that answers before it has all of
        # its request has no time to compare with; the pair stays a pair, so both legs are left out.
        timed = not shadow.delayed and not original.early
        if profile.controls:
            took = shadow.response_time if timed else None
            failed = has_failed(original) or has_failed(shadow)
            note = endpoint_name, fields, took, warm and not shadow.delayed, warm and shadow.delayed, failed
            self._trios(original, shadow.shadow, profile=profile, note=note)
            # Its own pairs say nothing about a version.
            warm = warm and not tally.control
        _judged(endpoint, original, shadow, fields=fields, timed=timed, warm=warm)
        if shadow.delayed:
            tally.counts["delayed"] += 1
        if outcome.head_only:
            tally.counts["head_only"] += 1
        if outcome.differences:
            where = (profile, tally, endpoint_name)
            self._differs((original, shadow), outcome, fields=fields, where=where)

    def _count(self, record: Record) -> bool:
        """Count a request in its arm; return whether it is one of a pair."""
        pair = record.pair
        paired = MARK not in pair
        name = pair.partition("/")[0]
        if not paired:
            name += MARK + arm_of(pair)
        arm = self._arms.get(name)
        if arm is None:
            arms = self._tally(profile_of(pair), "").arms
            called = MIRRORED if paired else arm_of(pair)
            arm = arms.get(called)
            if arm is None:
                if len(arms) >= MAX_ARMS:
                    return paired
                arm = arms[called] = ArmTally()
            if len(self._arms) < MAX_PROFILES:
                self._arms[name] = arm
        count_arm(arm, record, MIRRORED if paired else arm_of(pair))
        return paired

    def _missed(self, original: Record, instance: str) -> None:
        """Count an original of which a copy's record did not come, where it would have been judged."""
        name = profile_of(original.pair)
        profile = self._profiles.get(name)
        if profile is None or original.ending is not Ending.OWN or original.cut_off:
            return
        if original.started < profile.warm.get(instance, _NEVER):
            return
        endpoint_name = profile.endpoints.of(original.method, original.path)
        if profile.endpoints.moved:
            self._move(profile)
        count_missing(_endpoint(self._tally(name, instance), endpoint_name).evidence, original)

    def _trios(self, original: Record, instance: str, *, profile: _Profile, note: Seen) -> None:
        """Note what a judged pair has shown; book what is known now of its original's other copies."""
        controls = profile.controls
        original.notes, trios = controls.meet(original.notes, instance, note)
        if original.notes is not None:
            self.pairing.grow(original.pair, weight_of(note[1]))
        for candidate, mine, theirs in trios:
            endpoints = self._tally(profile_of(original.pair), candidate).endpoints
            name = mine[0]
            endpoint = endpoints.get(name)
            if endpoint is None:  # its pair was in an earlier window, or the endpoint has got another name since
                name = profile.endpoints.current(name)
                endpoint = endpoints.setdefault(name, EndpointTally())
            if book(endpoint, mine, theirs):
                known = controls.known(candidate, name)
                book_fields(endpoint, mine, theirs, known=known, clocks=controls.clocks)

    def _differs(
        self,
        pair: tuple[Record, Record],
        outcome: Outcome,
        *,
        fields: Mapping[Field, str],
        where: tuple[_Profile, Tally, str],
    ) -> None:
        profile, tally, endpoint_name = where
        endpoint = tally.endpoints[endpoint_name]
        endpoint.differing += 1
        moment = pair[0].started
        endpoint.sign(tuple(sorted(fields)))
        for kind in {kind for _, kind in fields}:
            tally.classes[kind] += 1
        owner = tally.profile, tally.instance
        most, example = self._quota.each(owner, tally.keep), None
        # An example lists so many; to a field that it does not list it says nothing.
        unlisted = {(profile.redactor.field(d.field), str(d.kind)) for d in outcome.differences[MAX_DIFFERENCES:]}
        for name, what in fields.items():
            found = endpoint.fields.get(name)
            if found is None:
                found = endpoint.fields[name] = FieldTally()
            found.add(moment, what)
            if name in unlisted or len(found.examples) >= most:
                continue
            if example is None:
                self._quota.use(owner)
                example = self._example(pair, outcome, profile, endpoint_name)
                # One that is there already costs nothing; one that cannot be made is not tried again.
                most = tally.keep if example is not None else 0
            if example is not None:
                found.examples.append(example)

    def _example(
        self, pair: tuple[Record, Record], outcome: Outcome, profile: _Profile, endpoint: str
    ) -> Example | None:
        if profile.config is None:
            # What it wants redacted is not known yet.
            return None
        try:
            return make_example(
                *pair,
                endpoint=endpoint,
                differences=outcome.differences,
                redactor=profile.redactor,
                descriptors=profile.rules.of(endpoint).descriptors,
            )
        except Exception as error:  # noqa: BLE001 - the pair is counted all the same, and nothing unredacted goes out
            if not self._failed:
                _say_failed(pair[0].pair, error)
            self._failed = True
            return None


def _say_failed(pair: str, error: Exception) -> None:
    """Log where it happened, but not the error's own words: they may quote the answers."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error(
        "a pair could not be compared; the next ones are only counted",
        pair=pair,
        error=type(error).__name__,
        where=where,
    )


def _endpoint(tally: Tally, name: str) -> EndpointTally:
    endpoint = tally.endpoints.get(name)
    if endpoint is None:
        endpoint = tally.endpoints[name] = EndpointTally()
    return endpoint


def _judged(
    endpoint: EndpointTally, original: Record, shadow: Record, *, fields: Mapping[Field, str], timed: bool, warm: bool
) -> None:
    endpoint.pairs += 1
    endpoint.timeline.add(original.started)
    failed = has_failed(original), has_failed(shadow)
    count_leg(endpoint.original, original, failed[0], timed)
    count_leg(endpoint.shadow, shadow, failed[1], timed)
    if warm:
        prove(endpoint.evidence, original, shadow, failed=failed, fields=fields)
