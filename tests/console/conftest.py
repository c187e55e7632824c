"""The console in process, over a real catalogue and storage; Airflow is away."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from face_import.catalogue import Catalogue, ImportTask
from face_import.contract import Code
from face_import.domain.models import Outcome, OutcomeBatch
from tests.api.conftest import Create, client, create

__all__ = ["Create", "Fail", "Get", "client", "create"]

Get = Callable[..., str]
Fail = Callable[..., None]


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
