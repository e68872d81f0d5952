"""What probes, Prometheus and Envoys ask for."""

from collections.abc import Callable

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from api.problems import HttpProblem, problem
from xds_server.metrics import CONTENT_TYPE, render

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_class=JSONResponse)
async def readyz(request: Request) -> Response:
    """The manager has its state and serves Envoys; 503 while it starts or stops.

    With `problem` when it serves and nothing can be recorded (a full disk): no reason to take it from its Envoys.
    """
    why: str = request.app.state.unready()
    trouble: str = request.app.state.trouble()
    if why:
        return problem(503, "unavailable", why)
    return JSONResponse({"status": "ready", "problem": trouble} if trouble else {"status": "ready"})


@router.get("/metrics", response_class=Response)
async def metrics() -> Response:
    """Metrics for Prometheus."""
    return Response(render(), media_type=CONTENT_TYPE)


@router.post("/v3/discovery:{kind}", include_in_schema=False)
async def discover(kind: str, request: Request) -> Response:
    """Answer an Envoy that asks for its resources over REST."""
    fetch: Callable[[str, bytes], tuple[int, bytes]] | None = request.app.state.fetch
    if fetch is None:
        raise HttpProblem(404, "resources are not offered over REST here", hint="gRPC, on the xDS port")
    status, answer = fetch(f"/v3/discovery:{kind}", await request.body())
    if status >= 400:  # noqa: PLR2004 - HTTP
        raise HttpProblem(status, str(orjson.loads(answer)["detail"]))
    return Response(answer, status, media_type="application/json" if answer else None)
