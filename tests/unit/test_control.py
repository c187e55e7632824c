"""Run control over a real catalogue, where Airflow is in the way."""

import threading

import pytest

from face_import import control
from face_import.catalogue import Catalogue
from face_import.clients.airflow import Run
from face_import.contract import TaskState
from face_import.control import Control
from face_import.errors import AirflowUnavailable
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.doubles.runs import Runs
from tests.waiting import until


class Hanging(Runs):
    """Airflow that answers no question about a run until it is let go."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.let_go = threading.Event()

    def run(self, run_id: str) -> Run | None:
        """A run, after all."""
        self.let_go.wait(60)
        return super().run(run_id)


@pytest.mark.parametrize("end", ["stop", "delete"])
def test_a_hanging_airflow_holds_up_no_stop(
    settings: Settings, catalogue: Catalogue, make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """The answer comes as soon as no row can start, and the run is ended once Airflow answers."""
    monkeypatch.setattr(control, "ANSWER_S", 0.0)
    task, airflow = make_task(), Hanging(settings)
    airflow.runs[task.run_id] = Run("running", 1.0)
    getattr(Control(settings, catalogue, airflow), end)(task.id)
    stopped = catalogue.tasks.peek(task.id)
    assert stopped is not None
    assert stopped.ended
    assert airflow.runs[task.run_id].active
    airflow.let_go.set()
    until(lambda: not airflow.runs[task.run_id].active)


def test_a_start_that_airflow_refuses_is_undone(settings: Settings, catalogue: Catalogue, make_task: MakeTask) -> None:
    """Airflow cannot be reached: the task is as it was, its last error too."""
    task = make_task()
    catalogue.tasks.halt(task.id, "disk full")
    airflow = Runs(settings)
    airflow.away = True
    with pytest.raises(AirflowUnavailable):
        Control(settings, catalogue, airflow).start(task.id)
    again = catalogue.tasks.get(task.id)
    assert (again.state, again.last_error) == (TaskState.STOPPED, "disk full")
