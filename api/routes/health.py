"""What probes, Prometheus and Envoys ask for."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from api.problems import problem

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_class=JSONResponse)
async def readyz(request: Request) -> Response:
    """The manager has its state and serves Envoys; 503 while it starts or stops."""
    why: str = request.app.state.unready()
    return problem(503, "unavailable", why) if why else JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response)
async def metrics() -> Response:
    """Metrics for Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
