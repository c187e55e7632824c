"""What endpoints declare: models that validate their requests and describe them in the OpenAPI document (spectree)."""

from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

from flask import request
from pydantic import BaseModel, ValidationError
from spectree import Response, SpecTree
from spectree.plugins.flask_plugin import FlaskPlugin
from spectree.response import ResponseModelConfig
from spectree.utils import get_model_key
from werkzeug.datastructures import CombinedMultiDict, MultiDict

from api_shim.fields import Strict
from api_shim.responses import Error
from face_import import __version__
from face_import.errors import InvalidRequest


class Nothing(Strict):
    """The query or the body of a call that takes none."""


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
        valid = {"query": _validated("query", query or Nothing, _query(query or Nothing))}
        if form:
            valid["form"] = _validated("form", form, _form(self))
        else:
            sent = _json() if json or request.get_data().strip() else {}
            valid["body"] = _validated("body", json or Nothing, sent)
        names = _parameters(func)
        return func(**arguments, **{name: value for name, value in valid.items() if name in names})


@cache
def _parameters(func: Callable[..., Any]) -> frozenset[str]:
    """Names of an endpoint's parameters; its annotations are strings, evaluated once."""
    return frozenset(get_type_hints(func))


def _validated(part: str, model: type[BaseModel], sent: Any) -> BaseModel:
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        raise InvalidRequest("; ".join(_explained(problem, part, model) for problem in problems)) from None


def _query(model: type[BaseModel]) -> Any:
    """The query's parameters; those that are empty are not sent."""
    query = _once(request.args)
    return {name: text for name, text in query.items() if text or name not in model.model_fields}


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
    _once(CombinedMultiDict([request.form, request.files]))
    return plugin.fill_form(request)


def _once(fields: MultiDict[str, Any]) -> dict[str, Any]:
    """The values of fields of which each is sent once."""
    for name, values in fields.lists():
        if len(values) > 1:
            raise InvalidRequest(f"{name}: sent {len(values)} times; send it once")
    return fields.to_dict()


documentation = SpecTree(
    backend=Validation,
    mode="strict",
    title="Face import",
    version=__version__,
    validation_error_status=400,
    validation_error_model=Error,
    naming_strategy=lambda model: model.__name__,
    nested_naming_strategy=lambda _parent, child: child,
)
ANYWHERE = (400, 401, 403, 429)
"""Errors that any request may be answered with."""
_ERRORS = {
    400: "The request is malformed; the text names the field",
    401: "The API key is missing or invalid",
    403: "The API key has no access to the group, or a browser sent this from another site",
    404: "There is no such task, or the API key has no access to its group",
    408: "The file did not arrive in time",
    409: "The task is in another state than this needs, or the Idempotency-Key was used for another content",
    413: "The file or the request is too large",
    429: "Too many requests with this API key; Retry-After says when the next one is accepted",
    503: "Airflow, the database or the storage is unavailable; nothing was changed",
}


class _Download(Response):
    """Documented responses of an endpoint that answers with a file."""

    def __init__(self, media_type: str, **models: ResponseModelConfig) -> None:
        super().__init__("HTTP_200", **models)
        is_text = media_type.startswith("text/")
        self._file = {media_type: {"schema": {"type": "string"} if is_text else {"type": "string", "format": "binary"}}}

    def generate_spec(self, naming_strategy: Callable[[Any], str] = get_model_key) -> dict[str, Any]:
        """The responses with the file's media type, for which spectree has no word."""
        spec = super().generate_spec(naming_strategy)
        spec["200"]["content"] = self._file
        return spec


def answers(model: Any, *errors: int) -> Response:
    """An endpoint's documented responses: `model` for 200, and our error body for each of `errors`.

    Args:
        model: of the body as JSON, or the media type of a file.
        errors: statuses beyond those that any request may be answered with.
    """
    codes: dict[str, Any] = {f"HTTP_{status}": (Error, _ERRORS[status]) for status in sorted({*ANYWHERE, *errors})}
    return _Download(model, **codes) if isinstance(model, str) else Response(HTTP_200=model, **codes)


def _explained(problem: Any, part: str, model: type[BaseModel]) -> str:
    """One of pydantic's errors, about a part of the request, with the field's name."""
    text, name = problem["msg"].removeprefix("Value error, "), ".".join(map(str, problem["loc"])) or "body"
    if problem["type"] == "model_type":
        text = "send a JSON object"
    elif problem["type"] == "extra_forbidden":
        known = [field.alias or each for each, field in model.model_fields.items()]
        text = f"unknown; send {', '.join(known)}" if known else f"unknown; this call takes no {part}"
    return f"{name}: {text}"
