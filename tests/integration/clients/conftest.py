"""Servers and settings for tests of the clients."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from face_import.clients.fetcher import Fetcher
from face_import.clients.services import InfoService, LibraryService
from face_import.settings import Settings
from tests.doubles.process import FaceServices, ImageHost


@pytest.fixture(scope="session")
def host() -> Iterator[ImageHost]:
    """A running image host."""
    with ImageHost() as double:
        yield double


@pytest.fixture(scope="session")
def _services() -> Iterator[FaceServices]:
    with FaceServices() as double:
        yield double


@pytest.fixture
def services(_services: FaceServices) -> FaceServices:
    """Both face services, with nothing in them and nothing wrong with them."""
    _services.control(reset=True)
    return _services


@pytest.fixture
def configured(_services: FaceServices) -> Callable[..., Settings]:
    """Make settings that reach the doubles."""

    def make(**changes: object) -> Settings:
        defaults: dict[str, object] = {
            "fetch_allow": ("127.0.0.0/8",),
            "fetch_timeout_s": 5,
            "info_url": _services.url,
            "library_url": _services.url,
            "service_timeout_s": 5,
        }
        return Settings.model_validate({**defaults, **changes})

    return make


@pytest.fixture
async def fetcher(configured: Callable[..., Settings]) -> AsyncIterator[Fetcher]:
    """A fetcher that may reach loopback."""
    async with Fetcher(configured()) as client:
        yield client


@pytest.fixture
async def info(services: FaceServices, configured: Callable[..., Settings]) -> AsyncIterator[InfoService]:
    """The info service's client."""
    async with InfoService(configured()) as client:
        yield client


@pytest.fixture
async def library(services: FaceServices, configured: Callable[..., Settings]) -> AsyncIterator[LibraryService]:
    """The library service's client, with the group `team` made."""
    async with LibraryService(configured()) as client:
        await client.ensure_group("team", 100)
        yield client
