"""The API reference at `/docs`: the OpenAPI document as a page, without scripts and without anything from elsewhere."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import render_template
from markupsafe import Markup, escape

from api_shim.app_context import app_context
from api_shim.openapi import document
from face_console.view import blueprint

Json = dict[str, Any]
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a member of an object."""

    name: str
    schema: Json
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """What a path does, whatever the methods by which it is asked.

    Attributes:
        bodies: media types that it takes, each with its schema.
        answers: what it may answer, by status.
    """

    name: str
    methods: str
    path: str
    text: str
    parameters: list[Field]
    bodies: dict[str, Json]
    answers: dict[str, Json]


@blueprint.get("/docs")
def reference() -> str:
    """What the API takes and answers."""
    written = document(app_context().settings)
    return render_template(
        "reference.html",
        operations=list(_operations(written)),
        schemas=written["components"]["schemas"],
        members=_members,
        name_of=_name_of,
        prose=_prose,
        pretty=_pretty,
    )


def _operations(written: Json) -> Iterator[Operation]:
    for path, methods in written["paths"].items():
        said = methods.get("post") or methods["get"]
        content = said.get("requestBody", {}).get("content", {})
        yield Operation(
            name=said["operationId"],
            methods=", ".join(sorted(methods, reverse=True)).upper(),
            path=path,
            text=f"{said['summary']}\n{said['description']}",
            parameters=[Field(p["name"], p["schema"], p["required"], p["description"]) for p in said["parameters"]],
            bodies={kind: written["components"]["schemas"][_name_of(body["schema"])] for kind, body in content.items()},
            answers=dict(sorted(said["responses"].items())),
        )


def _members(schema: Json) -> list[Field]:
    required = schema.get("required", ())
    members = schema.get("properties", {}).items()
    return [Field(name, member, name in required, member.get("description", "")) for name, member in members]


def _name_of(reference_to: Json) -> str:
    return str(reference_to["$ref"]).rpartition("/")[2]


def _prose(text: str) -> Markup:
    """A description, whose only markup are words of code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _pretty(example: Any) -> str:
    return json.dumps(example, indent=2, ensure_ascii=False)
