"""While the disk is almost full: no new import, everything else as ever, and a notice where rows wait."""

import pytest
from flask.testing import FlaskClient

from api_shim import notices
from api_shim.notices import LOOK_EVERY_S, Notices
from face_import.catalogue import Catalogue
from face_import.contract import Notice
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.api.conftest import Create


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a mark that no disk is above."""
    return settings.model_copy(update={"min_free_bytes": 2**62})


def test_a_create_is_refused(client: FlaskClient, create: Create, catalogue: Catalogue) -> None:
    """503 with a code, what to look at, and when to come again; nothing is stored."""
    answer = create()
    assert (answer.status_code, answer.json["code"]) == (503, "disk_full")
    assert "FACE_IMPORT_MIN_FREE_BYTES" in answer.json["error"]
    assert int(answer.headers["Retry-After"]) > 0
    assert catalogue.tasks.all_ids() == set()
    assert client.post("/v1/tasks/list", json={"group_name": "staff"}).json == {"ids": []}


def test_a_file_beyond_the_limit_is_too_large_then_too(client: FlaskClient, settings: Settings) -> None:
    """Room would not help, so nobody is asked to come again."""
    length = str(settings.max_source_bytes + 2**21)
    form = {"content_type": "multipart/form-data; boundary=x", "environ_overrides": {"CONTENT_LENGTH": length}}
    answer = client.post("/v1/tasks/create", **form)
    assert (answer.status_code, answer.json["code"]) == (413, "too_large")


def test_what_a_running_import_waits_for(client: FlaskClient, make_task: MakeTask) -> None:
    """Its detail says so; one that is stopped waits for nothing, and can be stopped as ever."""
    running = make_task()
    assert "rows wait" in client.get(f"/v1/tasks/{running.id}/detail").json["notice"]
    assert client.post(f"/v1/tasks/{running.id}/stop").status_code == 200
    assert client.get(f"/v1/tasks/{running.id}/detail").json["notice"] == ""


def test_a_full_database_is_asked_now_and_then(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, catalogue: Catalogue, make_task: MakeTask
) -> None:
    """However often a detail is asked for; once it has room, the next look finds that."""
    clock, looks = [1000.0], []
    has_room = iter([False, True])
    monkeypatch.setattr(notices.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(notices, "has_room", lambda engine: looks.append(engine) or next(has_room))
    said, task = Notices(settings.model_copy(update={"min_free_bytes": 0}), catalogue.engine), make_task()
    assert [said.of(task) for _ in range(3)] == [Notice.DATABASE_FULL] * 3
    assert looks == [catalogue.engine]
    clock[0] += LOOK_EVERY_S
    assert [said.of(task) for _ in range(3)] == [""] * 3
    assert len(looks) == 2
