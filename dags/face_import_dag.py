"""### Face import

Imports the faces of a CSV file (uri, tag, description) into a face group: one run is one import task of the
`/v1/tasks` API, and a run that is started here is a task there.

`plan` takes the file in and cuts it into shards, every `shard` handles its rows at the parallelism that
`thread_num` leaves it, and `finish` completes the task when each row has its outcome. The XCom `log` of a shard
shows how far it is; the rows that failed, with their reasons, are in the task's log.

| parameter | meaning | default |
| --- | --- | --- |
| `source` | URL of the CSV file: http(s), or below a configured prefix | |
| `group_name` | face group to import into | |
| `thread_num` | rows handled at the same time | 10 |
| `mode` | 0 skips bad rows, 1 stops at the first | 0 |
| `pos_pitch`, `pos_yaw`, `pos_rol` | largest angles of a face in degrees, 0 = any | 0 |
| `width`, `height` | smallest face in pixels, 0 = any | 0 |
| `blur_degree` | largest blur, 0 (sharp) to 100, 0 = any | 0 |
| `entry` | recurring import of whose rows only new and changed ones are imported | |

```json
{"source": "https://example.com/faces.csv", "group_name": "staff", "thread_num": 20, "pos_yaw": 30, "width": 80}
```

**Stop** an import by marking its run failed, **go on** by clearing its failed tasks; rows that have their outcome
are never handled again. **Pause** it by setting the slots of its pool to 0. The tab **Import** of a run, and the
links of its shards, lead to the rows.

A finished import emits an event of the asset `face-import://groups/<group>` with its counts, so that other DAGs can be
scheduled on it.
"""

from datetime import timedelta

from airflow.sdk import DAG, AssetAlias

from face_import.contract import ASSET_ALIAS, DAG_ID, FINISH_TASK, PLAN_TASK, SHARD_TASK
from face_import.orchestration.dag import tasks
from face_import.orchestration.dag.operators import import_task, queue_of_shards
from face_import.orchestration.dag.params import import_params, run_params
from face_import.settings import get_settings

with DAG(
    dag_id=DAG_ID,
    description="Import the faces of a CSV file into a face group",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    params=import_params(get_settings()),
    tags=["faces", "import"],
    max_active_runs=1000,
    max_active_tasks=1000,
    default_args={"owner": "face-import", "retries": 5, "retry_delay": timedelta(seconds=5)},
) as dag:
    plan = import_task(task_id=PLAN_TASK, params=run_params(), priority_weight=100)(tasks.plan)
    queue = queue_of_shards(get_settings())
    shard = import_task(task_id=SHARD_TASK, params=run_params(), map_index_template="{{ rows }}", **queue)(tasks.shard)
    finish = import_task(
        task_id=FINISH_TASK,
        params=run_params(),
        multiple_outputs=False,
        priority_weight=100,
        trigger_rule="all_done",
        outlets=[AssetAlias(ASSET_ALIAS)],
    )(tasks.finish)

    shard.expand(number=plan()) >> finish()
