"""The OpenAPI document: what spectree makes of the endpoints, completed with what their models do not know."""

import json
from copy import deepcopy
from typing import Any

from api_shim.documentation import documentation
from api_shim.examples import EXAMPLES, TASK_ID
from api_shim.forms import REPLAYED_HEADER
from api_shim.responses import Ended
from face_import.contract import MEANINGS, TASK_ID_LENGTH, Code, TaskState
from face_import.settings import Settings

Json = dict[str, Any]
_DESCRIPTION = """\
Imports images of faces, listed in a CSV or xlsx file, into a group of a face library. Create a task, start it, and \
follow it by its detail; rows that were not imported are in its log, with a code that says why."""
_BY_GET = "_by_get"


def document(settings: Settings) -> Json:
    """The OpenAPI document of this installation, with its configured limits, and with its links by id."""
    written: Json = deepcopy(documentation.spec)
    written["info"] |= {"description": _DESCRIPTION, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}}
    written["servers"] = [{"url": settings.public_path or "/"}]
    written["tags"] = [{"name": "tasks", "description": "Import tasks"}]
    written["webhooks"] = {"task_ended": {"post": _callback(written)}}
    schemas = written["components"]["schemas"] = _used(written)
    _describe_bounds(schemas, settings)
    for kind in (TaskState, Code):
        schemas[kind.__name__]["x-enum-varnames"] = [member.name for member in kind]
    schemas["Code"]["x-enum-descriptions"] = [MEANINGS[code] for code in Code]
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    for path, methods in written["paths"].items():
        for method, operation in methods.items():
            _complete(operation, by_get=method == "get" and "post" in methods)
            if "{task_id}" in path:
                _describe_task_id(operation)
    _describe_created(written)
    _describe_events(written["paths"]["/v1/tasks/{task_id}/events"]["get"]["responses"])
    _describe_keys(written, required=settings.api_keys_file is not None)
    return written


def _callback(written: Json) -> Json:
    """What a task's `callback_url` gets (Standard Webhooks); its schema is no endpoint's, so it is added here."""
    schema = Ended.model_json_schema(ref_template="#/components/schemas/{model}")
    written["components"]["schemas"] |= schema.pop("$defs") | {"Ended": schema}
    headers = {
        "webhook-id": "the same at every try, another one for each end of a task",
        "webhook-timestamp": "seconds since the epoch",
        "webhook-signature": "`v1,` and base64; several, separated by spaces, while one secret replaces another",
    }
    return {
        "summary": "A task has stopped or completed: sent to its callback_url until a 2xx comes back, for a day",
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ended"}}},
        },
        "responses": {
            "2XX": {"description": "It has arrived; the body is not read"},
            "410": {"description": "Nobody wants it; it is not sent again"},
            "default": {"description": "It is sent again, later"},
        },
    }


def _used(written: Json) -> Json:
    """The schemas that something refers to: those of queries are already written out as parameters."""
    schemas: Json = written["components"]["schemas"]
    while True:
        text = json.dumps([written["paths"], written["webhooks"], schemas])
        used = {name: schema for name, schema in schemas.items() if f'"#/components/schemas/{name}"' in text}
        if len(used) == len(schemas):
            return used
        schemas = used


def _describe_bounds(schemas: Json, settings: Settings) -> None:
    schemas["CreateForm"]["properties"]["group_name"]["pattern"] = settings.group_name_pattern
    for schema, name in (("CreateForm", "thread_num"), ("CreateForm", "host_threads"), ("ConfigBody", "thread_num")):
        schemas[schema]["properties"][name]["maximum"] = settings.max_threads


def _complete(operation: Json, *, by_get: bool) -> None:
    """Tag an operation, tell those of one path apart, and say what holds for all of a kind."""
    operation["tags"] = ["tasks"]
    if by_get:
        operation["operationId"] += _BY_GET
    responses = operation["responses"]
    responses["429"]["headers"] = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer"}}}
    queries = [parameter for parameter in operation["parameters"] if parameter["in"] == "query"]
    for query in queries:
        query["schema"] = _never_null(query["schema"])
    if queries:
        responses["414"] = {"description": "Path and query have more than 4,094 characters"}


def _never_null(schema: Json) -> Json:
    """A query's schema without null, which a query cannot have: it is left out."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**rest, **kinds[0]}


def _describe_task_id(operation: Json) -> None:
    (parameter,) = (found for found in operation["parameters"] if found["name"] == "task_id")
    parameter["description"] = "id of the task, as create answered it"
    parameter["schema"] = {"type": "string", "pattern": f"^[A-Za-z0-9_-]{{{TASK_ID_LENGTH}}}$"}
    parameter["example"] = TASK_ID


def _describe_created(written: Json) -> None:
    """The headers of a create, and which operations take the id that it answers."""
    created = written["paths"]["/v1/tasks/create"]["post"]["responses"]["200"]
    created["headers"] = {
        REPLAYED_HEADER: {
            "description": "present if an earlier request with this Idempotency-Key created the task",
            "schema": {"type": "string", "enum": ["true"]},
        }
    }
    names = [
        operation["operationId"]
        for path, methods in written["paths"].items()
        for operation in methods.values()
        if "{task_id}" in path
    ]
    created["links"] = {name: {"operationId": name, "parameters": {"task_id": "$response.body#/id"}} for name in names}


def _describe_events(responses: Json) -> None:
    """A stream of events: OpenAPI 3.1 has no word for what one of them looks like, and none of them is a mere text."""
    responses["200"]["content"] = {"text/event-stream": {}}
    responses["204"] = {"description": "The task has ended, and this client was told so; it need not come back"}


def _describe_keys(written: Json, *, required: bool) -> None:
    """How a key is sent. Where none is required it may be: a client generated there suits an installation with keys."""
    written["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "an API key, made by `face-import keys add`"}
    }
    written["security"] = [{"key": []}] if required else [{}, {"key": []}]
