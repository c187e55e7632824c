"""Face imports in DAGs of your own (docs/how-to/own-dags.md).

`nightly_staff` prepares a file, imports it, and uses the counts. `branches` imports several files side by side.
"""

from airflow.sdk import DAG, task

from face_import.operators import FaceImportOperator

FILE = "https://hr.example.com/faces.csv"
FILES = ["https://north.example.com/faces.csv", "https://south.example.com/faces.csv"]

with DAG("nightly_staff", schedule="@daily", catchup=False, params={"file": FILE}):

    @task
    def export(params: dict[str, str]) -> str:
        """Prepare the file; returns its URL."""
        return params["file"]

    @task
    def report(counts: dict[str, object]) -> str:
        """Do something with the result."""
        return f"{counts['succeeded']} imported, failed by code: {counts['failed']}"

    imported = FaceImportOperator(
        task_id="import",
        source=export(),
        group_name="staff",
        thread_num=20,
        pos_yaw=30,
        fail_on_errors=1,  # this task fails if the import is completed with failed rows
    )
    report(imported.output)

with DAG("branches", schedule=None, params={"files": FILES}):

    @task
    def find(params: dict[str, list[str]]) -> list[str]:
        """Find the files of the branches; returns their URLs."""
        return params["files"]

    FaceImportOperator.partial(task_id="import", group_name="branches", max_failed=100).expand(source=find())
