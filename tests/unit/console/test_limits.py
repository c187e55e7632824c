"""The page of limits: measurements, and the counts under limits that somebody tries."""

import re

import pytest
from flask.testing import FlaskClient

from face_import.catalogue import Catalogue, Changed, ImportTask
from face_import.contract import Code
from face_import.control import Control
from face_import.domain.models import LIMITS, Limits, Measurements, Outcome, OutcomeBatch
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.api.test_results import run
from tests.unit.console.conftest import Create, Get

NUMBER = re.compile(r'<input id="(\w+)" name="\w+" type="number"[^>]* value="([^"]*)"')
TILE = re.compile(r"<dt>([^<]+)</dt><dd>([^<]+?)(?: <span class=\"delta\">([^<]+)</span>)?</dd>")
LINE = re.compile(r'<line x1="(\d+)"')


@pytest.fixture
def task(catalogue: Catalogue, make_task: MakeTask) -> ImportTask:
    """A running import with the limit width 80: five faces, of which one is too narrow, and an unreachable image."""
    task = make_task(limits=Limits(width=80))
    catalogue.leases.take(task.id, 0, "me", 10)
    outcomes = [
        Outcome(n, "http://x", Code.WIDTH if width < 80 else Code.OK, "", f"f-{n}", Measurements(1, 0.9, width, 100))
        for n, width in enumerate((60, 80, 90, 100, 120), 1)
    ]
    outcomes.append(Outcome(6, "http://x", Code.URI_UNREACHABLE, "404"))
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", tuple(outcomes)))
    return task


def test_a_refusal_is_a_part_of_the_page(client: FlaskClient, catalogue: Catalogue, task: ImportTask) -> None:
    """As the page asks for parts of itself: an import that is being undone cannot be given limits."""
    catalogue.tasks.stop(task.id)
    catalogue.undoing.begin(task.id, "AAAAAAAAAAAA")
    query = {"width": "90", "then": "apply"}
    answer = client.get(f"/tasks/{task.id}/limits", query_string=query, headers={"HX-Request": "true"})
    assert answer.status_code == 409
    assert answer.text.startswith('<div class="notice bad" role="alert">')
    assert "is being undone" in answer.text


def tiles(page: str) -> dict[str, tuple[str, str]]:
    """The sums of a verdict, with their difference to what is now."""
    return {title: (rows, delta) for title, rows, delta in TILE.findall(page)}


def test_the_page_begins_with_the_imports_own_limits(get: Get, task: ImportTask) -> None:
    """A field for each limit, a chart for each measurement, and the rows as they are."""
    page = get(f"/tasks/{task.id}/limits")
    assert dict(NUMBER.findall(page)) == dict.fromkeys(LIMITS, "0") | {"width": "80"}
    assert LINE.findall(page) == ["80", "0", "2"]
    assert page.count("Not measured in any row so far.") == 4
    assert "5 measured, median 90 px, 1 not measured" in page
    assert tiles(page) == {"Would be imported": ("4", ""), "Would fail": ("2", "")}
    assert "The import is running" in page
    assert f'href="/tasks/{task.id}/limits"' in get(f"/tasks/{task.id}")
    assert "测量值与限制" in get(f"/tasks/{task.id}/limits", language="zh")


@pytest.mark.parametrize(
    ("query", "sums"),
    [
        ("width=50", {"Would be imported": ("5", "+1"), "Would fail": ("1", "")}),
        ("width=101", {"Would be imported": ("1", "−3"), "Would fail": ("5", "")}),
        ("width=", {"Would be imported": ("5", "+1"), "Would fail": ("1", "")}),
        ("blur_degree=30", {"Would be imported": ("0", "−4"), "Would fail": ("2", ""), "Unknown": ("4", "")}),
        ("nonsense=1", {"Would be imported": ("4", ""), "Would fail": ("2", "")}),
    ],
)
def test_other_limits_are_judged(
    client: FlaskClient, get: Get, task: ImportTask, query: str, sums: dict[str, tuple[str, str]]
) -> None:
    """As a whole page without scripts, alone for htmx; an empty field is no limit, one that is absent the own limit."""
    page = get(f"/tasks/{task.id}/limits?{query}&embed=1")
    part = client.get(f"/tasks/{task.id}/limits?{query}", headers={"HX-Request": "true"}).text
    assert tiles(page) == tiles(part) == sums
    assert ("<html" in page, "<html" in part) == (True, False)
    assert f">{sums['Would be imported'][0]} of 6 rows would be imported.<" in part
    assert 'name="embed" value="1"' in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("pos_yaw=181", "Must be at most 180."),
        ("pos_yaw=-1", "Must be at least 0."),
        ("pos_yaw=many", "Enter a whole number."),
        ("pos_yaw=1e9", "Enter a whole number."),
        ("pos_yaw=" + "9" * 5000, "Enter a whole number."),
        ("pos_yaw=%00<b>", "Enter a whole number."),
    ],
)
def test_limits_that_cannot_be_are_explained(
    client: FlaskClient, get: Get, task: ImportTask, query: str, said: str
) -> None:
    """The field is named, and what was typed stays."""
    page = get(f"/tasks/{task.id}/limits?{query}", status=400)
    part = client.get(f"/tasks/{task.id}/limits?{query}", headers={"HX-Request": "true"})
    assert part.status_code == 400
    for text in (page, part.text):
        assert f"<strong>Maximum yaw</strong>: {said}" in text
    assert re.search(r'<input id="pos_yaw"[^>]* aria-invalid="true"', page)
    assert "<b>" not in page


