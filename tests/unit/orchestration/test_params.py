"""The parameters of a run: their bounds, and what a task is made of."""

import re
from dataclasses import asdict
from typing import Any

import pytest
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError

from face_import.contract import MAX_ROW, Mode, OnAlike
from face_import.domain.guard import NO_GUARD, Guard
from face_import.domain.models import NO_POLICY, FailurePolicy, Limits, Scope
from face_import.domain.reading import AS_FOUND
from face_import.errors import InvalidRequest
from face_import.orchestration.dag.params import import_params, run_params, source_pattern, task_config
from face_import.settings import Settings

FORM = {"source": "https://h/faces.csv", "group_name": "staff"}


def validated(**values: Any) -> dict[str, Any]:
    """What Airflow makes of a form's values, the others left at their defaults."""
    params = ParamsDict(import_params(Settings()))
    params.update({**FORM, **values})
    return params.validate()


def test_a_form_that_is_left_alone_has_no_limits() -> None:
    """The defaults are those of the API."""
    config = task_config(validated())
    assert (config.limits, config.thread_num, config.mode, config.entry) == (Limits(), 10, Mode.SKIP, "")
    assert (config.host_threads, config.policy) == (0, NO_POLICY)
    assert config.options == AS_FOUND


def test_every_value_reaches_the_task() -> None:
    """Under its own name, and the source without secrets."""
    limits = {"pos_pitch": 1, "pos_yaw": 2, "pos_rol": 3, "width": 4, "height": 5, "blur_degree": 6, "faces": 1}
    source = "https://u:p4ss@h/faces.csv?key=t0k"
    reading = {"encoding": "gbk", "separator": "\t", "sheet": "员工", "columns": {"uri": "照片", "tag": 2, "id": None}}
    how = {"thread_num": 7, "host_threads": 2, "mode": 1, "entry": "nightly", "measure": 1}
    policy = {"max_failed": 5, "max_failed_percent": 20, "fail_on_errors": 1}
    config = task_config(validated(**limits, **reading, source=source, **how, **policy))
    assert config.policy == FailurePolicy(**policy)
    assert config.scope == Scope(measure=1)
    assert config.guard == NO_GUARD
    guard = {"same_picture": 1, "alike": 1, "alike_tag": 0.45, "on_alike": "note"}
    for entry in (None, "nightly"):
        assert task_config(validated(**guard, entry=entry)).guard == Guard(1, 1.0, 0.45, OnAlike.NOTE)
    assert task_config(validated(dry_run=1, sample=1000)).scope == Scope(dry_run=1, sample=1000)
    assert config.limits == Limits(**limits)
    assert (config.group_name, config.source) == ("staff", "https://h/faces.csv?…")
    assert (config.thread_num, config.host_threads, config.mode, config.entry) == (7, 2, Mode.STOP, "nightly")
    assert asdict(config.options) == reading
    assert task_config(validated(separator="tab")).options.separator == "\t"
    url = "https://me:p4ss@app.example.com/hooks?key=t0k"
    assert task_config(validated(callback_url=url)).callback_url == url
    assert config.callback_url == ""


@pytest.mark.parametrize("url", ["http://", "https://[::1/x", "http://x.example:99999/"])
def test_a_callback_that_leads_nowhere_is_refused(url: str) -> None:
    """What Airflow's pattern lets pass is still looked at before the import begins."""
    with pytest.raises(InvalidRequest, match=r"^callback_url: "):
        task_config({**validated(), "callback_url": url})


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("pos_pitch", 0, 180),
        ("pos_yaw", 0, 180),
        ("pos_rol", 0, 180),
        ("width", 0, 100_000),
        ("height", 0, 100_000),
        ("blur_degree", 0, 100),
        ("faces", 0, 100),
        ("thread_num", 1, 1000),
        ("host_threads", 0, 1000),
        ("mode", 0, 1),
        ("max_failed", 0, MAX_ROW),
        ("max_failed_percent", 0, 100),
        ("fail_on_errors", 0, 1),
        ("measure", 0, 1),
        ("dry_run", 0, 1),
        ("sample", 0, MAX_ROW),
        ("same_picture", 0, 1),
    ],
)
def test_numbers_have_bounds(name: str, least: int, most: int) -> None:
    """Both ends are taken, one more or less is refused, and so is what is no whole number."""
    for value in (least, most):
        assert validated(**{name: value})[name] == value
    for value in (least - 1, most + 1, 0.5, str(least), None):
        with pytest.raises(ParamValidationError):
            validated(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("group_name", "g" * 250, True),
        ("group_name", "g" * 251, False),
        ("group_name", "", False),
        ("group_name", "two words", False),
        ("source", "https://h/" + "x" * 4086, True),
        ("source", "https://h/" + "x" * 4087, False),
        ("entry", None, True),
        ("entry", "e" * 64, True),
        ("entry", "e" * 65, False),
        ("entry", "", False),
        ("encoding", None, True),
        ("encoding", "e" * 40, True),
        ("encoding", "e" * 41, False),
        ("separator", None, True),
        ("separator", "|", True),
        ("separator", r"\t", True),
        ("separator", ":", False),
        ("separator", "", False),
        ("sheet", None, True),
        ("sheet", "s" * 255, True),
        ("sheet", "s" * 256, False),
    ],
)
def test_texts_have_bounds(name: str, value: str | None, *, allowed: bool) -> None:
    """As wide as the catalogue's columns."""
    if allowed:
        assert validated(**{name: value})[name] == value
    else:
        with pytest.raises(ParamValidationError):
            validated(**{name: value})


