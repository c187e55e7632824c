"""The sentence about image hosts that an import waits for."""

from datetime import UTC, datetime, timedelta

import pytest

from face_import.cli.answers import Task, WaitingHost
from face_import.cli.watch import summarize, waiting
from face_import.contract import TaskState

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TASK = Task(
    id="AAAAAAAAAAAA",
    group_name="staff",
    config={},
    total_num=2000,
    handled_num=0,
    success_num=0,
    failed_num=0,
    errors={},
    state=TaskState.RUNNING,
    last_error="",
    created_at=NOW,
    started_at=NOW,
    finished_at=None,
    dag_run_id="AAAAAAAAAAAA",
)


def waits(*hosts: tuple[str, int], reason: str = "429 Too Many Requests", in_s: float | None = 24) -> Task:
    """The task, waiting for hosts with so many rows each."""
    retry_at = None if in_s is None else NOW + timedelta(seconds=in_s)
    found = [WaitingHost(host=host, reason=reason, rows=rows, retry_at=retry_at) for host, rows in hosts]
    return TASK.model_copy(update={"waiting": found})


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (TASK, ""),
        (
            waits(("img.example.com", 812)),
            "waiting for img.example.com (429 Too Many Requests), next try in 24 s: 812 rows",
        ),
        (waits(("h", 1), reason="503", in_s=600), "waiting for h (503), next try in 10 min: 1 row"),
        (waits(("h", 2), reason="503", in_s=-3), "waiting for h (503), trying now: 2 rows"),
        (waits(("h", 2), reason="503", in_s=None), "waiting for h (503), trying now: 2 rows"),
        (
            waits(("h", 5), ("i", 3), reason="503"),
            "waiting for h (503), next try in 24 s: 5 rows; and for 1 more host: 3 rows",
        ),
        (
            waits(("h", 5), ("i", 3), ("j", 0), reason="503"),
            "waiting for h (503), next try in 24 s: 5 rows; and for 2 more hosts: 3 rows",
        ),
        (waits(("h", 2), reason="\x1b[2J", in_s=1), "waiting for h (\\x1b[2J), next try in 1 s: 2 rows"),
    ],
    ids=["none", "one", "minutes", "past", "unknown", "two", "three", "hostile"],
)
def test_the_host_with_most_rows_is_named(task: Task, said: str) -> None:
    """With the reason and the next try; the others are counted."""
    assert waiting(task, NOW) == said


def test_show_says_what_an_import_waits_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Below the counts."""
    summarize(waits(("img.example.com", 812)))
    assert "\nwaiting for img.example.com (429 Too Many Requests), " in capsys.readouterr().out
