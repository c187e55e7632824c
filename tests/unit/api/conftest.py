"""The shim's application in process, over a real catalogue and storage; Airflow is away."""

import io
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api_shim
from face_import.catalogue import Catalogue
from face_import.settings import Settings

Create = Callable[..., TestResponse]
MakeApp = Callable[[Settings], Flask]


@pytest.fixture
def make_app() -> MakeApp:
    """Makes the application under test: here the API without pages."""
    return api_shim.create_app


@pytest.fixture
def client(settings: Settings, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, make_app: MakeApp) -> FlaskClient:
    """A client of the application."""
    monkeypatch.setattr(api_shim.app_context, "get_catalogue", lambda: catalogue)
    closed = settings.model_copy(update={"airflow_url": "http://127.0.0.1:9", "max_source_bytes": 100_000})
    (closed.home / "secrets").mkdir(parents=True)
    (closed.home / "secrets" / "airflow_password").write_text("secret")
    return make_app(closed).test_client()


@pytest.fixture
def create(client: FlaskClient) -> Create:
    """Send a create form; `file` is the file's bytes, None leaves it out."""

    def send(file: bytes | None = b"http://x/1.jpg,t,d\n", **fields: str) -> TestResponse:
        form: dict[str, object] = {"group_name": "staff", **fields}
        if file is not None:
            form["file"] = (io.BytesIO(file), "faces.csv")
        return client.post("/v1/tasks/create", data=form)

    return send
