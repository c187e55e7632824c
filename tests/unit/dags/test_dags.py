"""DAG integrity: what Airflow parses, and that its loaders leave our package alone."""

import re
import runpy
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.param import process_params
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from face_import.contract import OnAlike
from face_import.control import run_conf
from face_import.domain.guard import Guard
from face_import.domain.models import LIMITS, FailurePolicy
from face_import.domain.reading import AS_FOUND, ReadingOptions
from face_import.domain.recurring import Entry
from face_import.errors import ConfigError
from face_import.orchestration.dag.params import (
    FACES,
    HOW,
    READING,
    RECURRING,
    TAGS,
    TRIAL,
    WHAT,
    import_params,
    task_config,
)
from face_import.settings import Settings, get_settings
from tests.conftest import MakeTask

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def dag() -> DAG:
    """The import DAG, loaded by its path as Airflow does."""
    sys.path.insert(0, str(CHECKOUT / "dags"))
    try:
        import face_import_dag  # noqa: PLC0415 - the dags folder is no package
    finally:
        sys.path.pop(0)
    (dag,) = (value for value in vars(face_import_dag).values() if isinstance(value, DAG))
    return dag


def test_the_ids_never_change(dag: DAG) -> None:
    """Runs of an earlier release go on in a later one: ids and their order are fixed."""
    assert dag.dag_id == "face_import"
    assert dag.task_ids == ["plan", "shard", "finish"]
    assert dag.get_task("plan").downstream_task_ids == {"shard"}
    assert dag.get_task("shard").downstream_task_ids == {"finish"}


def test_airflow_can_keep_it(dag: DAG) -> None:
    """Its server knows a DAG by what the DAG processor wrote down of it: what cannot be written is no DAG."""
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).task_ids == dag.task_ids


def test_retries_are_quick_and_finish_always_runs(dag: DAG) -> None:
    """A killed shard is tried again within seconds; finish judges also a run with failed shards."""
    assert dag.get_task("shard").partial_kwargs["retries"] == 5
    assert dag.get_task("shard").partial_kwargs["retry_delay"].total_seconds() == 5
    assert dag.get_task("finish").trigger_rule == "all_done"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("source", ""),
        ("source", "faces.csv"),
        ("source", "/data/faces.csv"),
        ("source", "https://example.com/two words.csv"),
        ("group_name", "Not A Group"),
        ("thread_num", 0),
        ("thread_num", 1001),
        ("host_threads", -1),
        ("host_threads", 1001),
        ("mode", 2),
        ("max_failed", -1),
        ("max_failed_percent", 101),
        ("fail_on_errors", 2),
        ("pos_yaw", -1),
        ("pos_yaw", "many"),
        ("width", -1),
        ("blur_degree", 101),
        ("faces", 101),
        ("entry", "Staff Nightly"),
        ("callback_url", "app.example.com"),
        ("callback_url", "https://app.example.com/two words"),
        ("callback_url", "https://app.example.com/" + "x" * 2048),
    ],
)
def test_the_form_refuses_wrong_values(dag: DAG, name: str, wrong: object) -> None:
    """Every parameter has a type and bounds."""
    param = dag.params.get_param(name)
    with pytest.raises(ParamValidationError):
        param.resolve(wrong)


@pytest.mark.parametrize(
    "source", ["https://example.com/faces.csv?v=1", "s3://bucket/faces.csv", "file:///data/faces.csv", "upload:a-task"]
)
@pytest.mark.parametrize("task_id", ["plan", "shard", "finish"])
def test_a_run_keeps_its_source(dag: DAG, task_id: str, source: str) -> None:
    """What was allowed when the run was asked for passes whatever is allowed by now; so does what the API sends."""
    task = dag.get_task(task_id)
    conf = {"source": source, "group_name": "staff"}
    assert process_params(dag, task, conf, suppress_exception=False)["source"] == source
    with pytest.raises(ParamValidationError):
        process_params(dag, task, {**conf, "source": "two words"}, suppress_exception=False)


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("https://example.com/faces.csv?v=1", True),
        ("http://10.0.0.1/faces.csv", True),  # `plan` refuses the address
        ("file:///data/faces.csv", True),
        ("s3://bucket/faces/2030/a.csv", True),
        ("upload:AAAAAAAAAAAA", True),
        ("", False),
        ("file:///etc/passwd", False),
        ("file:///data", False),
        ("file:///database/faces.csv", False),
        ("s3://bucket/other.csv", False),
        ("s3xxbucket/faces/a.csv", False),
        ("zip://a.csv::file:///data/a.zip", False),
        ("ftp://example.com/faces.csv", False),
    ],
)
def test_the_form_takes_the_sources_that_settings_allow(source: str, allowed: bool) -> None:
    """Airflow's server, which knows the schema alone, refuses what `plan` would refuse by its beginning."""
    settings = Settings(source_prefixes=("file:///data", "s3://bucket/faces/"))
    dag = DAG("form", schedule=None, params=import_params(settings))
    kept = DagSerialization.from_dict(DagSerialization.to_dict(dag)).params.get_param("source")
    kept.value = source
    assert kept.resolve() == (source if allowed else None)


