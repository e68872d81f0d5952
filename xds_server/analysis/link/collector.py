"""The manager's side of the analysis: windows of all engines merged; profiles and last good resources handed out.

Guarantees: a window that an engine sends again is counted once; a window that was lost on the way is counted as lost,
also over a restart of the manager (`dump` remembers how far it got with each engine). Windows are taken in by whole
closings, and acknowledged when somebody who wrote down what `dump` gave says so (`kept`), so one that was not written
is sent again. An engine that goes on from another's books learns which closing of that one was the last to be written,
and from then on nothing of that one is taken. Bounded: profiles that were forgotten take nothing more in, endpoints and
fields beyond the settings are folded into `other`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import grpc
import numpy as np
import structlog

from xds_server.analysis.clock import Clock
from xds_server.analysis.kinds import Lost
from xds_server.analysis.link.attachment import Attachment, EngineStatus, LastGood, Windows
from xds_server.analysis.link.wire import METHOD, SERVICE, pack_snapshot, version_of
from xds_server.analysis.profile_config import QUANTILES, ProfileConfig, unpack_profile
from xds_server.analysis.windows.comparison import Comparison, comparison_of, measured_by
from xds_server.analysis.windows.dump import Progress, pack_dump, read_dump
from xds_server.analysis.windows.evidence_book import EvidenceBook
from xds_server.analysis.windows.fold import Folding
from xds_server.analysis.windows.profile_evidence import ProfileEvidence
from xds_server.analysis.windows.ration import Ration
from xds_server.analysis.windows.tally import Tally, versions_of
from xds_server.cache.snapshot import Snapshot
from xds_server.config import EngineSettings
from xds_server.errors import ShadowmeshError
from xds_server.model.judging import DEFAULT_JUDGING

log = structlog.get_logger(__name__)

FORGOTTEN = 10_000
"""Ids of forgotten profiles remembered, so that a late window does not bring one back."""
UNKNOWN = 1_000
"""Profiles that are not configured (yet) and are taken in all the same."""
NOTHING_KNOWN: Mapping[str, str] = MappingProxyType({})
ENGINES = 10_000
"""Engines of which it is remembered how far it got with them, and that they have a successor."""


@dataclass(frozen=True, slots=True)
class _Marked:
    attachment: Attachment
    taken: int
    """Number of its last message that was taken in."""
    predecessor: str
    closing: int
    """The predecessor's last closing that was taken in."""


Mark = tuple[_Marked, ...]
"""How far it got with each engine that is attached."""


@dataclass(slots=True)
class _Profile:
    book: EvidenceBook
    tallies: dict[str, Tally] = field(default_factory=dict)
    applied: dict[str, int] = field(default_factory=dict)
    """Number of the last window taken in, by engine."""
    folding: Folding | None = None
    ration: Ration = field(default_factory=Ration)
    revision: int = 0
    """Counts what was taken in."""
    config: ProfileConfig | None = None
    """Its rules as of the dump that was loaded."""
    first: asyncio.Event = field(default_factory=asyncio.Event)
    shown: tuple[int, Mapping[str, str], ProfileEvidence] | None = None
    """The evidence as it was last asked for: at which revision, and by which versions."""


