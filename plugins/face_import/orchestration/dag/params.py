"""The parameters of a run: Airflow's form with its bounds, and how they become a `TaskConfig`."""

import re
from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from face_import.catalogue import TaskConfig
from face_import.clients.callback import check_callback_url
from face_import.contract import (
    CALLBACK_PATTERN,
    DEFAULT_THREAD_NUM,
    ENTRY_NAME_PATTERN,
    MAX_CALLBACK_URL,
    MAX_CONCURRENCY,
    MAX_SOURCE_URL,
    UPLOAD,
    Mode,
    OnAlike,
)
from face_import.domain.failures import JUDGED_FROM
from face_import.domain.guard import GUARD, Guard
from face_import.domain.models import FAILURE_POLICY, LIMITS, SCOPE, FailurePolicy, Limit, Limits, Scope
from face_import.domain.reading import (
    COLUMNS_SCHEMA,
    ENCODINGS,
    MAX_ENCODING,
    MAX_SHEET,
    SEPARATOR_PATTERN,
    reading_options,
)
from face_import.domain.uri import redact
from face_import.errors import InvalidRequest
from face_import.settings import Settings, get_settings

WHAT, READING, HOW, FACES, TAGS, TRIAL, RECURRING = (
    *("Source and group", "How the file is read", "How it runs", "Limits", "Doubtful tags", "Trial"),
    "Recurring import",
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


def _option(limit: Limit, description: str, section: str = HOW) -> Param:
    is_choice = limit.most == 1
    choice = {"enum": [0, 1], "values_display": {0: "no", 1: "yes"}}
    bounds = choice if is_choice else {"minimum": 0, "maximum": limit.most}
    return Param(0, type="integer", **bounds, title=limit.title, description=description, section=section)


def _score(name: str, description: str) -> Param:
    return Param(0, type="number", minimum=0, maximum=1, title=GUARD[name], description=description, section=TAGS)


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
        "separator": Param(
            None,
            type=["null", "string"],
            pattern=f"^({SEPARATOR_PATTERN})$",
            examples=[",", ";", "|", "tab"],
            title="Separator",
            description="Character between the cells of the file: , or ; or | or tab. Empty recognises it.",
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
        "host_threads": Param(
            0,
            type="integer",
            minimum=0,
            maximum=MAX_CONCURRENCY,
            title="Concurrency per image host",
            description="Maximum number of images that are fetched from one image host at a time, "
            f"at most {settings.max_threads}; 0 means no limit of its own.",
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
        "max_failed": _option(
            FAILURE_POLICY["max_failed"],
            "Stops the import when more rows have failed since its last start; 0 means any number may fail.",
        ),
        "max_failed_percent": _option(
            FAILURE_POLICY["max_failed_percent"],
            "Stops the import when a larger share of the rows handled since its last start has failed, from "
            f"{JUDGED_FROM:,} rows on, or once all are handled; 0 means any share may fail.",
        ),
        "fail_on_errors": _option(
            FAILURE_POLICY["fail_on_errors"], "Whether this run fails if the import is completed with failed rows."
        ),
        "callback_url": Param(
            None,
            type=["null", "string"],  # what may be left empty in the form
            maxLength=MAX_CALLBACK_URL,
            pattern=CALLBACK_PATTERN,
            title="Callback URL",
            description="http(s) URL that gets a signed POST whenever the import stops or completes. It is shown here "
            "as it is; one with a secret is better given to the API.",
            section=HOW,
        ),
        **{name: _limit(limit) for name, limit in LIMITS.items()},
        "measure": _option(
            SCOPE["measure"],
            "Whether faces are measured in full, not only as far as the limits need: other limits can be judged later.",
            FACES,
        ),
        "same_picture": Param(
            0,
            type="integer",
            enum=[0, 1],
            values_display={0: "no", 1: "yes"},
            title=GUARD["same_picture"],
            description="Whether a row fails whose image, byte by byte, another row of the file has imported, or "
            "a row of the recurring import that is named below.",
            section=TAGS,
        ),
        "alike": _score(
            "alike",
            "The library's score, 0 to 1, from which a face counts as that of another tag in the group; 0 is off.",
        ),
        "alike_tag": _score(
            "alike_tag",
            "Score, 0 to 1, that a face must have with one of its own tag, if the group has such faces; 0 is off.",
        ),
        "on_alike": Param(
            str(OnAlike.REFUSE),
            type="string",
            enum=[str(word) for word in OnAlike],
            values_display={OnAlike.REFUSE: "refuse them", OnAlike.NOTE: "import them, and note it in the results"},
            title=GUARD["on_alike"],
            description="Whether rows that these comparisons speak against fail, or are imported with a note.",
            section=TAGS,
        ),
        "dry_run": _option(
            SCOPE["dry_run"], "Whether faces are measured and judged only, and none is added to the group.", TRIAL
        ),
        "sample": _option(
            SCOPE["sample"], "How many rows are handled, spread evenly over the file; 0 handles all of them.", TRIAL
        ),
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


PARAMETERS = tuple(import_params(get_settings()))
"""Names of the parameters."""


def run_params() -> dict[str, Param]:
    """Task-level parameters, wider than the form's: a run can be resumed whatever sources are allowed by then."""
    return {"source": Param("", type="string", minLength=1, maxLength=MAX_SOURCE_URL, pattern=SOURCE_PATTERN)}


def task_config(params: Mapping[str, Any]) -> TaskConfig:
    """The configuration of a task, from a run's validated parameters.

    Raises:
        InvalidRequest: what Airflow's validation lets pass: how the file is to be read is malformed, or parameters
            that exclude each other, or that do not exist.
    """
    if unknown := [name for name in params if name not in PARAMETERS]:  # a misspelt limit must not be silently off
        raise InvalidRequest(f"{unknown[0]}: there is no such parameter; there are {', '.join(PARAMETERS)}")
    check_callback_url(params["callback_url"] or "")
    scope = Scope(**{name: params[name] for name in SCOPE})
    if params["entry"] and (scope.dry_run or scope.sample):
        raise InvalidRequest("entry: only changes since a recurring import cannot be combined with a dry run or sample")
    return TaskConfig(
        group_name=params["group_name"],
        source=redact(params["source"]),
        limits=Limits(**{name: params[name] for name in LIMITS}),
        thread_num=params["thread_num"],
        mode=Mode(params["mode"]),
        entry=params["entry"] or "",
        options=reading_options(params),
        host_threads=params["host_threads"],
        policy=FailurePolicy(**{name: params[name] for name in FAILURE_POLICY}),
        scope=scope,
        guard=Guard.of(params),
        callback_url=params["callback_url"] or "",
    )
