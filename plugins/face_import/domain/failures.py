"""What failed rows do: stop a task that has more of them than it may have, and show when it is completed."""

from collections.abc import Mapping

from face_import.contract import Code
from face_import.domain.models import FailurePolicy

JUDGED_FROM = 1000
"""Handled rows from which a share is judged; with fewer rows to handle, it is when all of them are."""
NEXT = (
    "see the log for the reasons, then start the task to go on, or retry the failed rows: either counts failures anew; "
    "to allow more of them, change max_failed or max_failed_percent first"
)


def overrun(policy: FailurePolicy, handled: Mapping[int, int], due: int) -> str:
    """Why an attempt has to stop for its failures; empty while it need not.

    Args:
        policy: what is allowed.
        handled: rows handled in the attempt, by code.
        due: rows without an outcome when the attempt began.
    """
    rows = sum(handled.values())
    failures = {code: count for code, count in sorted(handled.items()) if code != Code.OK and count}
    failed, percent = sum(failures.values()), policy.max_failed_percent
    by_code = ", ".join(f"{code}: {count:,}" for code, count in failures.items())
    if policy.max_failed and failed > policy.max_failed:
        allowed = f"{policy.max_failed:,} {'is' if policy.max_failed == 1 else 'are'}"
        return f"{failed:,} of {rows:,} rows failed ({by_code}), at most {allowed} allowed; {NEXT}"
    if percent and rows >= min(JUDGED_FROM, due) and 100 * failed > percent * rows:
        share = _share(failed, rows, percent)
        return f"{share} % of {rows:,} rows failed ({by_code}), at most {percent} % allowed; {NEXT}"
    return ""


def completed(failed: int) -> str:
    """How an import was completed, in words; failures are part of it."""
    if not failed:
        return "completed"
    return f"completed with {failed} failure{'s' if failed > 1 else ''}"


def failed_run(policy: FailurePolicy, failed: Mapping[str, int]) -> str:
    """Why the run of a completed task fails; empty if it does not.

    Args:
        policy: what failed rows do.
        failed: failed rows by code.
    """
    rows = sum(failed.values())
    if not policy.fail_on_errors or not rows:
        return ""
    by_code = ", ".join(f"{code}: {count:,}" for code, count in failed.items())
    return f"the import is {completed(rows)} ({by_code}), and fail_on_errors is set; all other rows are imported"


def _share(failed: int, rows: int, percent: int) -> str:
    """Percent with at most one decimal, unless a share over the limit would be shown as the limit itself."""
    shown = f"{100 * failed / rows:.1f}".removesuffix(".0")
    return shown if float(shown) > percent else f"over {percent}"
