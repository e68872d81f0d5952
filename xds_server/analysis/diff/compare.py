"""A pair, judged or not, and if judged, how the two answers differ.

Guarantees: pure; never raises on what a service may answer; equal answers are told from their base64 alone.
Order of questions: whose ending it is (CORRECTIONS 6), credentials (8), conditional answers (25), status, gRPC status
(7), completeness, headers, body. Answers of another class of status are not compared further: an error page differs
from an item in everything, and that says nothing more. Within a class (200 and 201) they are.
"""

from dataclasses import dataclass, field

from xds_server.analysis.diff.bodies import body_differences
from xds_server.analysis.diff.decode import unbase64
from xds_server.analysis.diff.difference import Difference
from xds_server.analysis.diff.headers import header_differences
from xds_server.analysis.diff.rules import DEFAULT_RULES, Rules
from xds_server.analysis.kinds import Ending, Kind, Reason
from xds_server.analysis.record import Record

_REASONS = {
    Ending.INJECTED: Reason.INJECTED,
    Ending.GUARD: Reason.GUARD,
    Ending.CANCELLED: Reason.CANCELLED,
    Ending.CLIENT_GONE: Reason.CLIENT_GONE,
}
_TURNED_AWAY = frozenset({301, 302, 303, 307, 308, 401, 403})
_GRPC_TURNED_AWAY = frozenset({"7", "16"})
"""PERMISSION_DENIED and UNAUTHENTICATED."""
_CONDITIONAL = frozenset({206, 304})
_CONDITIONS = frozenset(
    {b"range", b"if-range", b"if-none-match", b"if-match", b"if-modified-since", b"if-unmodified-since"}
)
_TIMED_OUT = "response_timeout"
_LENGTH_END = 5


@dataclass(slots=True)
class Outcome:
    """What became of a pair. With a `reason` it is not judged; else it is identical when there are no differences."""

    reason: Reason | None = None
    differences: list[Difference] = field(default_factory=list)
    head_only: bool = False
    """Identical as far as could be seen, which was not to the end of the body."""


_IDENTICAL = Outcome()


def compare(original: Record, shadow: Record, rules: Rules = DEFAULT_RULES) -> Outcome:
    """Return what became of a pair. The outcome may be shared: do not change it."""
    rules.begin()
    outcome = _by_ending_and_status(original, shadow, rules)
    if outcome is None:
        outcome = _by_content(original, shadow, rules)
        if original.status != shadow.status:
            outcome = _with_status_code(outcome, original, shadow, rules)
    if outcome.differences and rules.everything:
        return _IDENTICAL
    return outcome


def _by_ending_and_status(original: Record, shadow: Record, rules: Rules) -> Outcome | None:
    reason = _no_evidence(original, shadow)
    if reason is not None:
        return Outcome(reason)
    if original.status != shadow.status:
        different = _different_status(original, shadow, rules)
        if different is not None:
            return different
    if original.grpc_status != shadow.grpc_status or original.grpc_message != shadow.grpc_message:
        return _different_grpc_status(original, shadow, rules)
    if original.by_envoy or shadow.by_envoy:
        return _answered_by_envoy(original, shadow, rules)
    return None


def _no_evidence(original: Record, shadow: Record) -> Reason | None:
    if original.ending is not Ending.OWN or shadow.ending is not Ending.OWN or original.cut_off:
        return _unjudged(original, shadow)
    if original.grpc_status and (original.early or _several_messages(shadow)):
        return Reason.STREAMING
    return Reason.TIMEOUT if shadow.details == _TIMED_OUT and _as_long(original, shadow) else None


def _by_content(original: Record, shadow: Record, rules: Rules) -> Outcome:
    if shadow.cut_off:
        sizes = f"{original.size} bytes", f"{shadow.size} bytes"
        return _differing(Difference("body", Kind.INCOMPLETE, *sizes), rules)
    if original.head is None or shadow.head is None:
        return Outcome(Reason.NOT_CAPTURED)
    same_headers = original.headers == shadow.headers
    same_body = _same_body(original, shadow)
    # Equal base64 of a whole body, or of a head with an equal checksum, need no look inside.
    if same_body and same_headers:
        return _IDENTICAL
    ours = unbase64(original.headers)
    headers = ours, ours if same_headers else unbase64(shadow.headers)
    found = [] if same_headers else header_differences(*headers, rules)
    head_only = False
    if not same_body:
        result = body_differences(original, shadow, headers, rules)
        found += result.differences
        head_only = result.head_only
    return Outcome(None, found, head_only) if found or head_only else _IDENTICAL


