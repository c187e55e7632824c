"""Which addresses and paths are believed, without a proxy; with a real one in `tests/integration/api`."""

import pytest
from flask import Flask, request, url_for

import api_shim
from api_shim import proxy
from face_import.errors import ConfigError
from face_import.settings import Settings, get_settings


@pytest.fixture
def app() -> Flask:
    """An application that says what it has understood."""
    app = Flask(__name__)

    @app.get("/v1/page")
    def page() -> str:
        return f"{request.remote_addr} {request.host} {request.scheme} {url_for('page')}"

    settings = Settings(public_url="https://host/a/b/", trusted_proxies=("10.0.0.0/8", "::1"))
    proxy.register(app, settings)
    return app


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("10.1.2.3", "192.0.2.2"),
        ("::ffff:10.1.2.3", "192.0.2.2"),
        ("::1", "192.0.2.2"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.9", "192.0.2.9"),
    ],
    ids=["network", "mapped", "address", "loopback", "anybody"],
)
def test_the_clients_address_is_taken_from_named_proxies_only(app: Flask, peer: str, client: str) -> None:
    """The last entry, which the proxy has added; nothing else that is forwarded is believed."""
    headers = {
        "X-Forwarded-For": "192.0.2.1, 192.0.2.2",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "X-Script-Name": "/evil",
    }
    answer = app.test_client().get("/v1/page", headers=headers, environ_base={"REMOTE_ADDR": peer})
    assert answer.text == f"{client} localhost http /a/b/v1/page"


@pytest.mark.parametrize(("path", "status"), [("/v1/page", 200), ("/a/b/v1/page", 200), ("/a/bv1/page", 404)])
def test_the_path_may_be_left_or_taken_off(app: Flask, path: str, status: int) -> None:
    """Only the whole path counts."""
    assert app.test_client().get(path).status_code == status


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FACE_IMPORT_PUBLIC_URL", "https://host/a b"),
        ("FACE_IMPORT_PUBLIC_URL", "https://host/a?b=c"),
        ("FACE_IMPORT_AIRFLOW_PUBLIC_URL", "https://host/{a}"),
        ("FACE_IMPORT_TRUSTED_PROXIES", "proxy.example.com"),
    ],
)
def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """In one line with the variable's name."""
    monkeypatch.setenv(variable, value)
    get_settings.cache_clear()
    with pytest.raises(ConfigError, match=rf"^{variable}: "):
        get_settings()


def test_a_path_of_our_own_is_refused(settings: Settings) -> None:
    """Nobody could tell with the path from without."""
    own = settings.model_copy(update={"public_url": "https://host/v1/faces"})
    with pytest.raises(ConfigError, match=r"^FACE_IMPORT_PUBLIC_URL: the application has /v1 itself"):
        api_shim.create_app(own)
