"""The parameters of a run: Airflow's form with its bounds, and how they become a `TaskConfig`."""

import re
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from face_import.catalogue import TaskConfig
from face_import.contract import DEFAULT_THREAD_NUM, ENTRY_NAME_PATTERN, MAX_CONCURRENCY, MAX_SOURCE_URL, UPLOAD, Mode
from face_import.domain.models import LIMITS, Limit, Limits
from face_import.domain.reading import COLUMNS_SCHEMA, ENCODINGS, MAX_ENCODING, MAX_SHEET, reading_options
from face_import.domain.uri import redact
from face_import.settings import Settings

WHAT, READING, HOW, FACES, RECURRING = (
    *("Source and group", "How the file is read", "How it runs", "Limits", "Recurring import"),
)
"""Sections of the form, in its order."""
SOURCE_PATTERN = r"^(upload:|[A-Za-z][A-Za-z0-9+.-]*://)\S+$"
"""A URL, or what the API sends."""


def source_pattern(settings: Settings) -> str:
    """Pattern of sources that are worth a closer look: from the API, http(s), or below an allowed prefix."""
    folders = (re.escape(prefix.rstrip("/") + "/") for prefix in settings.source_prefixes)
    return rf"^({'|'.join((UPLOAD, 'https?://', *folders))})\S+$"


def _limit(limit: Limit) -> Param:
    return Param(
        0,
        type="integer",
        minimum=0,
        maximum=limit.most,
        title=limit.title,
        description=f"{limit.title}, {limit.unit}: 0 to {limit.most}; 0 means no limit.",
        section=FACES,
    )


def import_params(settings: Settings) -> dict[str, Param]:
    """Parameters of the DAG, by name, in the order of the form.

    Airflow validates them again for every task instance, so their bounds must not follow settings, which may change
    while an import is stopped; `plan` applies these, once. The exception is `source`, which `run_params` widens.
    """
    prefixes = ", ".join(settings.source_prefixes) or "none are configured"
    return {
        "source": Param(
            "",
            type="string",
            minLength=1,
            maxLength=MAX_SOURCE_URL,
            pattern=source_pattern(settings),
            title="Source",
            description=f"URL of the CSV or xlsx file: http(s), or below an allowed prefix ({prefixes}).",
            section=WHAT,
        ),
        "group_name": Param(
            "",
            type="string",
            pattern=r"^\S{1,250}$",
            title="Group",
            description="The face group to import into; created if it does not exist. "
            f"Its name has to match {settings.group_name_pattern}",
            section=WHAT,
        ),
        "encoding": Param(
            None,
            type=["null", "string"],  # what may be left empty in the form
            minLength=1,
            maxLength=MAX_ENCODING,
            examples=[*ENCODINGS],
            title="Encoding",
            description=f"Encoding of the file, for instance {', '.join(ENCODINGS)}. Empty recognises it.",
            section=READING,
        ),
        "sheet": Param(
            None,
            type=["null", "string"],
            minLength=1,
            maxLength=MAX_SHEET,
            title="Sheet",
            description="Name of the sheet, if the file is an Excel workbook. Empty takes the first one.",
            section=READING,
        ),
        "columns": Param(
            None,
            type=["null", "object"],
            **COLUMNS_SCHEMA,
            title="Columns",
            description="Which column is which, where the header does not say it: for uri, tag, description and id the "
            'title or the number from 1, or null for none; for instance {"uri": "photo", "id": 3}.',
            section=READING,
        ),
        "thread_num": Param(
            DEFAULT_THREAD_NUM,
            type="integer",
            minimum=1,
            maximum=MAX_CONCURRENCY,
            title="Concurrency",
            description="Maximum number of rows with a request to an image host or a face service in flight, "
            f"at most {settings.max_threads}.",
            section=HOW,
        ),
        "mode": Param(
            int(Mode.SKIP),
            type="integer",
            enum=[int(mode) for mode in Mode],
            values_display={int(Mode.SKIP): "skip bad rows", int(Mode.STOP): "stop at the first bad row"},
            title="On errors",
            description="Skip bad rows, or stop the import at the first one.",
            section=HOW,
        ),
        **{name: _limit(limit) for name, limit in LIMITS.items()},
        "entry": Param(
            None,
            type=["null", "string"],  # what may be left empty in the form
            pattern=ENTRY_NAME_PATTERN,
            title="Only changes since",
            description="Name of a recurring import: rows that are unchanged since it imported them are skipped, "
            "and the faces of changed rows are replaced. Empty imports all rows.",
            section=RECURRING,
        ),
    }


def run_params() -> dict[str, Param]:
    """Task-level parameters, wider than the form's: a run can be resumed whatever sources are allowed by then."""
    return {"source": Param("", type="string", minLength=1, maxLength=MAX_SOURCE_URL, pattern=SOURCE_PATTERN)}


def task_config(params: Mapping[str, Any]) -> TaskConfig:
    """The configuration of a task, from a run's validated parameters.

    Raises:
        InvalidRequest: how the file is to be read is malformed in a way that Airflow's validation lets pass.
    """
    return TaskConfig(
        group_name=params["group_name"],
        source=redact(params["source"]),
        limits=Limits(**{name: params[name] for name in LIMITS}),
        thread_num=params["thread_num"],
        mode=Mode(params["mode"]),
        entry=params["entry"] or "",
        options=reading_options(params),
    )
