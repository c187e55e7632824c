"""The console in process, over a real catalogue and storage; Airflow is away."""

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from werkzeug.test import TestResponse

import face_console
from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import Code
from face_import.domain.models import Outcome, OutcomeBatch
from face_import.settings import Settings
from tests.unit.api.conftest import Create, MakeApp, create
from tests.unit.api.conftest import client as api_client

__all__ = ["Create", "Fail", "Get", "MakeApp", "api_client", "create", "make_app"]

TOKEN = re.compile(r'name="csrf_token" value="([0-9a-f]{64})"')
Get = Callable[..., str]
Fail = Callable[..., None]


@pytest.fixture
def make_app(_templates: FileSystemBytecodeCache) -> MakeApp:
    """Makes the API with the console on top, whose templates are compiled once for all tests."""

    def make(settings: Settings) -> Flask:
        app = face_console.create_app(settings)
        app.jinja_env.bytecode_cache = _templates
        return app

    return make


@pytest.fixture
def client(api_client: FlaskClient) -> FlaskClient:
    """A browser that has a page of ours and sends its token, as htmx does."""
    api_client.environ_base["HTTP_X_CSRF_TOKEN"] = token_of(api_client.get("/"))
    return api_client


def token_of(page: TestResponse) -> str:
    """The token of a page's forms."""
    (token,) = set(TOKEN.findall(page.text))
    return str(token)


@pytest.fixture
def get(client: FlaskClient) -> Get:
    """Ask for a page as a browser does, and return its text."""

    def ask(path: str, *, language: str = "en", status: int = 200) -> str:
        answer = client.get(path, headers={"Accept": "text/html", "Accept-Language": language})
        assert answer.status_code == status, answer.get_data(as_text=True)
        return answer.get_data(as_text=True)

    return ask


@pytest.fixture
def fail(catalogue: Catalogue) -> Fail:
    """Write failures of successive rows into the ledger, as a shard does."""

    def write(task: ImportTask, *failures: tuple[Code, str, str], first: int = 1) -> None:
        catalogue.leases.take(task.id, 0, "me", 10)
        outcomes = (Outcome(number, uri, code, message) for number, (code, uri, message) in enumerate(failures, first))
        catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", tuple(outcomes)))

    return write
