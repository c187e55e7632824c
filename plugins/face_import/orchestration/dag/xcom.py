"""The XCom backend: a pushed `OutcomeBatch` goes to the ledger, and Airflow keeps a small reference to it."""

import re
from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from face_import.catalogue import Progress, get_catalogue
from face_import.contract import TASK_ID_LENGTH
from face_import.domain.models import OutcomeBatch
from face_import.errors import TaskNotFound

_REFERENCE = re.compile(rf"shard (?P<shard>\d+) of import (?P<task>[A-Za-z0-9_-]{{{TASK_ID_LENGTH}}}): \d")
"""A text, because Airflow's lists show an object folded up."""


class LedgerXCom(BaseXCom):
    """Stores outcomes in the ledger and everything else as Airflow does."""

    @staticmethod
    def serialize_value(value: Any, **where: Any) -> Any:
        """Write a batch to the ledger; the reference that Airflow keeps and shows is the progress of its shard.

        Raises:
            TaskStopped: the import was deleted.
            LeaseLost: another try holds the shard's lease.
        """
        if not isinstance(value, OutcomeBatch):
            return BaseXCom.serialize_value(value, **where)
        progress = get_catalogue().ledger.write(value)
        return BaseXCom.serialize_value(_in_words(value, progress), **where)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """Turn a reference into the failed rows of its shard; there are none once the import is deleted."""
        value = BaseXCom.deserialize_value(result)
        reference = _REFERENCE.match(value) if isinstance(value, str) else None
        if reference is None:
            return value
        catalogue = get_catalogue()
        try:
            task = catalogue.tasks.get(reference["task"])
            shard = catalogue.plans.shard(task.id, int(reference["shard"]))
        except TaskNotFound:
            return []
        return [
            {"row": entry.row, "uri": entry.uri, "code": entry.code, "message": entry.message}
            for entry in catalogue.ledger.log(task.id, within=shard)
        ]

    @staticmethod
    def purge(xcom: Any, *args: Any) -> None:
        """Delete nothing: Airflow purges the XComs of a task instance before each try, but outcomes outlive tries."""


def _in_words(batch: OutcomeBatch, progress: Progress) -> str:
    """The progress of a batch's shard; its beginning says where the rows are."""
    failures = ", ".join(f"{code} x{rows}" for code, rows in progress.failures.items())
    failed = f", {progress.handled - progress.succeeded} failed ({failures})" if failures else ""
    return f"shard {batch.shard} of import {batch.task_id}: {progress.succeeded} succeeded{failed}"