def _same_body(original: Record, shadow: Record) -> bool:
    if original.head != shadow.head or original.size != shadow.size or original.checksum != shadow.checksum:
        return False
    if original.checksum is not None:
        return True
    head = original.head or ""
    return original.size <= len(head) * 3 // 4 - head[-2:].count("=")


def _several_messages(copy: Record) -> bool:
    """Tell whether the request of a gRPC call goes on after its first message (a flag, 4 bytes of length, itself)."""
    prefix = unbase64((copy.request_head or "")[:8])
    return len(prefix) > _LENGTH_END and copy.request_size > _LENGTH_END + int.from_bytes(prefix[1:_LENGTH_END])


def _as_long(original: Record, shadow: Record) -> bool:
    """Tell whether the original answered, and took as long as the copy was given."""
    if original.by_envoy:
        return False
    took = original.last_byte_time or original.response_time or 0.0
    given = shadow.completed - shadow.started if shadow.cut_off else shadow.response_time
    return given is not None and took >= given


def _unjudged(original: Record, shadow: Record) -> Reason:
    reason = _REASONS.get(original.ending) or _REASONS.get(shadow.ending)
    return reason or Reason.ORIGINAL_INCOMPLETE


def _different_status(original: Record, shadow: Record, rules: Rules) -> Outcome | None:
    """Return the outcome of another status; None when the answers are to be compared all the same."""
    if shadow.status in _TURNED_AWAY and _without_credentials(original, shadow, rules):
        return Outcome(Reason.CREDENTIALS_DROPPED)
    statuses = {original.status, shadow.status}
    if 200 in statuses and statuses & _CONDITIONAL and _conditionally(shadow):  # noqa: PLR2004 - OK
        return Outcome(Reason.CONDITIONAL)
    if original.status // 100 == shadow.status // 100 and not (original.by_envoy or shadow.by_envoy):
        return None
    return _differing(Difference("status", Kind.STATUS, original.status, shadow.status), rules)


def _conditionally(copy: Record) -> bool:
    """Tell whether it was asked for a part, or for what is newer; without the request's headers, it may have been."""
    if copy.request_headers is None:
        return True
    lines = unbase64(copy.request_headers).lower().split(b"\n")
    return any(line.partition(b":")[0] in _CONDITIONS for line in lines)


def _with_status_code(outcome: Outcome, original: Record, shadow: Record, rules: Rules) -> Outcome:
    if outcome.reason not in (None, Reason.NOT_CAPTURED):
        return outcome
    status = _differing(Difference("status", Kind.STATUS_CODE, original.status, shadow.status), rules).differences
    if not status:
        return outcome
    return Outcome(None, [*status, *outcome.differences], outcome.head_only)


def _answered_by_envoy(original: Record, shadow: Record, rules: Rules) -> Outcome:
    """Statuses agree, and one at least is Envoy's word for a service that did not answer."""
    if original.by_envoy and shadow.by_envoy:
        return _IDENTICAL
    said = [f"{r.status} ({r.details})" if r.by_envoy else str(r.status) for r in (original, shadow)]
    return _differing(Difference("status", Kind.STATUS, *said), rules)


def _different_grpc_status(original: Record, shadow: Record, rules: Rules) -> Outcome:
    if original.grpc_status != shadow.grpc_status:
        if shadow.grpc_status in _GRPC_TURNED_AWAY and _without_credentials(original, shadow, rules):
            return Outcome(Reason.CREDENTIALS_DROPPED)
        values = original.grpc_status or "none", shadow.grpc_status or "none"
        return _differing(Difference("grpc-status", Kind.GRPC_STATUS, *values), rules)
    values = original.grpc_message, shadow.grpc_message
    judged = rules.leaf("grpc-message", Kind.GRPC_STATUS, *values)
    if judged is None:
        return _IDENTICAL
    return Outcome(None, [Difference("grpc-message", judged[0], *values, what=judged[1])])


def _without_credentials(original: Record, shadow: Record, rules: Rules) -> bool:
    return shadow.credentials_dropped or (original.carried_credentials and not rules.keep_credentials)


def _differing(difference: Difference, rules: Rules) -> Outcome:
    counts = rules.at(difference.field).counts(difference.original, difference.shadow)
    return Outcome(None, [difference]) if counts else _IDENTICAL
