"""The XCom backend: a pushed `OutcomeBatch` goes to the ledger, its XCom is a small reference (design decision 5)."""

from typing import Any

from airflow.sdk.bases.xcom import BaseXCom

from face_import.catalogue import get_catalogue
from face_import.contract import SHARD_TASK
from face_import.domain.models import OutcomeBatch

KIND = "face_import.log"


class LedgerXCom(BaseXCom):
    """Stores outcomes in the ledger and everything else as Airflow does."""

    @staticmethod
    def serialize_value(value: Any, **where: Any) -> Any:
        """Write a batch to the ledger; what Airflow keeps and shows is how far its shard is."""
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
        """Give back the failures that a reference stands for, as rows of the log."""
        value = BaseXCom.deserialize_value(result)
        if not (isinstance(value, dict) and value.get("kind") == KIND):
            return value
        catalogue = get_catalogue()
        shard = catalogue.plans.shard(value["task"], value[SHARD_TASK])
        return [
            {"row": entry.row, "uri": entry.uri, "code": entry.code, "message": entry.message}
            for entry in catalogue.ledger.log(value["task"], within=shard)
        ]

    @staticmethod
    def purge(xcom: Any, *args: Any) -> None:
        """Delete nothing: Airflow purges a task instance's XComs at each try, the ledger outlives tries."""
