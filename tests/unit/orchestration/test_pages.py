"""What Airflow's pages show of the console, and where they link to."""

from types import SimpleNamespace

import pytest

from face_import.orchestration.plugin import pages
from face_import.orchestration.plugin.pages import RowsLink, external_views
from face_import.settings import Settings


def test_airflow_embeds_two_pages_of_the_console() -> None:
    """The list in its menu, and a tab on runs that knows run and DAG; Airflow fills in the braces."""
    views = {view["destination"]: view for view in external_views(Settings(public_url="https://faces/"))}
    assert views["nav"]["href"] == "https://faces/?embed=1"
    assert views["dag_run"]["href"] == "https://faces/runs/{RUN_ID}?embed=1&dag={DAG_ID}"
    assert len({view["url_route"] for view in views.values()}) == 2


def link(monkeypatch: pytest.MonkeyPatch, **changes: object) -> str:
    """The link of a shard's task instance, but for the changes."""
    monkeypatch.setattr(pages, "get_settings", lambda: Settings(public_url="https://faces"))
    key = {"dag_id": "face_import", "task_id": "shard", "run_id": "manual__2030-01-01T00:00:00+00:00", "map_index": 3}
    return RowsLink().get_link(None, ti_key=SimpleNamespace(**key | changes))


def test_a_shard_links_to_its_failed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's id may hold characters that mean something in a URL."""
    assert link(monkeypatch) == "https://faces/runs/manual__2030-01-01T00%3A00%3A00%2B00%3A00?shard=3"
    assert link(monkeypatch, run_id="a/b?c#d") == "https://faces/runs/a%2Fb%3Fc%23d?shard=3"


@pytest.mark.parametrize("other", [{"dag_id": "another"}, {"task_id": "plan"}, {"map_index": -1}], ids=str)
def test_other_task_instances_have_no_link(monkeypatch: pytest.MonkeyPatch, other: dict[str, object]) -> None:
    """The link is global: Airflow asks for it on every page of a task instance."""
    assert link(monkeypatch, **other) == ""
