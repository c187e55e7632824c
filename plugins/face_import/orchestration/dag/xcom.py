"""The XCom backend: a pushed `OutcomeBatch` goes to the ledger, and Airflow keeps a small reference to it."""

from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from face_import.catalogue import get_catalogue
from face_import.contract import SHARD_TASK
from face_import.domain.models import OutcomeBatch
from face_import.errors import TaskNotFound

KIND = "face_import.log"


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
        reference = {
            "kind": KIND,
            "task": value.task_id,
            SHARD_TASK: value.shard,
            "handled": progress.handled,
            "succeeded": progress.succeeded,
            "failed": {str(code): rows for code, rows in progress.failures.items()},
        }
        return BaseXCom.serialize_value(reference, **where)

    @staticmethod
    def deserialize_value(result: Any) -> Any:
        """Turn a reference into the failed rows of its shard; there are none once the import is deleted."""
        value = BaseXCom.deserialize_value(result)
        if not (isinstance(value, dict) and value.get("kind") == KIND):
            return value
        catalogue = get_catalogue()
        try:
            task = catalogue.tasks.get(value["task"])
            shard = catalogue.plans.shard(task.id, value[SHARD_TASK])
        except TaskNotFound:
            return []
        return [
            {"row": entry.row, "uri": entry.uri, "code": entry.code, "message": entry.message}
            for entry in catalogue.ledger.log(task.id, within=shard)
        ]

    @staticmethod
    def purge(xcom: Any, *args: Any) -> None:
        """Delete nothing: Airflow purges the XComs of a task instance before each try, but outcomes outlive tries."""
