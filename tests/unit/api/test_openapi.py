"""The OpenAPI document, as generators of clients and people read it; tests/integration/api has the generators."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from api_shim import bodies, forms, responses
from api_shim.examples import EXAMPLES
from face_import.contract import Code, TaskState

Json = dict[str, Any]


@pytest.fixture
def document(client: FlaskClient) -> Json:
    """The document."""
    served: Json = client.get("/openapi.json").json
    return served


def operations(document: Json) -> Iterator[Json]:
    """All operations."""
    return (operation for methods in document["paths"].values() for operation in methods.values())


def contents(operation: Json) -> Iterator[Json]:
    """The schemas of an operation's body, and of its answers."""
    for said in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from (content.get("schema", {}) for content in said.get("content", {}).values())


def inside(value: object) -> Iterator[Json]:
    """All objects in a part of the document."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from inside(part)


def test_each_operation_is_named_in_words(document: Json) -> None:
    """At least two, a verb first, for no other operation: clients have functions of these names."""
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name)] == []
    assert {"create_task", "start_task", "start_task_by_get", "get_detail", "get_log"} <= set(names)
    assert {operation["operationId"] for operation in operations(document) if not operation["summary"]} == set()


def test_each_schema_is_named_in_words_and_used(document: Json) -> None:
    """Neither hashes nor underscores, nothing that no operation leads to."""
    names = set(document["components"]["schemas"])
    assert [name for name in names if not re.fullmatch("[A-Z][A-Za-z]+", name)] == []
    used = {part["$ref"].rpartition("/")[2] for part in inside(document) if "$ref" in part}
    assert used == names


def test_what_is_sent_has_one_type(document: Json) -> None:
    """Numbers are integers with a range, though blanks and strings of digits are accepted too; null is left out."""
    schemas = document["components"]["schemas"]
    sent = [schema["properties"] for name, schema in schemas.items() if name.endswith(("Form", "Body"))]
    queries = [p for operation in operations(document) for p in operation["parameters"] if p["in"] == "query"]
    kinds = [
        *(schema for properties in sent for schema in properties.values()),
        *(query["schema"] for query in queries),
    ]
    assert len(kinds) > 40
    for schema in kinds:
        one = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
        assert len(one) == 1
        assert "$ref" in one[0] or isinstance(one[0]["type"], str)
        if one[0].get("type") == "integer":
            assert "minimum" in one[0] or "enum" in one[0]
    unknown = {"ge", "le", "gt", "lt"}  # what pydantic writes of a bound that it does not apply to a number
    assert not [part for part in inside(document) if unknown & set(part)]
    assert not [query["name"] for query in queries if {"type": "null"} in query["schema"].get("anyOf", [])]


def test_numbers_that_mean_something_have_names(document: Json) -> None:
    """Of states and codes, for the enumerations of a client."""
    schemas = document["components"]["schemas"]
    assert dict(zip(schemas["TaskState"]["x-enum-varnames"], schemas["TaskState"]["enum"], strict=True)) == {
        state.name: state.value for state in TaskState
    }
    assert dict(zip(schemas["Code"]["x-enum-varnames"], schemas["Code"]["enum"], strict=True)) == {
        code.name: code.value for code in Code
    }
    assert len(schemas["Code"]["x-enum-descriptions"]) == len(Code)


def test_keys_may_be_sent_where_none_are_required(document: Json) -> None:
    """So a client generated on a machine for development suits the real one; who has to wait is told how long."""
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["security"] == [{}, {"key": []}]
    for operation in operations(document):
        assert {"200", "400", "401", "403", "429"} <= set(operation["responses"])
        assert "Retry-After" in operation["responses"]["429"]["headers"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("download_log", {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}),
        ("download_rows", {"text/csv": {"schema": {"type": "string"}}}),
    ],
)
def test_a_file_is_no_json(document: Json, name: str, content: Json) -> None:
    """Clients get the bytes or the text of a download."""
    (download,) = (found for found in operations(document) if found["operationId"] == name)
    assert download["responses"]["200"]["content"] == content


def test_each_body_and_answer_has_an_example(document: Json) -> None:
    """Whatever an operation takes or answers."""
    every = [*operations(document), document["webhooks"]["task_ended"]["post"]]
    named = {schema["$ref"].rpartition("/")[2] for o in every for schema in contents(o) if "$ref" in schema}
    assert named == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_valid(document: Json, name: str) -> None:
    """By the document and by the model that validates requests, with each field that answers have."""
    (example,) = document["components"]["schemas"][name]["examples"]
    Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"}).validate(example)
    model: type[BaseModel] = {**vars(bodies), **vars(forms), **vars(responses)}[name]
    assert set(example) <= set(model.model_fields)
    if not name.endswith(("Form", "Body")):
        assert model.model_validate(example).model_dump(mode="json") == example
