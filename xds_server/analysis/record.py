"""One leg of a pair: what the analysis keeps of an access log entry.

A plain slotted class, not a frozen value: tens of thousands are made a second, and a frozen dataclass costs three
times as much to construct. Nobody changes one after it was made, but for the notes on an original.
"""

from collections.abc import Collection
from dataclasses import dataclass

from xds_server.analysis.kinds import Ending

OVERHEAD = 1200
"""Bytes that a waiting record is taken to need besides its body and headers."""


ASKED_FIRST = 1
"""A candidate was asked, and gave no answer."""
NOT_ASKED = 2
"""A candidate had failed before, and was left out."""


@dataclass(slots=True)
class Record:
    """A finished request, of the original (`shadow` is empty) or of a copy (`shadow` is the instance's id).

    Times are seconds. `head` and `headers` are base64 as captured; None when nothing was captured. `response_time` is
    from the last byte sent upstream to the first byte received (CORRECTIONS 5), or when none came, to the end: a hang
    counts with the time it was given. It is None when the request never reached an upstream, and 0 when the answer
    began before the request had ended.
    """

    pair: str
    shadow: str
    method: str
    path: str
    status: int
    ending: Ending
    started: float
    """Seconds since the epoch, Envoy's clock."""
    completed: float
    response_time: float | None
    last_byte_time: float | None
    head: str | None
    headers: str | None
    size: int
    """Bytes of the whole body as on the wire."""
    checksum: int | None
    cut_off: bool
    """The body ended without its end."""
    delayed: bool
    """An injected delay held the copy back."""
    credentials_dropped: bool
    carried_credentials: bool
    grpc_status: str
    """Empty when the answer carried none."""
    grpc_message: str
    details: str
    """Envoy's `response_code_details`."""
    request_headers: str | None = None
    """Base64, of a copy's leg only; None when the request was not captured."""
    request_head: str | None = None
    """Base64 of the head of the request's body; None when it had none."""
    request_size: int = 0
    """Bytes of the request's whole body."""
    instead: int = 0
    """Of a split: the original answered in the place of a candidate that was asked (ASKED_FIRST) or not (NOT_ASKED)."""
    user: int | None = None
    """Of a split: the number that stands for its user."""
    notes: dict[str, tuple[str, Collection[tuple[str, str]], float | None, bool, bool, bool]] | None = None
    """Of an original that a control answers too: what is known of its judged copies (`ingest.trios`)."""

    @property
    def by_envoy(self) -> bool:
        """True when the answer is Envoy's word for a service that gave none; its body says nothing of the service."""
        return self.details != "via_upstream" and not self.cut_off

    @property
    def early(self) -> bool:
        """True when the answer began before the request had ended."""
        return self.response_time == 0.0

    @property
    def weight(self) -> int:
        """Bytes it holds while it waits, about."""
        answer = len(self.head or "") + len(self.headers or "") + len(self.grpc_message)
        request = len(self.request_head or "") + len(self.request_headers or "") + len(self.path)
        return OVERHEAD + answer + request
