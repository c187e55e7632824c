"""What failures come to: the main cause in a sentence, and the step that is offered first."""

import re

import pytest
from flask.testing import FlaskClient

from face_console.failures import Step, failures_of
from face_console.language import chinese
from face_import.catalogue import Catalogue
from face_import.contract import MEANINGS, Code
from face_import.domain.models import Limits, Outcome, OutcomeBatch
from tests.conftest import MakeTask
from tests.unit.console.conftest import Get

STEP = re.compile(r'class="(?:button )?(primary|)"[^>]*>([^<]+)</(?:a|button)>')


@pytest.fixture
def ended(catalogue: Catalogue, make_task: MakeTask) -> str:
    """A completed import of ten rows, four of them too narrow, two without a face."""
    task = make_task(limits=Limits(width=80))
    catalogue.leases.take(task.id, 0, "me", 10)
    codes = [Code.WIDTH] * 4 + [Code.NO_FACE] * 2 + [Code.OK] * 4
    outcomes = tuple(Outcome(n, "http://x", code, "", "" if code else f"f-{n}") for n, code in enumerate(codes, 1))
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", outcomes))
    catalogue.leases.give_back(task.id, 0, "me", in_doubt=False)
    assert catalogue.tasks.complete(task.id)
    return task.id


def notice(page: str) -> str:
    """The notice of failures on an import's page."""
    return page.partition('id="failures"')[2].partition('id="waiting"')[0]


def test_an_ended_import_says_first_how_many_failed_and_why(get: Get, ended: str) -> None:
    """In both languages, on the page and in its update; the best step is the primary button."""
    said = "6 of 10 rows were not imported, most of them because the face is narrower than 80 px."
    shown = notice(get(f"/tasks/{ended}"))
    assert f"<strong>{said}</strong>" in shown
    assert STEP.findall(shown) == [("primary", "Try other limits"), ("", "Download rows to correct")]
    assert said in get(f"/tasks/{ended}/live?mark=other")
    assert "10 行中有 6 行未入库，大多数的原因：人脸宽度不足 80 px。" in get(f"/tasks/{ended}", language="zh")


def test_a_running_import_does_not_sum_up(get: Get, ended: str, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Nor does one without failures; a stopped one does, but its primary button is to resume it."""
    task = make_task()
    catalogue.leases.take(task.id, 0, "me", 10)
    catalogue.ledger.write(OutcomeBatch(task.id, 0, "me", (Outcome(1, "http://x", Code.URI_UNREACHABLE, "404"),)))
    assert "not imported" not in get(f"/tasks/{task.id}")
    catalogue.tasks.stop(task.id)
    shown = notice(get(f"/tasks/{task.id}"))
    assert "1 of 1 rows was not imported, because the image could not be downloaded." in shown
    assert STEP.findall(shown) == [("", "Retry this row"), ("", "Download rows to correct")]
    assert 'name="code" value="101"' in shown


@pytest.mark.parametrize(
    ("by_code", "code", "steps"),
    [
        ({Code.WIDTH: 3, Code.NO_FACE: 2}, Code.WIDTH, [Step.LIMITS, Step.CORRECT]),
        ({Code.WIDTH: 2, Code.NO_FACE: 3}, Code.NO_FACE, [Step.CORRECT, Step.LIMITS]),
        ({Code.LIBRARY_UNAVAILABLE: 9}, Code.LIBRARY_UNAVAILABLE, [Step.RETRY, Step.CORRECT]),
        ({Code.IMAGE_UNREADABLE: 1}, Code.IMAGE_UNREADABLE, [Step.CORRECT]),
    ],
)
def test_the_most_frequent_code_decides(by_code: dict[Code, int], code: Code, steps: list[Step]) -> None:
    """What is best done comes first; limits are offered only where a limit refused rows."""
    found = failures_of(by_code, Limits(width=80))
    assert (found.code, found.steps) == (code, steps)
    assert (found.failed, found.rows) == (sum(by_code.values()), by_code[code])


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_every_code_has_a_cause(client: FlaskClient, code: Code) -> None:
    """Translated; without a limit, the library refused the face for itself, and no number is named."""
    limits = Limits(*[7] * 6)
    english, other = failures_of({code: 1}, limits).cause, failures_of({code: 1}, Limits()).cause
    assert "%" not in english + other
    assert "7" not in other
    with client.application.test_request_context(headers={"Accept-Language": "zh"}):
        assert re.search("[a-z]{3,}", failures_of({code: 1}, limits).cause) is None
        assert chinese()[MEANINGS[code]]
