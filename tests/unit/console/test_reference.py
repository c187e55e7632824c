"""The API reference at /docs, made from the OpenAPI document."""

import re

from flask.testing import FlaskClient

from tests.unit.console.conftest import Get


def test_the_reference_has_every_operation_and_schema(client: FlaskClient, get: Get) -> None:
    """Each has a place of its own, each link in the page leads to one, and each field is named."""
    document = client.get("/openapi.json").json
    page = get("/docs")
    places = re.findall(r'<section class="card" id="(\w+)"', page)
    assert len(set(places)) == len(places)
    operations = [methods.get("post") or methods["get"] for methods in document["paths"].values()]
    assert set(places) == {o["operationId"] for o in operations} | set(document["components"]["schemas"])
    assert set(re.findall(r'href="#(\w+)"', page)) - {"main"} <= set(places)
    fields = {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", {})}
    assert [name for name in fields if f"<code>{name}</code>" not in page] == []
    assert "POST, GET /v1/tasks/{task_id}/start" in page


def test_the_reference_runs_nothing_and_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    """Scripts and styles are the console's files alone, and the policy allows no others."""
    answer = client.get("/docs", headers={"Accept": "text/html"})
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert (
        re.findall(r"<style|<script(?! defer src=\"/console/static/)| style=| on\w+=|(?:src|href)=\"http", answer.text)
        == []
    )


def test_the_reference_is_in_the_readers_language(get: Get) -> None:
    """Its headings are; what it says of the API is English, and marked as such."""
    page = get("/docs", language="zh")
    assert "API 参考" in page
    assert '<p lang="en">Create an import task' in page


def test_programs_and_people_are_led_to_it(client: FlaskClient, get: Get) -> None:
    """From the index for programs, and from every page."""
    assert client.get("/", headers={"Accept": "application/json"}).json["docs"] == "/docs"
    assert '<a href="/docs">API</a>' in get("/")
