"""What a record or a judged pair adds to counts: of its leg, its arm, and the evidence.

Speed is the reason for the style here: each of these is called for each record or pair.
"""

from collections.abc import Mapping

from xds_server.analysis.kinds import Ending, Kind, Reason
from xds_server.analysis.record import ASKED_FIRST, Record
from xds_server.analysis.windows.arms import OF_ORIGINAL, ArmTally
from xds_server.analysis.windows.evidence import Evidence
from xds_server.analysis.windows.tally import Field, LegTally

SERVER_ERROR = 500

COUNTED_MISSING = frozenset({Reason.TIMEOUT, Reason.FAILED})
"""Why pairs are not judged that count among the missing ones: how they came out may have to do with it."""
_RECOGNISED = str(Kind.SAME_KIND)
_STATUSES = {status: str(status) for status in range(600)}


def count_arm(arm: ArmTally, record: Record, name: str) -> None:
    """Count a request in the arm of that name.

    A client that went away before an answer had begun gave up waiting: an error, for a version that hangs has no other.
    One that went in the middle of an answer says nothing.
    """
    gone = record.ending is Ending.CLIENT_GONE
    if gone and record.status:
        return
    before = arm.errors
    arm.count += 1
    if record.instead and name not in OF_ORIGINAL:
        if record.instead == ASKED_FIRST:
            arm.errors += 1
        else:
            arm.missing += 1
    elif gone:
        arm.errors += 1
    elif record.ending is Ending.OWN:
        if has_failed(record):
            arm.errors += 1
        took = record.response_time
        if took:  # neither None, nor an answer before the end of the request
            arm.times.add(took)
    if record.user is not None:
        arm.met(record.user, record.started, failed=arm.errors > before)


def count_missing(evidence: Evidence, original: Record) -> None:
    """Count an original without a judged pair."""
    evidence.missing += 1
    evidence.missing_errors += has_failed(original)


def not_judged(evidence: Evidence, reason: Reason, original: Record) -> None:
    """Take a pair after the warm-up that is not judged for what it is worth."""
    evidence.not_judged[reason] = evidence.not_judged.get(reason, 0) + 1
    if reason in COUNTED_MISSING:
        count_missing(evidence, original)
    elif reason is Reason.INJECTED:
        evidence.faulted.aborted += 1


def prove(
    evidence: Evidence, original: Record, shadow: Record, *, failed: tuple[bool, bool], fields: Mapping[Field, str]
) -> None:
    """Take a judged pair after the warm-up for evidence."""
    differs = bool(fields) and any(kind != _RECOGNISED for _, kind in fields)
    took = shadow.response_time
    if shadow.delayed:
        faulted = evidence.faulted
        faulted.pairs += 1
        faulted.differing += differs
        faulted.errors += failed[1] and not failed[0]
        if took is not None:
            faulted.times.add(took)
        return
    evidence.pairs += 1
    if differs and not (failed[0] or failed[1]):  # errors are counted once, as such
        evidence.differing += 1
    if failed[0] is not failed[1]:
        if failed[1]:
            evidence.error_up += 1
        else:
            evidence.error_down += 1
    elif failed[0]:
        evidence.error_both += 1
    its = original.response_time
    if its and took is not None:  # neither None, nor an answer before the end of the request
        evidence.times.add(its, took)


def has_failed(record: Record) -> bool:
    """Tell whether the service failed."""
    number = record.status
    if number >= SERVER_ERROR or number == 0 or record.cut_off:
        return True
    return record.grpc_status != "" and record.grpc_status != "0"  # noqa: PLR1714 - a set costs


def count_leg(leg: LegTally, record: Record, failed: bool, timed: bool) -> None:  # noqa: FBT001 - a keyword costs
    """Count one leg of a judged pair; `timed`: its times count."""
    leg.count += 1
    number = record.status
    status = _STATUSES.get(number) or str(number)
    statuses = leg.statuses
    if status in statuses:
        statuses[status] += 1
    else:
        statuses[status] = 1
    if failed:
        leg.errors += 1
    if timed:
        took = record.response_time
        if took is not None:
            leg.response.add(took)
        took = record.last_byte_time
        if took is not None:
            leg.last_byte.add(took)
