"""Following a task until it ends: progress bar, failures so far, Ctrl-C handling."""

import sys
import time
from collections import deque
from datetime import UTC, datetime, timedelta

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from face_import.cli.answers import Task, meaning
from face_import.cli.client import Client
from face_import.cli.output import print_json
from face_import.cli.terminal import FAILURE, INTERRUPTED, PARTIAL, SUCCESS, plain, stderr, stdout
from face_import.contract import TaskState
from face_import.errors import ApiUnavailable, WrongState

_POLL_S = 0.5
_RATE_WINDOW_S = 15.0
_PATIENCE_S = 60.0
"""How long the API may be unavailable: the stack restarts its process within seconds."""


class Rate:
    """Rows per second over the last seconds: shows outages, and ignores rows handled by earlier attempts."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now: float, handled: int) -> float:
        """Record a count and return the rate, 0 if not known yet.

        Args:
            now: a monotonic time in seconds.
            handled: rows handled by then.
        """
        self._seen.append((now, handled))
        while now - self._seen[0][0] > _RATE_WINDOW_S:
            self._seen.popleft()
        (then, before) = self._seen[0]
        return (handled - before) / (now - then) if now > then else 0.0


def watch(client: Client, task_id: str, *, as_json: bool = False) -> int:
    """Show a task's progress until it ends, then a summary, or the API's last answer.

    Ctrl-C asks whether to stop the import, if there is a terminal.

    Returns:
        the exit status.

    Raises:
        ApiUnavailable: the API was unavailable for over a minute; the import keeps running.
    """
    try:
        task = _follow(client, task_id)
    except KeyboardInterrupt:
        if not _wants_stop():
            stderr.print(f"still running; to follow it again: face-import show {task_id} --watch", markup=False)
            return INTERRUPTED
        task = _stop(client, task_id)
    if as_json:
        print_json(task)
    else:
        summarize(task)
    return exit_status(task)


def exit_status(task: Task) -> int:
    """Exit status for a task that has ended."""
    if task.state is not TaskState.COMPLETED:
        return FAILURE
    return PARTIAL if task.failed_num else SUCCESS


def summarize(task: Task) -> None:
    """Print a task's summary: counts, failures by code, and what to do next."""
    done = "passed (dry run: none was added)" if task.config.get("dry_run") else "imported"
    if task.undoes:
        done = f"removed that {task.undoes} had added"
    counts = f"{task.success_num} of {task.total_num} rows {done}"
    if task.state is not TaskState.COMPLETED:
        counts += f", {task.failed_num} failed"
    stdout.print(f"{task.word}: {counts}", markup=False)
    if task.changes:
        kinds = ", ".join(f"{rows} {kind}" for kind, rows in task.changes.items())
        stdout.print(f"compared with earlier files: {kinds}", markup=False)
    if task.waiting:
        stdout.print(waiting(task), markup=False)
    for sentence in filter(None, (task.last_error, task.notice)):
        stdout.print(plain(sentence), markup=False)
    if task.errors:
        table = Table("code", "meaning", "rows")
        for code, rows in sorted(task.errors.items()):
            table.add_row(str(code), meaning(code), str(rows))
        stdout.print(table)
        stdout.print(f"for the failed rows: face-import log {task.id}", markup=False)
    if task.state is TaskState.STOPPED:
        stdout.print(f"to resume it: face-import start {task.id}", markup=False)
    elif task.state is TaskState.CREATED:
        stdout.print(f"to start it: face-import start {task.id}", markup=False)


def _follow(client: Client, task_id: str) -> Task:
    facts = TextColumn("{task.fields[facts]}")
    progress = Progress(TextColumn("importing"), BarColumn(), TaskProgressColumn(), facts, console=stderr)
    bar = progress.add_task("", total=None, facts="")
    rate = Rate()
    # No bar if stderr is not a terminal: its last state would precede the next line, and the summary repeats it.
    with Live(progress, console=stderr, refresh_per_second=4, transient=not stderr.is_terminal) as live:
        while True:
            task = _patiently(client, task_id, live)
            speed = rate.add(time.monotonic(), task.handled_num)
            progress.update(bar, total=task.total_num or None, completed=task.handled_num, facts=_facts(task, speed))
            live.update(Group(progress, *map(_line, (waiting(task), plain(task.notice), _failures(task)))))
            if task.state is not TaskState.RUNNING:
                return task
            time.sleep(_POLL_S)


def _line(text: str) -> Text:
    return Text(text, overflow="ellipsis", no_wrap=True)


def _patiently(client: Client, task_id: str, live: Live) -> Task:
    """Fetch the task, waiting out a restart of the API."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return client.task(task_id)
        except ApiUnavailable:
            if time.monotonic() > deadline:
                raise
        live.update(Text("API unavailable; retrying"), refresh=True)
        time.sleep(1)


def _facts(task: Task, rate: float) -> str:
    """Rows, rate and time left, as far as known."""
    facts = [f"{task.handled_num}/{task.total_num or '?'} rows"]
    if rate:
        left = timedelta(seconds=round((task.total_num - task.handled_num) / rate))
        facts += [f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s", f"{left} left"]
    return "  ".join(facts)


def _failures(task: Task) -> str:
    codes = ", ".join(f"{code}: {rows}" for code, rows in sorted(task.errors.items()))
    return f"failed {task.failed_num} ({codes})" if codes else ""


def waiting(task: Task, now: datetime | None = None) -> str:
    """The image hosts that a task waits for, the one with most rows by name; empty if there is none.

    Args:
        task: the task.
        now: the time, if not the present.
    """
    if not task.waiting:
        return ""
    first, others = task.waiting[0], task.waiting[1:]
    left_s = (first.retry_at - (now or datetime.now(UTC))).total_seconds() if first.retry_at else 0.0
    sentence = f"waiting for {first.host} ({first.reason}), {_next_try(left_s)}: {_rows(first.rows)}"
    if others:
        hosts = "1 more host" if len(others) == 1 else f"{len(others)} more hosts"
        sentence += f"; and for {hosts}: {_rows(sum(host.rows for host in others))}"
    return plain(sentence)


def _next_try(left_s: float) -> str:
    if left_s < 1:
        return "trying now"
    return f"next try in {left_s:.0f} s" if left_s < 120 else f"next try in {left_s / 60:.0f} min"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _wants_stop() -> bool:
    """Ask whether to stop the import; no without a terminal or an answer."""
    if not sys.stdin.isatty():
        return False
    try:
        while True:
            answer = stderr.input("stop the import, or leave it running? (s/l) ", markup=False).strip().lower()
            if answer in {"s", "stop"}:
                return True
            if answer in {"l", "leave"}:
                return False
    except (KeyboardInterrupt, EOFError):
        stderr.print()
        return False


def _stop(client: Client, task_id: str) -> Task:
    try:
        with stderr.status("stopping"):
            client.stop(task_id)
    except WrongState:
        pass  # it ended while we asked; the summary shows how
    return client.task(task_id)
