"""Kinds of values that are told by their looks: timestamps, UUIDs, trace ids, tokens, hashes.

When two values differ and are of the same kind, that is expected rather than told: another moment, another id.

Guarantees: precision before completeness. A date without a time, an amount, a count, a short number and a word are
never recognised; numbers only when both may be times since the epoch and lie within a day. Linear in the value, and
bounded: of texts longer than `LONGEST` nothing is recognised, except a JWT.
Timestamps that lie within a minute of each other are told apart as `clock`: they say when somebody answered.
A value that stands for none (year 1, a UUID of zeros) is of no kind beside a real one.
Not guaranteed: that a value which looks like a hash is one; `analysis.recognise` of a profile leaves kinds out.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

LONGEST = 4096
"""Characters of a text that is looked at."""
SHORTEST = 8
_DAY = 86_400
CLOCK = "clock"
"""A timestamp that is read off the clock: two of them lie within `SOON`. Part of the kind `timestamp`."""
SOON = 60
"""Seconds."""
_EPOCH = (1_000_000_000, 4_102_444_800)
"""2001 to 2100, in seconds. Earlier ones are as likely counts."""
_UNITS = (1, 1_000, 1_000_000, 1_000_000_000)
_HASHES = frozenset({32, 40, 48, 56, 64, 96, 128})
_TOKEN_MIN = 20
_SHORT_ID, _LONG_ID = 16, 32

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = r"[0-2]\d:[0-5]\d(?::[0-6]\d(?:[.,]\d{1,9})?)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d))?"
_TIMESTAMP = (
    rf"\d{{4}}-[01]\d-[0-3]\d[T ]{_TIME}{_ZONE}"
    rf"|\d{{8}}T\d{{6}}(?:\.\d{{1,9}})?Z?"
    rf"|(?:[A-Z][a-z]{{2,8}}, ?)[0-3]?\d[ -]{_MONTH}[ -]\d{{2,4}} {_TIME}{_ZONE}"
    rf"|[A-Z][a-z]{{2}} {_MONTH} [ 0-3]\d {_TIME} \d{{4}}"
    rf"|\d{{1,2}}/[A-Z][a-z]{{2}}/\d{{4}}:{_TIME}{_ZONE}"
)
_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_TRACE = r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|(?:Root=)?1-[0-9a-f]{8}-[0-9a-f]{24}(?:;[\w=;-]{0,100})?"
_JWT = r"eyJ[\w-]{8,}+\.[\w-]{2,}+\.[\w-]*+"
_WHOLE = re.compile(
    rf"(?P<timestamp>{_TIMESTAMP})|(?P<uuid>(?:urn:uuid:|\{{)?{_UUID}\}}?|[0-7][0-9A-HJKMNP-TV-Z]{{25}})"
    rf"|(?P<trace_id>{_TRACE})|(?:W/)?\"?(?P<hex>[0-9a-f]{{16,128}}+|[0-9A-F]{{16,128}}+)\"?"
    r"|(?:sha(?:256|384|512)|md5)[-=:](?P<digest>[A-Za-z0-9+/=]{20,128}+)"
    rf"|(?:[Bb]earer )?(?P<jwt>{_JWT})|(?P<opaque>[A-Za-z0-9_\-+/=.~]{{20,4096}}+)"
)
_INSIDE = re.compile(
    rf"(?<![\w-])(?:(?P<timestamp>{_TIMESTAMP})|(?P<uuid>{_UUID})|(?P<trace_id>{_TRACE})"
    rf"|(?P<jwt>{_JWT})|(?P<hex>[0-9a-f]{{16,128}}+)|(?P<opaque>[A-Za-z0-9_\-+]{{20,512}}+={{0,2}}))(?![\w-])"
)
_PLAIN = frozenset({"timestamp", "uuid", "trace_id"})
_DIGITS = re.compile(r'(?P<quote>"?)(?P<digits>[1-9][0-9]{9,18})(?P=quote)')
"""A time as text; in quotes as an entity tag has it, which some put into bodies too."""
_NIL = "00000000-0000-0000-0000-000000000000"
_NOTHING = ("0001-01-01", _NIL, f"{{{_NIL}", f"urn:uuid:{_NIL}")
_RUNS = re.compile("[A-Z]+|[a-z]+|[0-9]+")


def same_kind(original: Any, shadow: Any, enabled: Collection[str], name: str = "") -> str:
    """Return the kind that two different values are both of, or nothing.

    Args:
        original: a text or a number.
        shadow: another one.
        enabled: kinds that may be returned.
        name: the field; it tells a trace id from a hash.
    """
    if type(original) is not str or type(shadow) is not str:
        return _same_time(original, shadow, enabled)
    if len(original) < SHORTEST or len(shadow) < SHORTEST or len(original) > LONGEST or len(shadow) > LONGEST:
        return ""
    ours = _WHOLE.fullmatch(original)
    if ours is not None:
        theirs = _WHOLE.fullmatch(shadow)
        if theirs is not None and ours.lastgroup == theirs.lastgroup and ours.lastgroup in _PLAIN:
            soon = ours.lastgroup == "timestamp" and _soon(original, shadow)
            other = ours.lastgroup not in enabled or _nothing(original) != _nothing(shadow)
            return "" if other else CLOCK if soon else ours.lastgroup
        both = _kinds(ours, name), _kinds(theirs, name) if theirs is not None else ()
        if found := next((kind for kind in both[0] if kind in both[1] and kind in enabled), ""):
            return found
    digits = _DIGITS.fullmatch(original), _DIGITS.fullmatch(shadow)
    if digits[0] is not None and digits[1] is not None:
        return _same_time(int(digits[0]["digits"]), int(digits[1]["digits"]), enabled)
    return _inside(original, shadow, enabled, name)


def _nothing(text: str) -> bool:
    """Tell whether it stands for no time or no id at all: year 1 (of Go and .NET), a UUID of zeros."""
    return text.startswith(_NOTHING)


def _same_time(original: Any, shadow: Any, enabled: Collection[str]) -> str:
    low, high = _EPOCH
    if type(original) not in {int, float} or type(shadow) not in {int, float} or original < low or shadow < low:
        return ""
    if "timestamp" not in enabled:
        return ""
    for unit in _UNITS:
        if original <= high * unit:
            fits = original >= low * unit and low * unit <= shadow <= high * unit
            apart = abs(original - shadow)
            return (CLOCK if apart <= SOON * unit else "timestamp") if fits and apart <= _DAY * unit else ""
    return ""


def _soon(original: str, shadow: str) -> bool:
    """Tell whether two timestamps lie within `SOON`; what cannot be read is not near anything."""
    ours, theirs = _seconds(original), _seconds(shadow)
    return ours is not None and theirs is not None and abs(ours - theirs) <= SOON


def _seconds(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text.replace(",", ".")) if text[:1].isdigit() else parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _inside(original: str, shadow: str, enabled: Collection[str], name: str) -> str:
    """Return the kind of values inside two texts that are the same in all the rest; the first of several."""
    if not any(map(str.isdigit, original)):
        return ""
    seen: list[tuple[str, str]] = []

    def hidden(match: re.Match[str]) -> str:
        kind = next((kind for kind in _kinds(match, name) if kind in enabled), "")
        if not kind:
            return match[0]
        seen.append((kind, match[0]))
        return f"\0{kind}\0"

    left = _INSIDE.sub(hidden, original)
    ours = seen.copy()
    if not ours or left != _INSIDE.sub(hidden, shadow):
        return ""
    differing = [(kind, a, b) for (kind, a), (_, b) in zip(ours, seen[len(ours) :], strict=True) if a != b]
    if all(kind == "timestamp" and _soon(a, b) for kind, a, b in differing):
        return CLOCK
    return ours[0][0]


def _kinds(match: re.Match[str], name: str) -> tuple[str, ...]:
    """Return what a value may be, the likeliest first."""
    group = match.lastgroup or ""
    if group == "hex":
        return _hex(match[group], name)
    if group == "jwt":
        return ("token",)
    if group == "digest":
        return ("hash",)
    if group == "opaque":
        return ("token",) if _is_opaque(match[group]) else ()
    return (group,)


def _hex(text: str, name: str) -> tuple[str, ...]:
    digits = sum(map(str.isdigit, text))
    if digits in (0, len(text)):
        # A long number may be one of a card or an account.
        return ()
    if len(text) == _SHORT_ID:
        return ("trace_id", "hash")
    if len(text) == _LONG_ID and ("trace" in name.lower() or "span" in name.lower()):
        return ("trace_id", "hash")
    if len(text) in _HASHES:
        return ("hash", "trace_id") if len(text) == _LONG_ID else ("hash",)
    return ("token",) if len(text) >= _TOKEN_MIN else ()


def _is_opaque(text: str) -> bool:
    """Tell chance from words: it changes often between capitals, small letters and digits, and has all three."""
    if text.startswith(("/", ".")) or ("/" in text and len(text) % 4):
        return False
    runs = _RUNS.findall(text)
    long = sum(len(run) >= 6 for run in runs if not run.isdigit())  # noqa: PLR2004 - as long as a word
    kinds = {0 if run.isdigit() else 1 if run.isupper() else 2 for run in runs}
    return len(kinds) == 3 and len(runs) * 3 >= len(text) and long * 20 <= len(text)  # noqa: PLR2004 - see above
