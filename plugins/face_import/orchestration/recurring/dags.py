"""One small scheduled DAG for each entry of `recurring_imports.yaml`."""

import pkgutil
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.exceptions import AirflowTimetableInvalid
from airflow.sdk import DAG, Asset, CronTriggerTimetable
from airflow.serialization.encoders import coerce_to_core_timetable, encode_timetable

from face_import.domain.identity import IMPORT_TASK
from face_import.domain.recurring import Entry, Schedule, read_entries
from face_import.domain.uri import redact
from face_import.errors import ConfigError
from face_import.orchestration.importing import FaceImportOperator
from face_import.orchestration.recurring.waiting import SourceSensor
from face_import.settings import Settings

WAIT_TASK = "wait_for_source"


@dataclass(frozen=True, slots=True)
class Recurring:
    """What the file of recurring imports yields.

    Attributes:
        dags: one for each valid entry.
        problems: of the other entries, a line each.
    """

    dags: tuple[DAG, ...]
    problems: tuple[str, ...]


def recurring_imports(settings: Settings) -> Recurring:
    """Read the file, and nothing else: Airflow parses DAGs all the time."""
    path = settings.recurring_imports
    try:
        reading = read_entries(path.read_text(encoding="utf-8"), settings)
    except FileNotFoundError:
        missing = (f"FACE_IMPORT_RECURRING_FILE: there is no file {path}",)
        return Recurring((), missing if settings.recurring_file else ())
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        return Recurring((), (f"{path}: {error}",))
    dags, problems = [], list(reading.problems)
    for entry in reading.entries:
        try:
            dags.append(_dag(entry))
        except ConfigError as error:
            problems.append(f"entry {entry.name}: {error}")
    return Recurring(tuple(dags), tuple(f"{path}: {problem}" for problem in problems))


def _dag(entry: Entry) -> DAG:
    with DAG(
        dag_id=entry.dag_id,
        description=f"Import {_shown(entry.source)} into {entry.group}",
        doc_md=_documentation(entry),
        schedule=_schedule(entry.schedule),
        catchup=False,
        max_active_runs=1,
        tags=["faces", "recurring import"],
        default_args={"owner": "face-import", "retries": 5, "retry_delay": timedelta(seconds=10)},
    ) as dag:
        waiting = SourceSensor(task_id=WAIT_TASK, source=entry.source, patience_s=entry.patience_s)
        waiting >> FaceImportOperator(task_id=IMPORT_TASK, **entry.conf())
    return dag


def _schedule(schedule: Schedule) -> Any:
    """The DAG's `schedule`, validated as Airflow would do it later, at the expense of all other entries.

    Raises:
        ConfigError: it is not a cron expression, an asset's URI, or a timetable.
    """
    try:
        if schedule.asset:
            return [Asset(schedule.asset)]
        if schedule.cron:
            timetable = CronTriggerTimetable(schedule.cron, timezone=schedule.timezone)
        else:
            timetable = pkgutil.resolve_name(schedule.timetable)(**schedule.arguments)
        encode_timetable(timetable)
        coerce_to_core_timetable(timetable).validate()
    except (AirflowTimetableInvalid, ImportError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"schedule: {error}") from None
    return timetable


def _documentation(entry: Entry) -> str:
    shown = entry.conf() | {"source": _shown(entry.source)}
    config = "\n".join(f"| `{name}` | `{value}` |" for name, value in shown.items())
    return f"""### Recurring import `{entry.name}`

Waits up to {entry.patience_s} s for the source, then starts an import and waits for it; this run succeeds or fails
with it. To resume a stopped import, **clear** the task `{IMPORT_TASK}`.

| parameter | value |
| --- | --- |
{config}
"""


def _shown(source: str) -> str:
    """The template without passwords and queries; one that does not start with a URL cannot show any."""
    return redact(source) if "://" in source.partition("{")[0] else source
