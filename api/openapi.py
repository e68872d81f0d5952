"""What the OpenAPI document says of the bodies that `api.body` reads (FastAPI does not see them), and of problems."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.schemas.base import Document
from api.schemas.fault import InjectFaultBody
from api.schemas.network import NetworkBody
from api.schemas.node import SelectNodeBody
from api.schemas.profile import ProfileBody, ProfileChangeBody
from api.schemas.rollout import RolloutBody

BODIES: tuple[type[Document], ...] = (
    NetworkBody,
    ProfileBody,
    ProfileChangeBody,
    RolloutBody,
    InjectFaultBody,
    SelectNodeBody,
)
_REF = "#/components/schemas/{model}"
_PROBLEM = {
    "title": "Problem",
    "description": "Problem document (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:shadowmesh:problems:invalid"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string", "description": "What would be right."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("field", "detail", "hint")},
            },
        },
        "applied": {
            "type": "boolean",
            "description": "True: the change is in effect, and not on record yet (`not-recorded`). Absent otherwise.",
        },
        "log": {"type": "array", "items": {"type": "string"}, "description": "Last lines of a shadow that failed."},
    },
    "examples": [
        {
            "type": "urn:shadowmesh:problems:invalid",
            "title": "Unprocessable Entity",
            "status": 422,
            "detail": "trafficShadowingPercentage: 50 is out of range (a number from 0.0 to 1.0; for 50 % give 0.5)",
            "errors": [
                {
                    "field": "trafficShadowingPercentage",
                    "detail": "50 is out of range",
                    "hint": "a number from 0.0 to 1.0; for 50 % give 0.5",
                }
            ],
        }
    ],
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "What is wrong, and what would be right",
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
    },
    "503": {
        "description": "Not now. `store`: the disk takes nothing, and the change was refused. `not-recorded`, with "
        "`applied`: the change only takes away and is in effect, but not on record; it is tried until it is, and "
        "forgotten if the manager ends before. The same request again is harmless.",
        "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
    },
}


def body(model: type[Document], **examples: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `openapi_extra` of an operation that reads `model`."""
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(model=model.__name__)}}
    content["examples"] = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def install(app: FastAPI) -> None:
    """Make `app` describe the bodies and problems too; the document is made once, when first asked for."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                separate_input_output_schemas=False,
            )
            _, schemas = models_json_schema([(model, "validation") for model in BODIES], ref_template=_REF)
            known = made.setdefault("components", {}).setdefault("schemas", {})
            known |= schemas["$defs"] | {"Problem": _PROBLEM}
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
