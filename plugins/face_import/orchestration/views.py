"""What Face import adds to Airflow's pages: the list of imports, a tab on runs, a link on each shard."""

from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from face_import.contract import DAG_ID, SHARD_TASK
from face_import.settings import Settings, get_settings


def external_views(settings: Settings) -> list[dict[str, Any]]:
    """Pages of the console, shown inside Airflow's.

    Airflow shows a tab on the runs of every DAG, so the page is told which DAG it is: a run of a recurring
    import has the import that it triggered.
    """
    console = settings.console_url
    return [
        {
            "name": "Imports",
            "href": f"{console}/?embed=1",
            "destination": "nav",
            "category": "browse",
            "url_route": "face-imports",
        },
        {
            "name": "Import",
            "href": f"{console}/runs/{{RUN_ID}}?embed=1&dag={{DAG_ID}}",
            "destination": "dag_run",
            "url_route": "face-import",
        },
    ]


class RowsLink(BaseOperatorLink):
    """From a shard's task instance to its part of the import's log; other task instances get no link."""

    name = "Failed rows"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's interface
        """The console's page of the run, narrowed to the shard."""
        if (ti_key.dag_id, ti_key.task_id) != (DAG_ID, SHARD_TASK) or ti_key.map_index < 0:
            return ""
        return f"{get_settings().console_url}/runs/{quote(ti_key.run_id, safe='')}?shard={ti_key.map_index}"
