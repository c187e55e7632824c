"""Airflow as a dictionary of runs, for what is decided without it; the real one is in `tests/faults`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from face_import.clients.airflow import Airflow, Run
from face_import.domain.planning import Pool
from face_import.errors import AirflowRefused, AirflowUnavailable
from face_import.settings import Settings


class Runs(Airflow):
    """Airflow, as far as the keeper sees it: runs by id; those in `broken` answer with an error."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.runs: dict[str, Run] = {}
        self.broken: set[str] = set()
        self.triggered: list[str] = []
        self.cut_short: set[str] = set()
        self.cleared: list[str] = []
        self.away = False
        self.paused = False
        self.slots: dict[str, int] = {}

    def run(self, run_id: str) -> Run | None:
        """A run, unless it is broken."""
        if self.away:
            raise AirflowUnavailable("Airflow's api-server does not answer", sent=False)
        if run_id in self.broken:
            raise AirflowRefused(f"Airflow answered 500 to GET {run_id}")
        return self.runs.get(run_id)

    def is_paused(self) -> bool:
        """As the test says."""
        return self.paused

    def active_runs(self) -> dict[str, Run]:
        """The active ones."""
        return {run_id: run for run_id, run in self.runs.items() if run.active}

    def fail_run(self, run_id: str, *, on_purpose: bool = False) -> None:  # noqa: ARG002
        """Set it failed."""
        self.runs[run_id] = Run("failed", self.runs[run_id].queued_at)

    def set_note(self, run_id: str, note: str) -> None:
        """Replace its note."""
        self.runs[run_id] = replace(self.runs[run_id], note=note)

    def trigger(self, run_id: str, conf: dict[str, Any], note: str) -> None:  # noqa: ARG002
        """Make it."""
        self.triggered.append(run_id)
        self.runs[run_id] = Run("queued", 1.0)

    def is_cut_short(self, run_id: str) -> bool:
        """As the test says."""
        return run_id in self.cut_short

    def to_clear(self, run_id: str, unfinished: Sequence[int], finished: Iterable[int]) -> list[Any]:  # noqa: ARG002
        """All of it."""
        return ["plan", "shard", "finish"]

    def clear(self, run_id: str, instances: list[Any]) -> None:  # noqa: ARG002
        """Queue it again."""
        self.cut_short.discard(run_id)
        self.cleared.append(run_id)
        self.runs[run_id] = Run("queued", 2.0)

    def delete_run(self, run_id: str) -> bool:
        """Forget it."""
        self.runs.pop(run_id, None)
        return True

    def delete_pool(self, name: str) -> None:
        """There are no pools."""

    def make_pool(self, pool: Pool) -> None:
        """There are no pools."""

    def pools(self, prefix: str) -> dict[str, int]:  # noqa: ARG002
        """As the test says."""
        return self.slots
