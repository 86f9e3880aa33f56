"""The OpenAPI description of the server, https://spec.openapis.org/oas/v3.1.0."""

from typing import Any

from pydantic import TypeAdapter

import machamp_lite
from machamp_lite.api.prediction import Prediction
from machamp_lite.serving import metrics
from machamp_lite.serving.limits import Limits
from machamp_lite.serving.requests import ConlluQuery, PredictBody

_JSON, _TEXT, _HTML = "application/json", "text/plain", "text/html"
_SCHEMAS = "#/components/schemas/"
_STRING = {"type": "string"}
_ERRORS = {
    400: "The body is not JSON.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another site, which --cors does not allow.",
    404: "There is no model with this name.",
    408: "The request did not arrive in time.",
    413: "The request has too many bytes, sentences or words.",
    422: "The request cannot be predicted: a key, dataset, task or input is wrong.",
    500: "A bug in machamp_lite.",
    503: "Too many sentences are waiting, or there is not enough memory.",
    504: "The prediction was not done in time.",
}
_RETRY_AFTER = {"Retry-After": {"description": "When to try again, in seconds.", "schema": {"type": "integer"}}}
_HEADERS = {401: {"WWW-Authenticate": {"schema": {"const": "Bearer"}}}, 503: _RETRY_AFTER, 504: _RETRY_AFTER}
_OF_ACCESS = (401, 403, 500)
_OF_PREDICTION = (401, 403, 404, 408, 413, 422, 500, 503, 504)


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
        "info": {
            "title": "machamp_lite",
            "version": machamp_lite.__version__,
            "description": f"{limited} If there are too many connections, every path answers 503 in plain text.",
        },
        "paths": {
            "/predict": {
                "post": {
                    "summary": "Predict texts or words.",
                    "description": "The answer has one prediction per input, in order. With the header "
                    f"Accept: text/html it is a piece of HTML. {limited}",
                    "requestBody": {"required": True, "content": _content({_JSON: _schema("PredictBody")})},
                    "responses": _responses({_JSON: _schema("Predictions"), _HTML: _STRING}, 400, *_OF_PREDICTION),
                }
            },
            "/predict/conllu": {
                "post": {
                    "summary": "Predict a file like CoNLL-U.",
                    "description": f"The answer is the file with its labels, as predict writes it. {limited}",
                    "parameters": parameters,
                    "requestBody": {"required": True, "content": _content({_TEXT: {**_STRING, "minLength": 1}})},
                    "responses": _responses({_TEXT: _STRING}, *_OF_PREDICTION),
                }
            },
            "/models": _get("The models, their datasets and tasks.", {_JSON: _schema("Models")}, *_OF_ACCESS),
            "/metrics": _get("Counts and times, for Prometheus.", {metrics.MEDIA_TYPE: _STRING}, *_OF_ACCESS),
            "/health": _health("Whether requests are accepted."),
            "/health/ready": _health("The same as /health."),
            "/health/live": _get("Whether the process answers.", {_JSON: _schema("Live")}),
            "/openapi.json": _get("This description.", {_JSON: {"type": "object"}}),
            "/docs": _get("This description as a page.", {_HTML: _STRING}),
            "/": _get("A page to try the models.", {_HTML: _STRING}),
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _schemas() -> dict[str, Any]:
    boolean, number = {"type": "boolean"}, {"type": "integer", "minimum": 1}
    reads = _object(reads=_STRING, num_texts=number, tasks={"type": "object", "additionalProperties": _STRING})
    model = _object(name=_STRING, datasets={"type": "object", "additionalProperties": reads})
    prediction = TypeAdapter(Prediction).json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    parts, definitions = prediction["properties"], prediction["$defs"]
    return {
        "PredictBody": PredictBody.model_json_schema(),
        "Predictions": _object(model=_STRING, predictions={"type": "array", "items": _schema("Prediction")}),
        "Prediction": {
            "type": "object",
            "description": "What is predicted for one input; parts that would be empty are left out.",
            "required": ["labels"],
            "properties": {"text": _STRING} | {name: part for name, part in parts.items() if name != "columns"},
            "additionalProperties": False,
        },
        **{name: definition for name, definition in definitions.items() if name != "Columns"},
        "Models": _object(models={"type": "array", "items": model}),
        "Health": _object(live=boolean, ready=boolean),
        "Live": _object(live=boolean),
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {"type": "string", "description": "What is wrong, and what to do."},
                "more": {"type": "array", "items": _STRING, "description": "Further errors."},
            },
        },
    }


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"{_SCHEMAS}{name}"}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object with these keys."""
    return {"type": "object", "required": [*properties], "properties": properties, "additionalProperties": False}


def _content(schemas: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The content of a body by media type."""
    return {media_type: {"schema": schema} for media_type, schema in schemas.items()}


def _responses(schemas: dict[str, dict[str, Any]], *errors: int) -> dict[str, Any]:
    return {
        "200": {"description": "Done.", "content": _content(schemas)},
        **{
            str(status): {
                "description": _ERRORS[status],
                "headers": _HEADERS.get(status, {}),
                "content": _content({_JSON: _schema("Error")}),
            }
            for status in sorted(errors)
        },
    }


def _get(summary: str, schemas: dict[str, dict[str, Any]], *errors: int) -> dict[str, Any]:
    """A path that is read; one that cannot refuse a request needs no token."""
    is_public: dict[str, Any] = {} if errors else {"security": []}
    return {"get": {"summary": summary, "responses": _responses(schemas, *errors), **is_public}}


def _health(summary: str) -> dict[str, Any]:
    found = _get(summary, {_JSON: _schema("Health")})
    responses = found["get"]["responses"]
    responses["503"] = {**responses["200"], "description": "Too many sentences are waiting."}
    return found
