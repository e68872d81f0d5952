"""Whether the audit trail is a story: each instance from its creation to its end, each step where the one before led.

What changes no row (found alive, a TTL moved) may be lost by a kill; such an event leaves the status as it is, so the
story has no gap without it.
"""

from collections.abc import Sequence

from tests.envoy.stack import JSON

ENDED = frozenset({"Stopped", "Failed"})


def broken(events: Sequence[JSON], living: dict[str, str]) -> list[str]:
    """Return what is wrong with the events of a network, oldest first.

    Args:
        events: as REST answers them.
        living: the status of each instance that is on record.
    """
    stories: dict[str, list[JSON]] = {}
    for each in events:
        if each["kind"] == "instance":
            stories.setdefault(each["instanceID"], []).append(each)
    found = [f"instance {one} is not in the trail" for one in living.keys() - stories.keys()]
    for one, story in stories.items():
        at: str | None = None
        for each in story:
            if each.get("from") != at:
                found.append(f"{one}: {each['event']} from {each.get('from')} while it was {at}")
            if at in ENDED and each.get("to") != at:
                found.append(f"{one}: {each['event']} after its end")
            before, at = at, each.get("to")
            # A manager that finishes an end finds it as it is: the reason was told before.
            if at in ENDED and at != before and not each["why"]:
                found.append(f"{one}: {each['event']} without a reason")
        if one in living and living[one] != at:
            found.append(f"{one}: is {living[one]}, and the trail says {at}")
        if one not in living and at not in ENDED:
            found.append(f"{one}: is gone, and the trail says {at}")
    numbers = [each["eventID"] for each in events]
    found += [] if numbers == sorted(set(numbers)) else ["the numbers of the events do not grow"]
    return found