@pytest.mark.parametrize("changes_only", [True, False])
def test_an_entrys_conf_makes_its_task(dag: DAG, *, changes_only: bool) -> None:
    """What a recurring import sends passes the form's rules, and its task knows whose changes it imports."""
    schedule, source = {"cron": "@daily"}, "https://example.com/a.csv"
    entry = Entry.model_validate(
        {"name": "nightly", "schedule": schedule, "source": source, "group": "staff", "changes_only": changes_only}
    )
    params = deepcopy(dag.params)
    params.update(entry.conf())
    assert task_config(params.validate()).entry == ("nightly" if changes_only else "")


GUARDED = Guard(alike=0.6, alike_tag=0.45, on_alike=OnAlike.NOTE)


@pytest.mark.parametrize("entry", ["", "nightly"])
def test_what_a_start_sends_passes_the_form(dag: DAG, make_task: MakeTask, entry: str) -> None:
    """A task that is started again under a run that is gone is the same task."""
    task = make_task(entry=entry)
    options = ReadingOptions("gbk", "\t", "员工", {"uri": "照片", "id": None}) if entry else AS_FOUND
    task = replace(task, config=replace(task.config, options=options, policy=FailurePolicy(5, 20, 1), guard=GUARDED))
    params = deepcopy(dag.params)
    params.update(run_conf(task))
    config = task_config(params.validate())
    assert replace(config, source=task.config.source) == task.config


def test_every_parameter_is_explained(dag: DAG) -> None:
    """Title and help of each field are there, and the DAG's own documentation names each parameter."""
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.schema["title"], name
        assert param.description, name
        assert param.schema["section"] in (WHAT, READING, HOW, FACES, TAGS, TRIAL, RECURRING), name
        assert f"`{name}`" in (dag.doc_md or ""), name


def test_the_documentation_says_what_the_limits_are(dag: DAG) -> None:
    """The DAG's table and that of the API, which are written by hand, agree with the one they are made from."""
    api = (CHECKOUT / "docs" / "reference" / "api.md").read_text()
    for name, limit in LIMITS.items():
        (row,) = (line for line in (dag.doc_md or "").splitlines() if line.startswith("|") and f"`{name}`" in line)
        assert limit.title.split()[0].lower() in row, name
        assert limit.unit in row, name
        assert re.search(rf"^\|.*`{name}`.*\| 0-{limit.most} \|", api, re.MULTILINE), name


@pytest.fixture
def recurring_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file of recurring imports that the DAG files read."""
    path = tmp_path / "recurring.yaml"
    monkeypatch.setenv("FACE_IMPORT_RECURRING_FILE", str(path))
    get_settings.cache_clear()
    yield path
    get_settings.cache_clear()


def test_a_broken_entry_is_raised_beside_the_dags_of_the_others(recurring_file: Path) -> None:
    """One file has the DAGs and never raises, the other one raises and has no DAGs."""
    good = "{name: good, schedule: '@daily', source: 'https://example.com/a.csv', group: staff}"
    recurring_file.write_text(f"imports: [{{name: bad}}, {good}]")
    found = runpy.run_path(str(CHECKOUT / "dags" / "recurring_imports_dag.py"))
    assert [name for name in found if name.startswith("recurring_") and isinstance(found[name], DAG)] == [
        "recurring_good"
    ]
    with pytest.raises(ConfigError, match=r"entry 1 \(bad\): schedule: Field required"):
        runpy.run_path(str(CHECKOUT / "dags" / "recurring_imports_check.py"))


@pytest.mark.parametrize("name", ["recurring_imports_dag.py", "recurring_imports_check.py"])
def test_without_recurring_imports_there_is_no_dag_and_no_error(recurring_file: Path, name: str) -> None:
    """An empty file is fine."""
    recurring_file.write_text("imports:\n")
    found = runpy.run_path(str(CHECKOUT / "dags" / name))
    assert not any(isinstance(value, DAG) for value in found.values())
