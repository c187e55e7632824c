"""Fixtures: the real engine once per run, and applications over the fake one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from face_services.app import SERVICES, create_app
from face_services.opencv_engine import OpenCvEngine
from face_services.settings import Settings
from tests.face_services.fakes import Engines, thread_pool


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker: the project's own configuration is not read in the services' environment."""
    config.addinivalue_line("markers", "slow: starts real processes")


@pytest.fixture(scope="session")
def engine() -> OpenCvEngine:
    """The engine in use; the tests run in one thread, the one that made it."""
    return OpenCvEngine()


@pytest.fixture
def engines() -> Engines:
    """What the fake engines of `make_client` share."""
    return Engines()


@pytest.fixture
def make_client(tmp_path: Path, engines: Engines) -> Callable[..., FlaskClient]:
    """Makes a client of a new application over the same database file; keywords are settings."""

    def make(services: tuple[str, ...] = SERVICES, **settings: int) -> FlaskClient:
        config = Settings(database=tmp_path / "new" / "library.db", **settings)
        return create_app(services, config, engines.make, thread_pool).test_client()

    return make


@pytest.fixture
def client(make_client: Callable[..., FlaskClient]) -> FlaskClient:
    """Both services with default settings."""
    return make_client()
