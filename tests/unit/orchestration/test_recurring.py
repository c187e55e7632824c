"""The DAGs that the file of recurring imports makes."""

from pathlib import Path

import pendulum
import pytest
from airflow.sdk import DAG
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import TimeRestriction

from face_import.domain.identity import import_of_run, is_task_id
from face_import.orchestration.recurring.dags import recurring_imports
from face_import.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[3]
ENTRY = "  - {{name: {name}, schedule: {schedule}, source: 'https://example.com/{{{{ ds }}}}.csv', group: staff}}\n"


def settings_with(tmp_path: Path, *schedules: str) -> Settings:
    """Settings whose file has an entry for each schedule, named e0, e1 and so on."""
    entries = "".join(ENTRY.format(name=f"e{n}", schedule=schedule) for n, schedule in enumerate(schedules))
    (tmp_path / "recurring_imports.yaml").write_text("imports:\n" + entries)
    return Settings(home=tmp_path)


def test_an_entry_is_a_small_dag(tmp_path: Path) -> None:
    """It waits for the source and imports it, one run at a time; the source stays a template."""
    (dag,) = recurring_imports(settings_with(tmp_path, "'0 2 * * *'")).dags
    assert isinstance(dag, DAG)
    assert (dag.dag_id, dag.task_ids) == ("recurring_e0", ["wait_for_source", "import"])
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.get_task("wait_for_source").downstream_task_ids == {"import"}
    assert dag.get_task("wait_for_source").source == "https://example.com/{{ ds }}.csv"
    assert dag.get_task("import").conf["source"] == "https://example.com/{{ ds }}.csv"


def test_secrets_of_a_source_are_not_in_its_documentation(tmp_path: Path) -> None:
    """The DAG's page shows where the file comes from, without password and query."""
    settings = settings_with(tmp_path, "'@daily'")
    path = settings.recurring_imports
    path.write_text(
        path.read_text().replace("https://example.com/{{ ds }}.csv", "https://u:p4ss@example.com/{{ ds }}?k=t0k")
    )
    (dag,) = recurring_imports(settings).dags
    shown = f"{dag.doc_md}{dag.description}"
    assert "https://example.com/{{ ds }}?…" in shown
    assert "p4ss" not in shown
    assert "t0k" not in shown


@pytest.mark.parametrize(
    "schedule",
    [
        "'@daily'",
        "{cron: '30 6 * * 1-5', timezone: Europe/Berlin}",
        "{asset: 'face-import://groups/guests'}",
        "{timetable: airflow.sdk.CronTriggerTimetable, arguments: {expression: '@hourly', timezone: UTC}}",
    ],
)
def test_what_airflow_can_schedule_is_taken(tmp_path: Path, schedule: str) -> None:
    """Cron expressions, presets, assets and timetables."""
    recurring = recurring_imports(settings_with(tmp_path, schedule))
    assert recurring.problems == ()
    assert len(recurring.dags) == 1


@pytest.mark.parametrize(
    "schedule",
    [
        "'61 * * * *'",
        "'every day'",
        "'@continuous'",
        "'@once'",
        "{timetable: airflow.sdk.NoSuchTimetable}",
        "{timetable: no_such_module.Timetable}",
        "{timetable: airflow.sdk.CronTriggerTimetable, arguments: {corn: '@daily'}}",
        "{timetable: builtins.dict}",
    ],
)
def test_a_broken_schedule_does_not_take_the_others_down(tmp_path: Path, schedule: str) -> None:
    """The entries before and behind it are DAGs; the problem names file, entry and field."""
    recurring = recurring_imports(settings_with(tmp_path, "'@daily'", schedule, "'@weekly'"))
    assert [dag.dag_id for dag in recurring.dags] == ["recurring_e0", "recurring_e2"]
    (problem,) = recurring.problems
    assert problem.startswith(f"{tmp_path}/recurring_imports.yaml: entry e1: schedule: ")


@pytest.mark.parametrize(
    ("cron", "night", "times"),
    [
        ("30 2 * * *", "2027-03-28", ["03:30+02:00"]),
        ("30 2 * * *", "2026-10-25", ["02:30+01:00"]),
        ("0 1,2,3 * * *", "2027-03-28", ["01:00+01:00", "03:00+02:00"]),
        ("0 1,2,3 * * *", "2026-10-25", ["01:00+02:00", "02:00+01:00", "03:00+01:00"]),
        ("0 * * * *", "2027-03-28", ["00:00+01:00", "01:00+01:00", "03:00+02:00"]),
        ("0 * * * *", "2026-10-25", ["00:00+02:00", "01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"]),
    ],
)
def test_when_the_clocks_change(tmp_path: Path, cron: str, night: str, times: list[str]) -> None:
    """As docs/how-to/recurring.md says; runs between midnight and four o'clock in Berlin."""
    (dag,) = recurring_imports(settings_with(tmp_path, f"{{cron: '{cron}', timezone: Europe/Berlin}}")).dags
    timetable = coerce_to_core_timetable(dag.timetable)
    start = pendulum.parse(night, tz="Europe/Berlin")
    within, last, found = TimeRestriction(earliest=start, latest=start.at(3, 59), catchup=True), None, []
    while run := timetable.next_dagrun_info(last_automated_data_interval=last, restriction=within):
        last = run.data_interval
        found.append(run.run_after.in_timezone("Europe/Berlin").format("HH:mmZ"))
    assert found == times


def test_the_file_need_not_be_there_unless_it_is_named(tmp_path: Path) -> None:
    """The default one is optional; a path that somebody set and that leads nowhere is a mistake."""
    assert recurring_imports(Settings(home=tmp_path)).problems == ()
    (problem,) = recurring_imports(Settings(home=tmp_path, recurring_file=tmp_path / "gone.yaml")).problems
    assert "FACE_IMPORT_RECURRING_FILE" in problem


def test_the_examples_are_right() -> None:
    """Every entry of the example file makes a DAG."""
    examples = CHECKOUT / "examples" / "recurring_imports.yaml"
    recurring = recurring_imports(Settings(recurring_file=examples))
    assert recurring.problems == ()
    assert len(recurring.dags) == examples.read_text().count("- name:") > 0


def test_a_run_always_has_the_same_import() -> None:
    """A retry finds the import of the try before; runs of other DAGs and other runs have others."""
    first = import_of_run("recurring_staff", "scheduled__2030-01-01T00:00:00+00:00")
    assert is_task_id(first)
    assert first == import_of_run("recurring_staff", "scheduled__2030-01-01T00:00:00+00:00")
    assert first != import_of_run("recurring_guests", "scheduled__2030-01-01T00:00:00+00:00")
    assert first != import_of_run("recurring_staff", "scheduled__2030-01-02T00:00:00+00:00")
