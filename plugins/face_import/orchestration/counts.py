"""Counts of a completed import, as its run, the run of its recurring import and the group's asset keep them."""

from dataclasses import asdict
from typing import Any

from face_import.catalogue import Catalogue, ImportTask


def counts_of(catalogue: Catalogue, task: ImportTask) -> dict[str, Any]:
    """Rows that succeeded, rows that failed by code, and rows by change if only changes were imported."""
    progress = catalogue.ledger.progress(task.id)
    failed = {str(code): rows for code, rows in progress.failures.items()}
    counts: dict[str, Any] = {"task": task.id, "succeeded": progress.succeeded, "failed": failed}
    if task.config.entry:
        counts["changes"] = asdict(catalogue.ledger.changes(task.id))
    return counts
