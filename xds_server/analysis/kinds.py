"""The words of the comparison: how a record ended, how two answers differ, why a pair is not judged, what was lost.

Guarantees: the values are stable; they are the keys of `byClass`, `notJudged` and `lost` in REST.
"""

from enum import StrEnum

OTHER = "other"
"""Stands for the endpoints and fields beyond the bounds."""


class Ending(StrEnum):
    """Whose doing the end of a record is; only OWN is evidence about the version that answered."""

    OWN = "own"
    """The service answered, failed or hung."""
    INJECTED = "injected"
    """A fault of ours answered instead."""
    GUARD = "guard"
    """A guard of ours did: the cap on the size of copies, or configuration that was being taken away."""
    CANCELLED = "cancelled"
    """The copy was reset together with its original."""
    CLIENT_GONE = "client_gone"
    """The client went away before the answer was complete."""


class Kind(StrEnum):
    """Classes of difference. Of a kind and a field, a pair counts once."""

    STATUS = "status"
    """A status of another class (2xx, 4xx): nothing more is compared."""
    STATUS_CODE = "status_code"
    """Another status of the same class, 200 and 201; headers and bodies are compared too."""
    GRPC_STATUS = "grpc_status"
    HEADER = "header"
    REDIRECT = "redirect"
    """A `location` that leads elsewhere; each version's own authority does not count."""
    COOKIE = "cookie"
    """A cookie is set, or an attribute of it, that the other does not set so."""
    VALUE = "value"
    SAME_KIND = "same_kind"
    """Other values of the same recognised kind: two timestamps, two UUIDs."""
    TYPE = "type"
    MISSING = "missing"
    """In the original's answer and not in the shadow's."""
    EXTRA = "extra"
    """In the shadow's answer and not in the original's."""
    ARRAY_LENGTH = "array_length"
    ARRAY_ORDER = "array_order"
    TEXT = "text"
    BYTES = "bytes"
    BEYOND_HEAD = "beyond_head"
    """The heads agree; size or checksum of the whole do not."""
    INVALID = "invalid"
    """One body is valid in its format and the other is not: no JSON, NaN, no UTF-8."""
    DUPLICATE_KEYS = "duplicate_keys"
    """An object has a key several times, and not alike in both; clients disagree on what that means."""
    TOO_LARGE = "too_large"
    """Decoded, one body goes beyond what is looked at (a gzip bomb), and the other does not."""
    INCOMPLETE = "incomplete"
    """The shadow broke off in the middle of an answer that the original completed."""
    TOO_COMPLEX = "too_complex"
    """They differ; what else differs was not looked for, to bound the time."""


class Reason(StrEnum):
    """Why a pair that arrived is not judged."""

    INJECTED = "injected"
    GUARD = "guard"
    CANCELLED = "cancelled"
    CLIENT_GONE = "client_gone"
    CREDENTIALS_DROPPED = "credentials_dropped"
    """The copy had its credentials removed and was turned away: `keepCredentials` would let it in."""
    CONDITIONAL = "conditional"
    """304 or 206 against 200: the versions' validators or ranges differ, not what they say."""
    ORIGINAL_INCOMPLETE = "original_incomplete"
    """The original's own answer broke off."""
    STREAMING = "streaming"
    """A gRPC call with several messages in its request, or whose answer began before its request had ended."""
    TIMEOUT = "timeout"
    """The copy was cut at its timeout, and the original had taken as long: `shadowTimeout` is too short for it."""
    FAILED = "failed"
    """Our own comparison failed on it; the log says how."""
    NOT_CAPTURED = "not_captured"
    """The statuses agree and at least one body was not captured."""


class Lost(StrEnum):
    """Kinds of loss. `UNPAIRED_*` are what pairing saw; the others tell where it came from, so they overlap."""

    UNPAIRED_ORIGINAL = "unpaired_original"
    """Originals whose copy's record did not come in time, one for each copy that was due."""
    UNPAIRED_SHADOW = "unpaired_shadow"
    """Copies whose original's record did not come in time."""
    LATE = "late"
    """Copies whose record came after their pair had been given up (and its original counted as unpaired or dropped)."""
    LATE_ORIGINAL = "late_original"
    """Originals whose record did; their copies are counted as unpaired or dropped, so these are about no copy."""
    DUPLICATE = "duplicate"
    """Records of a leg that was there already."""
    DROPPED_WAITING = "dropped_waiting"
    """Records dropped because too many, or too many bytes, were waiting."""
    ENGINE_STOPPED = "engine_stopped"
    """Records that still waited when the engine was stopped."""
    ALS_GAP = "als_gap"
    """Copies that Envoy's counters know of and whose record never came."""
    OVERFLOW = "overflow"
    """Copies that Envoy never sent because the way into the shadow's leg was full."""
    ENGINE_WINDOWS_DROPPED = "engine_windows_dropped"
    """Windows of summaries that were made and did not reach the manager."""
