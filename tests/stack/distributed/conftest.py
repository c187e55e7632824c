"""The stack as separate servers and workers: PostgreSQL, Redis, two Celery workers with two slots each."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.conftest import STACK
from tests.doubles.process import FaceServices, ImageHost
from tests.faults.conftest import faults
from tests.real import RealStack

__all__ = ["faults"]


@pytest.fixture(scope="module")
def _stack(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _services: FaceServices,
    _images: ImageHost,
) -> Iterator[RealStack]:
    """In place of the embedded one: what asks for `stack` gets this one here."""
    home = tmp_path_factory.mktemp("distributed") / "home"
    embedded = request.config.stash.get(STACK, None)
    try:
        with (
            servers.servers_of(home) as urls,
            RealStack(
                home,
                **urls,
                FACE_IMPORT_INFO_URL=_services.url,
                FACE_IMPORT_LIBRARY_URL=_services.url,
                FACE_IMPORT_WORKERS="2",
                FACE_IMPORT_EXECUTOR_SLOTS="2",
                FACE_IMPORT_WORKER_LOST_S="30",
                FACE_IMPORT_START_TIMEOUT_S="240",
            ) as stack,
        ):
            request.config.stash[STACK] = stack
            yield stack
    except servers.Unavailable as reason:
        servers.skip(reason)
    finally:
        if embedded:
            request.config.stash[STACK] = embedded
