"""The notes of runs."""

import pytest

from face_import.contract import TaskState
from face_import.domain.models import Changes
from face_import.domain.notes import LONGEST, opening
from face_import.orchestration.plugin.notes import result


def test_a_completed_import_tells_its_counts() -> None:
    """The most frequent failure comes first."""
    note = result("staff", TaskState.COMPLETED, "", {0: 95, 101: 2, 201: 3})
    assert note == "staff: completed with 5 failures (201 x3, 101 x2): 95 of 100 imported"


def test_an_import_without_failures_is_short() -> None:
    """No list of codes when there are none."""
    assert result("staff", TaskState.COMPLETED, "", {0: 7}) == "staff: 7 of 7 imported"


def test_an_import_of_changes_tells_them_too() -> None:
    """Behind what became of the rows."""
    changes = Changes(new=2, changed=1, unchanged=4, gone=3)
    assert result("staff", TaskState.COMPLETED, "", {0: 7}, changes) == (
        "staff: 7 of 7 imported; 2 new, 1 changed, 4 unchanged, 3 gone"
    )
    assert result("staff", TaskState.COMPLETED, "", {0: 7, 101: 1}, changes).endswith(
        "1 failure (101 x1): 7 of 8 imported; 2 new, 1 changed, 4 unchanged, 3 gone"
    )
    assert result("staff", TaskState.STOPPED, "", {0: 7}, changes) == "staff: stopped."


@pytest.mark.parametrize("state", [TaskState.STOPPED, TaskState.RUNNING], ids=["stopped", "missed"])
def test_any_other_end_tells_the_reason(state: TaskState) -> None:
    """What was not completed was stopped, and the note says why if there is a reason."""
    assert result("staff", state, "row 3: no face", {0: 2, 201: 1}) == "staff: stopped. row 3: no face"
    assert result("staff", state, "", {0: 2}) == "staff: stopped."


def test_a_note_fits_airflows_column() -> None:
    """A long source or reason is cut."""
    assert len(opening("staff", "x" * 3000)) == LONGEST
    assert len(result("staff", TaskState.STOPPED, "x" * 3000, {})) == LONGEST
