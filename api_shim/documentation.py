"""Validation of requests and the OpenAPI document, from the same models (spectree)."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any, get_type_hints

from flask import request
from pydantic import BaseModel, ValidationError
from spectree import Response, SpecTree
from spectree.plugins.flask_plugin import FlaskPlugin

from api_shim.models import REPLAYED_HEADER, Error, explain
from face_import import __version__
from face_import.errors import InvalidRequest
from face_import.settings import Settings


class Validation(FlaskPlugin):
    """Hands validated models to the endpoints as `query`, `body` and `form`.

    Spectree's own `validate` would load a whole streamed response into memory, and cannot describe errors of a
    form with a file.
    """

    def validate(
        self,
        func: Callable[..., Any],
        query: type[BaseModel] | None,
        json: type[BaseModel] | None,
        form: type[BaseModel] | None,
        *_more: Any,
        **arguments: Any,
    ) -> Any:
        """Call an endpoint with the validated request, or reject it naming each invalid field.

        Raises:
            InvalidRequest: the query, the body or the form does not match its model.
        """
        sent: dict[str, tuple[type[BaseModel] | None, Callable[[], Any]]] = {
            "query": (query, request.args.to_dict),
            "body": (json, _json),
            "form": (form, lambda: _form(self)),
        }
        try:
            valid = {name: model.model_validate(read()) for name, (model, read) in sent.items() if model}
        except ValidationError as error:
            raise InvalidRequest(explain(error.errors(include_url=False, include_context=False))) from None
        names = _parameters(func)
        return func(**arguments, **{name: value for name, value in valid.items() if name in names})


@cache
def _parameters(func: Callable[..., Any]) -> frozenset[str]:
    """Names of an endpoint's parameters; its annotations are strings, evaluated once."""
    return frozenset(get_type_hints(func))


def _json() -> Any:
    try:
        body = request.get_json(silent=True)
    except RecursionError:
        body = None
    if body is None:
        raise InvalidRequest("body: not valid JSON; send it as application/json")
    return body


def _form(plugin: FlaskPlugin) -> Any:
    if request.mimetype != "multipart/form-data":
        raise InvalidRequest("send the fields and the file as multipart/form-data")
    return plugin.fill_form(request)


documentation = SpecTree(
    backend=Validation,
    mode="strict",
    title="Face import",
    version=__version__,
    validation_error_status=400,
    validation_error_model=Error,
)


def document(settings: Settings) -> dict[str, Any]:
    """The OpenAPI document, completed with what the models do not know: configured limits, and links by id."""
    written: dict[str, Any] = deepcopy(documentation.spec)
    schemas = written["components"]["schemas"]
    (form,) = (schema for name, schema in schemas.items() if name.startswith("CreateForm"))
    form["properties"]["group_name"]["pattern"] = settings.group_name_pattern
    for name, schema in schemas.items():
        if name.startswith(("CreateForm", "ConcurrencyBody")):
            number = schema["properties"]["thread_num"]
            number.get("anyOf", [number])[0]["maximum"] = settings.max_threads
    operations = [
        operation for path, methods in written["paths"].items() if "{task_id}" in path for operation in methods.values()
    ]
    created = written["paths"]["/v1/tasks/create"]["post"]["responses"]["200"]
    created["headers"] = {
        REPLAYED_HEADER: {
            "description": "present if an earlier request with this Idempotency-Key created the task",
            "schema": {"type": "string", "enum": ["true"]},
        }
    }
    created["links"] = {
        operation["operationId"].replace("{task_id}_", ""): {
            "operationId": operation["operationId"],
            "parameters": {"task_id": "$response.body#/id"},
        }
        for operation in operations
    }
    if settings.api_keys_file is not None:
        _describe_keys(written)
    return written


def _describe_keys(written: dict[str, Any]) -> None:
    written["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    written["security"] = [{"key": []}]
    refusals = {"401": "Missing or invalid key", "403": "Key has no access", "429": "Too many requests"}
    for methods in written["paths"].values():
        for operation in methods.values():
            body = operation["responses"]["400"]["content"]
            operation["responses"] |= {status: {"description": d, "content": body} for status, d in refusals.items()}


def answers(model: Any = None, *errors: int) -> Response:
    """An endpoint's documented responses: `model` for 200, and our error body for each of `errors`."""
    codes = {f"HTTP_{status}": Error for status in errors}
    return Response(HTTP_200=model, **codes)
