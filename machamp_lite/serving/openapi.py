"""The OpenAPI description of the server, https://spec.openapis.org/oas/v3.1.0."""

from typing import Any

import machamp_lite
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.requests import ConlluQuery, PredictBody

_JSON, _TEXT = "application/json", "text/plain"
_ERRORS = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another site, which --cors does not allow.",
    404: "There is no such path, or no model with this name.",
    408: "The request did not arrive in time.",
    413: "The request has too many bytes, sentences or words.",
    422: "The request cannot be predicted: a key, dataset, task or input is wrong.",
    500: "A bug in machamp_lite.",
    503: "Too many sentences are waiting, or there is not enough memory; Retry-After says when to try again.",
    504: "The prediction was not done in time.",
}
_OF_PREDICTION = (400, 401, 403, 404, 408, 413, 422, 500, 503, 504)


def document(limits: Limits) -> dict[str, Any]:
    """The description of all paths, with the limits of this server."""
    parameters = [
        {"name": name, "in": "query", "required": False, "description": schema.pop("description", ""), "schema": schema}
        for name, schema in ConlluQuery.model_json_schema()["properties"].items()
    ]
    limited = (
        f"At most {limits.max_bytes} bytes, {limits.max_sentences} sentences and {limits.max_words} words per request."
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "machamp_lite", "version": machamp_lite.__version__, "description": limited},
        "paths": {
            "/predict": {
                "post": {
                    "summary": "Predict texts or words.",
                    "description": f"The answer has one prediction per input, in order. {limited}",
                    "requestBody": {"required": True, **_content(_JSON, {"$ref": "#/components/schemas/PredictBody"})},
                    "responses": _responses(_JSON, {"$ref": "#/components/schemas/Predictions"}, *_OF_PREDICTION),
                }
            },
            "/predict/conllu": {
                "post": {
                    "summary": "Predict a file like CoNLL-U.",
                    "description": f"The answer is the file with its labels, as predict writes it. {limited}",
                    "parameters": parameters,
                    "requestBody": {"required": True, **_content(_TEXT, {"type": "string"})},
                    "responses": _responses(_TEXT, {"type": "string"}, *_OF_PREDICTION),
                }
            },
            "/models": _get("The models, their datasets and tasks.", _JSON, 401, 403),
            "/metrics": _get("Counts and times, for Prometheus.", _TEXT, 401, 403),
            "/health": _get("Whether requests are accepted.", _JSON, 503),
            "/health/ready": _get("The same as /health.", _JSON, 503),
            "/health/live": _get("Whether the process answers.", _JSON),
            "/openapi.json": _get("This description.", _JSON),
            "/docs": _get("This description as a page.", "text/html"),
            "/": _get("A page to try the models.", "text/html"),
        },
        "components": {
            "schemas": {
                "PredictBody": PredictBody.model_json_schema(),
                "Predictions": {
                    "type": "object",
                    "required": ["model", "predictions"],
                    "properties": {
                        "model": {"type": "string"},
                        "predictions": {"type": "array", "items": {"type": "object"}},
                    },
                },
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {
                        "error": {"type": "string", "description": "What is wrong, and what to do."},
                        "more": {"type": "array", "items": {"type": "string"}, "description": "Further errors."},
                    },
                },
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _content(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema}}}


def _responses(media_type: str, schema: dict[str, Any], *errors: int) -> dict[str, Any]:
    error = _content(_JSON, {"$ref": "#/components/schemas/Error"})
    return {
        "200": {"description": "Done.", **_content(media_type, schema)},
        **{str(status): {"description": _ERRORS[status], **error} for status in errors},
    }


def _get(summary: str, media_type: str, *errors: int) -> dict[str, Any]:
    schema = {"type": "object"} if media_type == _JSON else {"type": "string"}
    return {"get": {"summary": summary, "responses": _responses(media_type, schema, *errors)}}