def test_before_the_first_row_there_is_nothing_to_judge(get: Get, make_task: MakeTask) -> None:
    """And nothing is divided by zero."""
    page = get(f"/tasks/{make_task(running=False).id}/limits?width=20")
    assert "No rows processed yet." in page
    assert "<svg viewBox" not in page


def test_only_ones_own_imports_have_limits(get: Get) -> None:
    """404, as everywhere."""
    get("/tasks/AAAAAAAAAAAA/limits", status=404)


def ended(catalogue: Catalogue, task_id: str) -> str:
    """Stop an import, and return the address of its limits."""
    catalogue.leases.give_back(task_id, 0, "me", in_doubt=False)
    assert catalogue.tasks.stop(task_id)
    return f"/tasks/{task_id}/limits"


def test_limits_of_an_ended_import_can_be_applied(get: Get, catalogue: Catalogue, task: ImportTask) -> None:
    """Other ones than its own, not while it runs; first it is said what they would do."""
    assert "Apply" not in get(f"/tasks/{task.id}/limits?width=50&then=apply")
    address = ended(catalogue, task.id)
    assert "Apply" not in get(f"{address}?width=80&then=apply")
    assert "Apply these limits…</button>" in get(f"{address}?width=50")
    page = get(f"{address}?width=50&then=apply")
    assert "1 row is tried again: it passes, or may." in page
    assert "removed" not in page
    assert dict(re.findall(r'type="hidden" name="(\w+)" value="(\d+)" form="apply"', page)) == dict.fromkeys(
        LIMITS, "0"
    ) | {"width": "50"}
    assert "3 faces are removed from the group." in get(f"{address}?width=101&then=apply")
    assert "从人脸库中移除 3 张人脸。" in get(f"{address}?width=101&then=apply", language="zh")
    rejudged = get(f"{address}?width=50&height=200&then=apply")
    assert "5 faces" not in rejudged
    assert "4 faces are removed from the group." in rejudged
    assert "1 failed row gets another code." in rejudged
    unmeasured = get(f"{address}?blur_degree=40&then=apply")
    assert "No row is concerned: only the limits change." in unmeasured
    assert "4 imported rows stay" in unmeasured


def test_confirmed_limits_are_applied(
    client: FlaskClient, catalogue: Catalogue, task: ImportTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All six as they were shown; then the import's page is."""
    given: list[Changed] = []
    monkeypatch.setattr(Control, "limit", lambda _control, _task_id, changed: given.append(changed))
    address = ended(catalogue, task.id)
    answer = client.post(f"{address}?embed=1", data={"width": "50", "pos_yaw": "30"})
    assert (answer.status_code, answer.location) == (303, f"/tasks/{task.id}?embed=1")
    wanted = dict.fromkeys(LIMITS, 0) | {"width": 50, "pos_yaw": 30}
    assert given.pop() == Changed(wanted)
    client.post(address, data={"width": "50", "pos_yaw": "30", "real": "1"})
    assert given == [Changed(wanted, real=True)]
    for wrong in ({"width": "many"}, {"pos_yaw": "181"}, {"width": "9" * 5000}):
        assert client.post(address, data=wrong).status_code == 400, wrong
    assert len(given) == 1


def test_limits_that_cannot_be_applied_change_nothing(
    client: FlaskClient, catalogue: Catalogue, task: ImportTask
) -> None:
    """While it runs, or without Airflow: the import's page says why."""
    refused = client.post(f"/tasks/{task.id}/limits", data={"width": "50"}, headers={"Accept": "text/html"})
    assert refused.status_code == 409
    address = ended(catalogue, task.id)
    answer = client.post(address, data={"width": "50"})
    assert answer.status_code == 503
    assert "Airflow is unavailable" in answer.text
    assert catalogue.tasks.get(task.id).config.limits.width == 80
    assert catalogue.ledger.progress(task.id).handled == 6


def test_a_dry_run_can_be_made_real(get: Get, create: Create, catalogue: Catalogue, settings: Settings) -> None:
    """Also with its own limits: the rows that it found good are imported."""
    task_id = create(b"http://x/1.jpg\nhttp://x/2.jpg\n", dry_run="1").get_json()["id"]
    run(catalogue, settings, task_id, [Outcome(1, "", Code.OK), Outcome(2, "", Code.NO_FACE)])
    assert "for real" not in get(f"/tasks/{task_id}/limits?then=real")
    address = ended(catalogue, task_id)
    page = get(address)
    assert "Import for real…</button>" in page
    assert "Apply these limits" not in page
    confirm = get(f"{address}?then=real")
    assert "1 row is tried again: it passes, or may." in confirm
    assert 'name="real" value="1"' in confirm
