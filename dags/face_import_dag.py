"""### Face import

Imports the faces of a CSV or xlsx file (uri, tag, description) into a face group. Each run is an import task of the
`/v1/tasks` API, whether it was started there or here.

`plan` stores the file and splits it into shards, each `shard` handles its rows with its share of `thread_num`, and
`finish` completes the task once every row has an outcome. The XCom `log` of a shard shows its progress; the task's
log has the rows that failed, with the reasons.

| parameter | meaning | default |
| --- | --- | --- |
| `source` | URL of the CSV or xlsx file: http(s), or below a configured prefix | |
| `group_name` | face group to import into | |
| `encoding` | encoding of the file, for instance gbk; empty: recognised | |
| `separator` | separator of the file, one of `,`, `;`, `tab` and a vertical bar; empty: recognised | |
| `sheet` | sheet of an Excel workbook; empty: the first one | |
| `columns` | which column is which, by title or number: `{"uri": "photo", "id": 3}`; empty: by the header | |
| `thread_num` | concurrency: maximum number of rows with a request in flight | 10 |
| `host_threads` | maximum number of images fetched from one image host at a time, 0 = no limit of its own | 0 |
| `mode` | 0 skips bad rows, 1 stops at the first | 0 |
| `max_failed` | failed rows since the last start beyond which the import stops, 0 = any number | 0 |
| `max_failed_percent` | the same in percent of the handled rows, from 1,000 on or once all are handled | 0 |
| `fail_on_errors` | 1: the run fails if the import is completed with failed rows | 0 |
| `callback_url` | http(s) URL that gets a signed POST whenever the import stops or completes | |
| `pos_pitch`, `pos_yaw`, `pos_rol` | maximum angles of a face in degrees, 0 = any | 0 |
| `width`, `height` | minimum size of a face in pixels, 0 = any | 0 |
| `blur_degree` | maximum blur, 0 (sharp) to 100 (blurred), 0 = any | 0 |
| `faces` | maximum number of faces in the image, of which the largest counts, 0 = any | 0 |
| `measure` | 1: faces are measured in full, so that other limits can be judged later | 0 |
| `same_picture` | 1: rows fail whose very image another row of the file, or of an earlier import of `entry`, has | 0 |
| `alike` | score from which a face counts as that of another tag in the group, and its row fails, 0 = off | 0 |
| `alike_tag` | score that a face must have with one of its own tag, if the group has any, 0 = off | 0 |
| `on_alike` | `refuse` such rows, or `note` it in the results of imported ones | refuse |
| `dry_run` | 1: faces are measured and judged only, and none is added | 0 |
| `sample` | number of rows to handle, spread evenly over the file, 0 = all | 0 |
| `entry` | recurring import of whose rows only new and changed ones are imported | |

```json
{"source": "https://example.com/faces.csv", "group_name": "staff", "thread_num": 20, "pos_yaw": 30, "width": 80}
```

**Stop** an import by marking its run failed, **resume** it by clearing its tasks, all of them: a stop leaves some
skipped, and rows that have an outcome are never handled again. **Pause** it by setting its pool to 0 slots. The
**Import** tab of a run and the links of its shards lead to the rows.

A completed import emits an event of the asset `face-import://groups/<group>` with its counts, so other DAGs can be
scheduled on it.
"""

from datetime import timedelta

from airflow.sdk import DAG, AssetAlias

from face_import.contract import ASSET_ALIAS, DAG_ID, FINISH_TASK, PLAN_TASK, SHARD_TASK
from face_import.orchestration.dag import tasks
from face_import.orchestration.dag.operators import interruptible_task, queue_of_shards
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
    plan = interruptible_task(task_id=PLAN_TASK, params=run_params(), priority_weight=100)(tasks.plan)
    shard = interruptible_task(
        task_id=SHARD_TASK, params=run_params(), map_index_template="{{ rows }}", **queue_of_shards(get_settings())
    )(tasks.shard)
    finish = interruptible_task(
        task_id=FINISH_TASK,
        params=run_params(),
        multiple_outputs=False,
        priority_weight=100,
        trigger_rule="all_done",
        outlets=[AssetAlias(ASSET_ALIAS)],
    )(tasks.finish)

    shard.expand(number=plan()) >> finish()
