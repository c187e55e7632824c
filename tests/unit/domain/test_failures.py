"""When a budget for failures is overrun, and the words for it."""

import pytest

from face_import.domain.failures import NEXT, completed, failed_run, overrun
from face_import.domain.models import FailurePolicy


@pytest.mark.parametrize(
    ("policy", "handled", "due", "says"),
    [
        (FailurePolicy(), {101: 10**6}, 10**6, ""),
        (FailurePolicy(max_failed=3), {0: 5, 101: 3}, 10, ""),
        (
            FailurePolicy(max_failed=3),
            {201: 1, 101: 3},
            10,
            "4 of 4 rows failed (101: 3, 201: 1), at most 3 are allowed",
        ),
        (FailurePolicy(max_failed=1), {0: 1998, 303: 2}, 2000, "2 of 2,000 rows failed (303: 2), at most 1 is allowed"),
        (FailurePolicy(max_failed_percent=20), {0: 770, 101: 190, 201: 39}, 2000, ""),
        (
            FailurePolicy(max_failed_percent=20),
            {0: 770, 101: 190, 201: 40},
            2000,
            "23 % of 1,000 rows failed (101: 190, 201: 40), at most 20 % allowed",
        ),
        (FailurePolicy(max_failed_percent=20), {0: 800, 101: 200}, 2000, ""),
        (
            FailurePolicy(max_failed_percent=20),
            {0: 796, 101: 204},
            2000,
            "20.4 % of 1,000 rows failed (101: 204), at most 20 % allowed",
        ),
        (
            FailurePolicy(max_failed_percent=20),
            {0: 79_999, 101: 20_001},
            10**6,
            "over 20 % of 100,000 rows failed (101: 20,001), at most 20 % allowed",
        ),
        (FailurePolicy(max_failed_percent=20), {101: 9}, 10, ""),
        (
            FailurePolicy(max_failed_percent=20),
            {101: 9, 0: 1},
            10,
            "90 % of 10 rows failed (101: 9), at most 20 % allowed",
        ),
        (FailurePolicy(max_failed_percent=100), {101: 5000}, 5000, ""),
        (
            FailurePolicy(max_failed=5, max_failed_percent=1),
            {101: 6},
            10,
            "6 of 6 rows failed (101: 6), at most 5 are allowed",
        ),
    ],
    ids=[
        *("off", "at the number", "over the number", "one is allowed", "before a thousand", "at a thousand"),
        *("at the share", "a decimal", "a hair over", "a small file begins", "a small file ends", "all may fail"),
        "both",
    ],
)
def test_a_budget_is_overrun_by_one_row(policy: FailurePolicy, handled: dict[int, int], due: int, says: str) -> None:
    """What is allowed is allowed exactly; the codes are there in their order, and what to do next."""
    assert overrun(policy, handled, due) == (says and f"{says}; {NEXT}")


def test_a_completed_import_names_its_failures() -> None:
    """None, one, many."""
    assert [completed(n) for n in (0, 1, 298)] == [
        "completed",
        "completed with 1 failure",
        "completed with 298 failures",
    ]


@pytest.mark.parametrize(
    ("asked", "failed", "fails"), [(1, {"101": 2}, True), (1, {}, False), (0, {"101": 2}, False)], ids=str
)
def test_a_run_fails_only_if_asked_and_rows_failed(asked: int, failed: dict[str, int], *, fails: bool) -> None:
    """The reason says that the import itself is completed."""
    reason = failed_run(FailurePolicy(fail_on_errors=asked), failed)
    assert reason.startswith("the import is completed with 2 failures (101: 2)") == fails
    assert bool(reason) == fails