@pytest.mark.parametrize(
    ("columns", "allowed"),
    [
        (None, True),
        ({}, True),
        ({"uri": "照片", "tag": 2, "description": None, "id": "x" * 1024}, True),
        ({"photo": "照片"}, False),
        ({"uri": ""}, False),
        ({"uri": "x" * 1025}, False),
        ({"uri": 0}, False),
        ({"uri": 1.5}, False),
        ({"uri": ["照片"]}, False),
        ("uri", False),
        (["uri"], False),
    ],
    ids=lambda value: str(value)[:20],
)
def test_columns_have_a_shape(columns: object, *, allowed: bool) -> None:
    """The form refuses what the API refuses."""
    if allowed:
        assert task_config(validated(columns=columns)).options.columns == (columns or {})
    else:
        with pytest.raises(ParamValidationError):
            validated(columns=columns)


def test_bounds_do_not_follow_settings() -> None:
    """Airflow validates anew for each task instance: a run goes on under settings that were lowered meanwhile."""
    narrow = Settings(max_threads=3, group_name_pattern="^only$")
    for name, param in import_params(narrow).items():
        wide = import_params(Settings())[name]
        same = {key: value for key, value in param.schema.items() if key != "description"}
        assert same == {key: value for key, value in wide.schema.items() if key != "description"}, name
    assert "at most 3" in (import_params(narrow)["thread_num"].description or "")


@pytest.mark.parametrize("prefix", ["s3://bucket.name/a+b (1)", "s3://bucket.name/a+b (1)/"])
def test_a_prefix_is_no_pattern(prefix: str) -> None:
    """What an operator allows is taken literally, as a folder."""
    pattern = source_pattern(Settings(source_prefixes=(prefix,)))
    assert re.fullmatch(pattern, "s3://bucket.name/a+b (1)/faces.csv")
    for other in ("s3://bucketXname/a+b (1)/f.csv", "s3://bucket.name/aab (1)/f.csv", "s3://bucket.name/a+b (1)"):
        assert re.fullmatch(pattern, other) is None, other


def test_tasks_take_the_sources_of_all_settings() -> None:
    """A run whose source was allowed when it was triggered passes under any settings, but is still a URL."""
    (param,) = run_params().values()
    assert isinstance(param, Param)
    for source in ("s3://bucket/a.csv", "file:///data/a.csv", "upload:AAAAAAAAAAAA", "https://h/a.csv"):
        assert param.resolve(source) == source
    for source in ("", "/etc/passwd", "s3:/bucket/a.csv", "https://h/two words.csv", "https://h/" + "x" * 4087):
        with pytest.raises(ParamValidationError):
            param.resolve(source)


@pytest.mark.parametrize("trial", [{"dry_run": 1}, {"sample": 10}])
def test_changes_of_an_entry_are_imported_in_earnest(trial: dict[str, int]) -> None:
    """What it has in the group is on record: a dry run would leave that wrong, and rows outside a sample look gone."""
    with pytest.raises(InvalidRequest, match="dry run or sample"):
        task_config(validated(entry="nightly", **trial))


def test_a_parameter_that_does_not_exist_is_named() -> None:
    """Airflow lets it pass; a misspelt limit must not be off silently."""
    with pytest.raises(InvalidRequest, match=r"^pos_yaww: there is no such parameter; there are source, group_name, "):
        task_config(validated(pos_yaww=30))
