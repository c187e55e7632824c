"""What the API answers, as values; what a newer server adds is passed over."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from face_import.contract import MEANINGS, Code, TaskState


class Task(BaseModel):
    """A task as `detail` shows it, and its id, which the server does not repeat."""

    model_config = ConfigDict(frozen=True)

    id: str = ""
    group_name: str
    config: dict[str, int]
    total_num: int
    handled_num: int
    success_num: int
    failed_num: int
    errors: dict[int, int]
    changes: dict[str, int] | None = None
    state: TaskState
    last_error: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    dag_run_id: str

    @property
    def word(self) -> str:
        """Its state as a word."""
        return self.state.name.lower()


class Entry(BaseModel):
    """A failed row."""

    model_config = ConfigDict(frozen=True)

    row: int
    uri: str
    code: int
    message: str


class Log(BaseModel):
    """A page of the log."""

    logs: list[Entry]


class Created(BaseModel):
    """The id of a new task."""

    id: str


class TaskIds(BaseModel):
    """Ids of tasks."""

    ids: list[str]


def meaning(code: int) -> str:
    """A row's code in a few words; empty for one that only a newer server knows."""
    return MEANINGS[Code(code)] if code in set(Code) else ""
