"""When a try of a recurring import's task may go on with an import that was stopped."""

from types import SimpleNamespace
from typing import Any

import pytest

from face_import.orchestration.recurring.waiting import is_retry

RETRIES = 5


@pytest.mark.parametrize(
    ("try_number", "max_tries", "expected"),
    [(1, 5, False), (2, 5, True), (6, 5, True), (2, 6, False), (3, 6, True), (4, 8, False)],
    ids=["first", "retry", "last retry", "cleared after the first", "retry after that", "cleared after a retry"],
)
def test_only_a_person_goes_on_with_a_stopped_import(try_number: int, max_tries: int, *, expected: bool) -> None:
    """Clearing raises the tries to those made and the retries; so the try after a clearing is no retry."""
    context: Any = {"ti": SimpleNamespace(try_number=try_number, max_tries=max_tries)}
    assert is_retry(context, RETRIES) is expected
