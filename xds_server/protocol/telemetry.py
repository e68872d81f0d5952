"""Metrics of the xDS server. Labels are bounded: known types by their last word, everything else is `other`."""

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

from xds_server.cache.resource import PUSH_ORDER
from xds_server.metrics import REGISTRY

STREAMS = Gauge("shadowmesh_xds_streams", "Open discovery streams.", ["mode"], registry=REGISTRY)
REFUSED = Counter(
    "shadowmesh_xds_streams_refused", "Streams refused: limit or draining.", ["reason"], registry=REGISTRY
)
RESPONSES = Counter("shadowmesh_xds_responses", "Discovery responses sent.", ["type", "kind"], registry=REGISTRY)
ANSWERS = Counter("shadowmesh_xds_answers", "ACKs and NACKs received.", ["type", "answer"], registry=REGISTRY)
PUSH_SECONDS = Histogram(
    "shadowmesh_xds_push_seconds",
    "From a change put in force to its ACK.",
    ["type"],
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

_SHORT = {type_url: type_url.rpartition(".")[2] for type_url in PUSH_ORDER}


@lru_cache(maxsize=256)
def responses(type_url: str, kind: str) -> Counter:
    """Return the counter of the responses of a type, `kind` being `update` or `heartbeat`."""
    return RESPONSES.labels(label(type_url), kind)


@lru_cache(maxsize=256)
def answers(type_url: str, answer: str) -> Counter:
    """Return the counter of the answers for a type, `answer` being `ack` or `nack`."""
    return ANSWERS.labels(label(type_url), answer)


@lru_cache(maxsize=256)
def push_seconds(type_url: str) -> Histogram:
    """Return the histogram of a type."""
    return PUSH_SECONDS.labels(label(type_url))


def label(type_url: str) -> str:
    """Return the label of a type: its last word, or `other`."""
    return _SHORT.get(type_url, "other")