class Collector:
    """Everything that the engines found, by profile. All methods belong on the event loop.

    Args:
        clock: the time of the engines' states.
        settings: the bounds.
        generator: draws for arms of unequal size; seeded by the system when left out.
    """

    def __init__(self, *, clock: Clock, settings: EngineSettings, generator: np.random.Generator | None = None) -> None:
        self._clock = clock
        self._generator = np.random.default_rng() if generator is None else generator
        self._settings = settings
        self._profiles: dict[str, _Profile] = {}
        self._forgotten: OrderedDict[str, None] = OrderedDict()
        self._configs: tuple[ProfileConfig, ...] = ()
        self._last_good: dict[str, LastGood] | None = None
        self._attached: set[Attachment] = set()
        self._lingering: set[str] = set()
        self._seen: OrderedDict[str, EngineStatus] = OrderedDict()
        self._reached: OrderedDict[str, int] = OrderedDict()
        self._succeeded: OrderedDict[str, int] = OrderedDict()
        self.hurry = asyncio.Event()
        """Set when an engine waits for `kept`: it is about to stop, or has just begun."""
        handler = grpc.stream_stream_rpc_method_handler(self._attach)
        self.handler = grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})
        """The gRPC service that engines attach to, for `XdsServer(extra_handlers=...)`."""

    def configure(self, profiles: Sequence[ProfileConfig]) -> None:
        """Take these profiles for all there are, and tell the engines when they have changed."""
        configs = tuple(profiles)
        for config in configs:
            self._forgotten.pop(config.profile_id, None)
        wanted = {config.profile_id for config in configs}
        configs += tuple(c for c in self._configs if c.profile_id in self._lingering - wanted)
        if configs != self._configs:
            self._configs = configs
            for config in configs:
                known = self._profiles.get(config.profile_id)
                if known is not None and known.folding is not None:
                    known.folding.use(config.analysis.endpoints)
            for attachment in self._attached:
                attachment.wake()

    def offer_last_good(self, groups: Mapping[str, Snapshot]) -> None:
        """Hand the engines what they serve to an Envoy that cannot reach the manager; all groups there are."""
        before = self._last_good or {}
        offered: dict[str, LastGood] = {}
        shared: dict[str, LastGood] = {}
        for name, snapshot in groups.items():
            version = version_of(snapshot)
            known = before.get(name)
            if known is None or known.version != version:
                # Several groups share one snapshot; it is packed once.
                known = shared.get(version) or LastGood(version, pack_snapshot(snapshot))
            offered[name] = shared[version] = known
        self._last_good = offered
        for attachment in self._attached:
            attachment.wake()

    def summary(
        self, profile_id: str, instance_id: str | None = None, *, variants: Mapping[str, str] = NOTHING_KNOWN
    ) -> Comparison:
        """Return the comparison so far, of a whole profile (but for its control) or of one instance.

        Args:
            profile_id: whose.
            instance_id: one instance's alone; the control's, too.
            variants: the version of each instance; each version is judged for itself.
        """
        tallies = self.tallies(profile_id)
        control = measured_by(tallies)
        if instance_id is not None:
            return comparison_of(*(tally for tally in tallies if tally.instance == instance_id), control=control)
        return comparison_of(*versions_of(tallies, variants), control=control)

    def evidence(self, profile_id: str, *, variants: Mapping[str, str] = NOTHING_KNOWN) -> ProfileEvidence:
        """Return all the evidence about a profile; to be read at once and not changed.

        Args:
            profile_id: whose.
            variants: the version of each instance; one that is not there is a version of its own.
        """
        profile = self._profiles.get(profile_id) or self._made()
        shown = profile.shown
        if shown is not None and shown[:2] == (profile.revision, variants):
            return shown[2]
        config = self._config(profile_id)
        controlled = config is not None and config.control != ""
        found = profile.book.view(list(profile.tallies.values()), variants, controlled=controlled)
        profile.shown = profile.revision, dict(variants), found
        return found

    def restart_evidence(self, profile_id: str) -> None:
        """Let nothing be evidence that was seen up to now, as when a new step begins; the comparison stays."""
        profile = self._profiles.get(profile_id)
        if profile is not None:
            profile.book.restart(profile.tallies.values())
            profile.revision += 1

    def tallies(self, profile_id: str) -> list[Tally]:
        """Return what is known of each instance of a profile; to be read at once and not changed."""
        profile = self._profiles.get(profile_id)
        return list(profile.tallies.values()) if profile else []

    def revision(self, profile_id: str) -> int:
        """Return a number that is another one once more was taken in; 0 when nothing is known of a profile."""
        profile = self._profiles.get(profile_id)
        return profile.revision if profile else 0

    def awaits(self, profile_id: str) -> bool:
        """Tell whether an engine that has seen something of a profile is not attached, and has no successor that is."""
        attached = {attachment.engine for attachment in self._attached} - {""}
        profile = self._profiles.get(profile_id)
        seen = set(profile.applied) if profile else set()
        return not attached or bool(seen - attached - self._succeeded.keys())

    def linger(self, profile_id: str) -> None:
        """Keep the engines judging by a profile's rules after it has gone from `configure`, until it is forgotten.

        Of one that was never configured, the rules are those of the dump that was loaded.
        """
        self._lingering.add(profile_id)
        known = self._profiles.get(profile_id)
        if self._config(profile_id) is None and known is not None and known.config is not None:
            self.configure([*self._configs, known.config])

    async def first_pair(self, profile_id: str) -> None:
        """Return once something of this profile was compared."""
        await self._known(profile_id).first.wait()

    def dump(self, profile_id: str) -> bytes:
        """Return everything known of a profile, for the disk."""
        profile = self._profiles.get(profile_id) or self._made()
        reached = {engine: self._reached[engine] for engine in profile.applied if engine in self._reached}
        progress = Progress(profile.applied, reached)
        config = self._config(profile_id) or profile.config
        return pack_dump(
            progress,
            profile.tallies.values(),
            evidence=profile.book.pack(),
            config={} if config is None else config.pack(),
        )

    def load(self, profile_id: str, data: bytes) -> None:
        """Take up what `dump` returned; added to what is there. Raises: ValueError when it is something else."""
        progress, tallies, evidence, packed = read_dump(data)
        profile = self._known(profile_id)
        if packed:
            try:
                profile.config = unpack_profile(packed)
            except (KeyError, TypeError, ValueError, AttributeError, ShadowmeshError) as error:
                log.warning("the rules of a profile cannot be read", profile=profile_id, error=repr(error))
        for engine, number in progress.applied.items():
            profile.applied[engine] = max(number, profile.applied.get(engine, 0))
        for engine, closing in progress.reached.items():
            self._reach(engine, closing)
        for tally in tallies:
            self._add(profile, tally)
        if evidence:
            try:
                profile.book.load(evidence, profile.tallies.values())
            except (KeyError, TypeError, IndexError, AttributeError) as error:
                raise ValueError(f"not evidence: {type(error).__name__} at {error}") from error

    def mark(self) -> Mark:
        """Return how far it got with each engine; to be taken before the dumps that are written."""
        self.hurry.clear()
        marked = []
        for attachment in list(self._attached):
            predecessor = attachment.predecessor
            if predecessor:
                self._end(predecessor)
            marked.append(_Marked(attachment, attachment.taken, predecessor, self._reached.get(predecessor, 0)))
        return tuple(marked)

    def kept(self, mark: Mark) -> None:
        """Acknowledge what was taken in up to `mark`: it has been written."""
        for each in mark:
            each.attachment.acknowledge(each.taken)
            if each.predecessor:
                each.attachment.succeed(each.predecessor, each.closing)

    def forget(self, profile_id: str) -> None:
        """Drop everything known of a profile, and what may still come of it."""
        self._profiles.pop(profile_id, None)
        if profile_id in self._lingering:
            self._lingering.discard(profile_id)
            self.configure([config for config in self._configs if config.profile_id != profile_id])
        self._forgotten[profile_id] = None
        while len(self._forgotten) > FORGOTTEN:
            self._forgotten.popitem(last=False)

    def engines(self) -> list[EngineStatus]:
        """Return the engines that are or were attached, by node."""
        return sorted(self._seen.values(), key=lambda status: (status.node, status.engine))

    def close(self) -> None:
        """End the engines' streams, so that the server can stop at once."""
        for attachment in list(self._attached):
            attachment.close()

    async def _attach(self, _requests: Any, context: Any) -> None:
        attachment = Attachment(
            context,
            clock=self._clock,
            take=self._take_all,
            configs=lambda: self._configs,
            last_good=lambda: self._last_good,
            changed=self._changed,
            hurry=self.hurry.set,
        )
        self._attached.add(attachment)
        try:
            await attachment.run()
        finally:
            self._attached.discard(attachment)

    def _changed(self, status: EngineStatus) -> None:
        self._seen[status.engine] = status
        self._seen.move_to_end(status.engine)
        while len(self._seen) > UNKNOWN:
            self._seen.popitem(last=False)

    def _end(self, engine: str) -> None:
        """Take nothing more of an engine that has a successor: what was still on its way would be counted twice."""
        _remember(self._succeeded, engine, 1)
        for attachment in self._attached:
            if attachment.engine == engine:
                attachment.close()

    def _reach(self, engine: str, closing: int) -> None:
        _remember(self._reached, engine, max(closing, self._reached.get(engine, 0)))

    def _take_all(self, engine: str, windows: Windows, closing: int | None) -> bool:
        if engine in self._succeeded:
            return False
        for number, before, packed in windows:
            self._take(engine, number, before, packed)
        if closing is not None:
            self._reach(engine, closing)
        return True

    def _take(self, engine: str, number: int, before: int, packed: Mapping[str, Any]) -> None:
        """Merge a window. `before` is the number of the engine's window of the same profile before this one."""
        try:
            tally = Tally.unpack(packed)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            log.warning("an engine sent a window that cannot be read", engine=engine, error=repr(error))
            return
        profile = self._of(tally.profile)
        if profile is None:
            return
        applied = profile.applied.get(engine, 0)
        if number <= applied:
            return
        if before > applied:
            tally.lost[Lost.ENGINE_WINDOWS_DROPPED] += 1
        profile.applied[engine] = number
        self._add(profile, tally, is_window=True)

    def _of(self, name: str) -> _Profile | None:
        known = self._profiles.get(name)
        if known is None and name not in self._forgotten:
            configured = self._config(name) is not None
            if configured or len(self._profiles) < len(self._configs) + UNKNOWN:
                known = self._profiles[name] = self._made()
        return known

    def _known(self, name: str) -> _Profile:
        known = self._profiles.get(name)
        if known is None:
            known = self._profiles[name] = self._made()
        return known

    def _made(self) -> _Profile:
        return _Profile(EvidenceBook(self._generator))

    def _config(self, name: str) -> ProfileConfig | None:
        return next((config for config in self._configs if config.profile_id == name), None)

    def _add(self, profile: _Profile, tally: Tally, *, is_window: bool = False) -> None:
        """Add a window, or what was known before a restart."""
        config = self._config(tally.profile)
        if profile.folding is None:
            patterns = () if config is None else config.analysis.endpoints
            profile.folding = Folding(self._settings.max_endpoints, self._settings.max_differences, patterns)
        book = profile.book
        tally = profile.folding.fold(tally, profile.tallies.values(), follow=book.moved)
        if is_window:
            judging = DEFAULT_JUDGING if config is None else config.analysis.judging
            warm = 0.0 if config is None else config.warm.get(tally.instance, 0.0)
            book.take(
                tally,
                length=judging.block,
                quantiles=QUANTILES if config is None else config.quantiles,
                warming=warm > 0 and self._clock.now().timestamp() < warm,
                weights={} if config is None else config.weights,
            )
        profile.revision += 1
        mine = profile.tallies.get(tally.instance)
        if mine is None:
            mine = profile.tallies[tally.instance] = tally
        else:
            mine.merge(tally)
        if is_window:
            names = {name: list(endpoint.fields) for name, endpoint in tally.endpoints.items()}
            book.number(names, mine, profile.tallies.values())
        if any(each.fields for each in tally.endpoints.values()):
            profile.ration.apply(profile.tallies.values())
        if any(endpoint.pairs for endpoint in tally.endpoints.values()):
            profile.first.set()


def _remember(known: OrderedDict[str, int], engine: str, value: int) -> None:
    known[engine] = value
    known.move_to_end(engine)
    while len(known) > ENGINES:
        known.popitem(last=False)
