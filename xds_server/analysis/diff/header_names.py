"""Names of answer headers that say nothing of what a version does.

Not guaranteed: that a header which a service fills with chance is known here; `analysis.ignore` of a profile adds to
them.
"""

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
PER_REQUEST = frozenset(
    {
        "age",
        "alt-svc",
        "cf-ray",
        # The body is compared itself, by its size too.
        "content-length",
        "content-md5",
        "date",
        "digest",
        "expires",
        "nel",
        "report-to",
        "request-id",
        "server",
        "server-timing",
        "traceparent",
        "traceresponse",
        "tracestate",
        "via",
        "x-correlation-id",
        "x-process-time",
        "x-request-id",
        "x-request-start",
        "x-response-time",
        "x-runtime",
        "x-trace-id",
    }
)
PREFIXES = ("x-envoy-", "x-b3-", "x-amz", "x-cloud-trace", "x-datadog-", "x-shadowmesh-", ":", "grpc-")
"""Names that start so are ignored; gRPC's status is compared apart."""
IGNORED = HOP_BY_HOP | PER_REQUEST

NAMES_UNORDERED = frozenset({"access-control-allow-headers", "access-control-expose-headers", "vary"})
"""Lists of header names: neither their order nor their case says anything."""
UNORDERED = NAMES_UNORDERED | {"access-control-allow-methods", "allow", "cache-control"}
"""Lists whose order says nothing. Programs that keep them as sets have another order in each process."""
