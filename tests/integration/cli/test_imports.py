"""import, tasks, show, start, stop, delete against the real API; Airflow is away."""

import re
import socket
import subprocess
from pathlib import Path

import pytest

from face_import.cli.answers import Task
from face_import.cli.watch import summarize
from face_import.contract import Code, Notice, Reason, TaskState
from face_import.domain.models import Outcome
from tests.hosts import unavailable
from tests.integration.cli.conftest import MAX_SOURCE, OnTerminal, Shim
from tests.waiting import until

NO_FACE = Outcome(2, "http://x/2.jpg", Code.NO_FACE, "no face found")


def test_an_upload_carries_every_field(shim: Shim, csv_file: Path) -> None:
    """The task has what the options said; as it cannot be started, its id and the way on are printed."""
    limits = {"pos-pitch": 1, "pos-yaw": 2, "pos-rol": 3, "width": 4, "height": 5, "blur-degree": 6}
    policy = {"max-failed": 5, "max-failed-percent": 20}
    options = [
        f"--{name}={value}"
        for name, value in {**limits, **policy, "thread-num": 7, "host-threads": 2, "mode": 1}.items()
    ]
    options.append("--callback-url=https://me:p4ss@app.example.com/hooks?key=t0k")
    done = shim.run("import", str(csv_file), "--group", "fields", "--fail-on-errors", "--dry-run", *options)
    task = shim.catalogue.tasks.get(done.stdout.strip())
    assert done.returncode == 1
    assert f"the task was created, start it with: face-import start {task.id}" in done.stderr
    assert "Traceback" not in done.stderr
    assert (task.state, task.total_num, task.config.group_name) == (TaskState.CREATED, 3, "fields")
    assert (task.config.thread_num, task.config.host_threads, task.config.mode) == (7, 2, 1)
    assert task.config.limits == type(task.config.limits)(1, 2, 3, 4, 5, 6)
    assert task.config.policy == type(task.config.policy)(5, 20, 1)
    assert task.config.scope == type(task.config.scope)(measure=0, dry_run=1)
    assert task.config.callback_url == "https://me:p4ss@app.example.com/hooks?key=t0k"


def test_show_says_what_became_of_the_callback(shim: Shim, csv_file: Path) -> None:
    """Where it goes, without secrets, and how the last try ended."""
    url = "https://me:p4ss@app.example.com/hooks?key=t0k"
    task_id = shim.run("import", str(csv_file), "--group", "told", f"--callback-url={url}").stdout.strip()
    assert "callback     https://app.example.com/hooks?…\n" in re.sub(r" +\n", "\n", shim.run("show", task_id).stdout)
    shim.catalogue.tasks.start(task_id)
    shim.catalogue.tasks.stop(task_id)
    for pause in (0.0, 60.0):
        (call,) = shim.catalogue.callbacks.claim(1, 60.0)
        shim.catalogue.callbacks.failed(call, "503 Service Unavailable", pause)
    shown = shim.run("show", task_id).stdout
    assert "https://app.example.com/hooks?…: task.stopped pending after 2 tries (503 Service Unavailable)" in shown
    assert "p4ss" not in shown
    assert "t0k" not in shown
    refused = shim.run("import", str(csv_file), "--group", "told", "--callback-url=app.example.com")
    assert refused.returncode == 1
    assert "callback_url: must be an http:// or https:// URL" in refused.stderr


def test_a_name_of_any_kind_is_sent(shim: Shim, tmp_path: Path) -> None:
    """Quotation marks, other scripts and bytes that are no text stand in names of files."""
    path = tmp_path / b'\xff "\xe4\xba\xba\xe8\x84\xb8".csv'.decode(errors="surrogateescape")
    path.write_text("http://x/1.jpg,t,d\n")
    task_id = shim.run("import", str(path), "--group", "names").stdout.strip()
    assert "人脸" in shim.catalogue.tasks.get(task_id).config.source


@pytest.mark.parametrize(
    ("content", "group", "said"),
    [
        (b"http://x/1.jpg,t,d\n", "No", "group_name: 'No' is not a group name"),
        (b"", "staff", "file: the file has no rows"),
        (b'uri\n"http://x/1.jpg\n', "staff", "line 2: a quotation mark is opened and never closed"),
        (b"x" * (MAX_SOURCE + 2**20 + 1), "staff", "exceeds the capacity limit"),
    ],
    ids=["group", "empty", "quote", "too-large"],
)
def test_what_the_server_refuses_is_one_line(shim: Shim, tmp_path: Path, content: bytes, group: str, said: str) -> None:
    """The server's own words, exit status 1, and no id."""
    path = tmp_path / "faces.csv"
    path.write_bytes(content)
    done = shim.run("import", str(path), "--group", group)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_url_is_left_to_the_server(shim: Shim) -> None:
    """Nothing is uploaded; what the server says about the URL is shown."""
    task_id = shim.run("import", "https://example.com/faces.csv?key=t0k", "--group", "urls").stdout.strip()
    assert shim.catalogue.creates.source_url(task_id) == "https://example.com/faces.csv?key=t0k"
    refused = shim.run("import", "ftp://example.com/faces.csv", "--group", "urls")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "source: 'ftp://example.com/faces.csv' is not allowed" in refused.stderr


@pytest.mark.parametrize(("path", "said"), [("missing.csv", "does not exist"), ("", "is a directory")])
def test_what_is_no_file_is_a_wrong_call(shim: Shim, tmp_path: Path, path: str, said: str) -> None:
    """Exit status 2, before anything is sent."""
    done = shim.run("import", str(tmp_path / path), "--group", "staff")
    assert (done.returncode, said in done.stderr.replace("\n", " ")) == (2, True)


def test_a_pipe_is_refused(shim: Shim) -> None:
    """A file without a size is not half sent."""
    done = shim.run("import", "/dev/null", "--group", "staff")
    assert (done.returncode, "not a regular file" in done.stderr) == (1, True)


def test_tasks_are_listed_by_group_and_state(shim: Shim) -> None:
    """Oldest first; a state leaves its own, and `--last` the newest."""
    created = shim.task(group="listed", ends=TaskState.CREATED)
    completed = shim.task(group="listed", bad=[NO_FACE])
    listed = shim.run("tasks", "--group", "listed").stdout
    assert 0 < listed.index(created) < listed.index(completed)
    only = shim.run("tasks", "--group", "listed", "--state", "completed").stdout
    assert (completed in only, created in only, "3/3 100%" in only) == (True, False, True)
    assert created not in shim.run("tasks", "--group", "listed", "--last", "1").stdout
    nothing = shim.run("tasks", "--group", "nobody")
    assert (nothing.returncode, nothing.stdout) == (0, "")


def test_an_id_may_begin_with_a_hyphen(shim: Shim) -> None:
    """One id in 64 does, and is not taken for an option."""
    for task_id in ("-watch_12345", "--url_123456", "-7_AbCdEfGhI"):
        shim.task(task_id=task_id, ends=TaskState.CREATED)
        done = shim.run("show", task_id)
        assert (done.returncode, task_id in done.stdout) == (0, True)
        assert shim.run("show", task_id, "--watch").returncode == 1


def test_show_says_what_is_known(shim: Shim) -> None:
    """Counts, failures by code with their meaning, and where to look for more."""
    shown = shim.run("show", task_id := shim.task(bad=[NO_FACE])).stdout
    for text in ("staff", "completed with 1 failure: 2 of 3 rows imported", "no face", f"face-import log {task_id}"):
        assert text in shown


def test_show_says_what_an_import_waits_for(shim: Shim) -> None:
    """Somebody has paused it in Airflow."""
    task_id = shim.task(ends=TaskState.RUNNING)
    shim.catalogue.tasks.notify(task_id, Notice.NO_SLOTS)
    assert Notice.NO_SLOTS in shim.run("show", task_id).stdout
    shim.catalogue.tasks.stop(task_id)


def test_show_says_which_image_hosts_an_import_waits_for(shim: Shim) -> None:
    """From the first to the last of the way: catalogue, API, command."""
    task_id = shim.task(ends=TaskState.RUNNING)
    unavailable(shim.catalogue, task_id, retry_in_s=600)
    unavailable(shim.catalogue, task_id, "https://other.example.com", rows=(1,))
    (said,) = (line for line in shim.run("show", task_id).stdout.splitlines() if line.startswith("waiting for "))
    assert said.startswith("waiting for img.example.com (429 Too Many Requests), next try in 10 min: 812 rows; ")
    assert said.endswith("; and for 1 more host: 1 row")


def test_stop_start_and_delete(shim: Shim) -> None:
    """Each does what the API's endpoint does, and tells a refusal in the server's words."""
    task_id = shim.task(ends=TaskState.RUNNING)
    assert shim.run("stop", task_id).returncode == 0
    assert shim.catalogue.tasks.get(task_id).state is TaskState.STOPPED
    again = shim.run("stop", task_id)
    assert (again.returncode, "is stopped; it cannot be stopped" in again.stderr) == (1, True)
    away = shim.run("start", task_id)
    assert (away.returncode, "nothing was changed, try again later" in away.stderr) == (1, True)
    assert shim.run("delete", task_id).returncode == 0
    for command in ("show", "log", "delete", "start"):
        gone = shim.run(command, task_id)
        assert (gone.returncode, gone.stderr) == (1, f"face-import: there is no task '{task_id}'\n")
    assert "is not a task id" in shim.run("show", "../../../etc").stderr


def test_failed_rows_are_retried(shim: Shim) -> None:
    """Counted first; what cannot be understood is one line; and Airflow has to be there."""
    bad = Outcome(2, "http://x/2.jpg", Code.URI_UNREACHABLE, "404", reason=Reason.NOT_FOUND)
    task_id = shim.task(bad=[bad])
    assert shim.run("retry", task_id, "--code", "101", "--reason", "not_found", "--preview").stdout == "1 row\n"
    wrong = shim.run("retry", task_id, "--rows", "two")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "'two' is not a row number" in wrong.stderr
    failed = shim.run("retry", task_id)
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert "nothing was changed" in failed.stderr


def test_an_import_is_undone(shim: Shim) -> None:
    """What refuses it is said in one line; the undo says whose faces it removes."""
    task_id = shim.task()
    away = shim.run("undo", task_id)
    assert (away.returncode, away.stderr.count("\n"), "nothing was changed" in away.stderr) == (1, 1, True)
    undo = shim.catalogue.undoing.begin(task_id, "undo-of-task")
    assert f"undoes       {task_id}" in shim.run("show", undo.id).stdout
    assert f"rows removed that {task_id} had added" in shim.run("show", undo.id).stdout
    refused = shim.run("undo", undo.id)
    assert (refused.returncode, "is the undo of task" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("bad", "ends", "status"),
    [
        ([], TaskState.COMPLETED, 0),
        ([NO_FACE], TaskState.COMPLETED, 3),
        ([], TaskState.STOPPED, 1),
        ([], TaskState.CREATED, 1),
    ],
    ids=["success", "partial", "stopped", "created"],
)
def test_watching_ends_with_the_imports_status(shim: Shim, bad: list[Outcome], ends: TaskState, status: int) -> None:
    """0 all rows, 3 some failed, 1 stopped or never started; without --watch showing is all that can fail."""
    task_id = shim.task(bad=bad, ends=ends)
    watched = shim.run("show", task_id, "--watch")
    assert (watched.returncode, ends.name.lower() in watched.stdout) == (status, True)
    assert ("a reason" in watched.stdout) == (ends is TaskState.STOPPED)
    assert shim.run("show", task_id).returncode == 0


def test_watching_follows_a_task_to_its_end(shim: Shim, on_terminal: OnTerminal) -> None:
    """The bar moves with the ledger, and the summary names the failures by code."""
    task_id = shim.task(ends=TaskState.RUNNING)
    terminal = on_terminal(shim.environment, "show", task_id, "--watch")
    terminal.expect("0/3 rows")
    shim.finish(task_id, 3, [NO_FACE])
    assert terminal.ends() == 3
    terminal.expect("3/3 rows")
    terminal.expect("failed 1 (201: 1)")
    terminal.expect("completed with 1 failure: 2 of 3 rows imported")


@pytest.mark.parametrize(
    ("keys", "status", "state"),
    [
        ("s\n", 1, TaskState.STOPPED),
        ("l\n", 130, TaskState.RUNNING),
        ("what?\nl\n", 130, TaskState.RUNNING),
        ("\x03", 130, TaskState.RUNNING),
        ("\x04", 130, TaskState.RUNNING),
    ],
    ids=["stop", "leave", "asks-again", "ctrl-c", "ctrl-d"],
)
def test_ctrl_c_asks(shim: Shim, on_terminal: OnTerminal, keys: str, status: int, state: TaskState) -> None:
    """Only a plain yes stops an import; everything else leaves it running, and says how to see it again."""
    task_id = shim.task(ends=TaskState.RUNNING)
    terminal = on_terminal(shim.environment, "show", task_id, "--watch")
    terminal.expect("0/3 rows")
    terminal.type("\x03")
    terminal.expect("stop the import, or leave it running? (s/l)")
    terminal.type(keys)
    assert terminal.ends() == status
    assert shim.catalogue.tasks.get(task_id).state is state
    terminal.expect("to resume it" if status == 1 else f"still running; to follow it again: face-import show {task_id}")


def test_ctrl_c_with_nobody_to_ask_leaves_it_running(shim: Shim, on_terminal: OnTerminal) -> None:
    """A script's import does not end with the script."""
    task_id = shim.task(ends=TaskState.RUNNING)
    terminal = on_terminal(shim.environment, "show", task_id, "--watch", stdin=subprocess.DEVNULL)
    terminal.expect("0/3 rows")
    terminal.type("\x03")
    assert terminal.ends() == 130
    terminal.expect("still running")
    until(lambda: shim.catalogue.tasks.get(task_id).state is TaskState.RUNNING)
    assert "(s/l)" not in terminal.text


def test_ctrl_c_during_the_upload(shim: Shim, on_terminal: OnTerminal, tmp_path: Path) -> None:
    """The bar shows what is sent; interrupted, nothing is started, and no traceback is seen."""
    path = tmp_path / "faces.csv"
    path.write_bytes(b"x" * 50_000_000)
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # connects, and never reads
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        terminal = on_terminal(shim.environment, "import", str(path), "--group", "staff", "--url", url)
        terminal.expect("/50.0 MB")
        terminal.type("\x03")
        assert terminal.ends() == 130
    terminal.expect("interrupted; nothing was stored")
    assert "Traceback" not in terminal.text


def test_watching_writes_no_bar_into_a_file(shim: Shim) -> None:
    """What is for people is a line each, also an error; the summary is on stdout."""
    done = shim.run("show", shim.task(), "--watch")
    assert (done.stdout, done.stderr) == ("completed: 3 of 3 rows imported\n", "")
    assert shim.run("show", "AAAAAAAAAAAA", "--watch").stderr == "face-import: there is no task 'AAAAAAAAAAAA'\n"


def test_changes_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """An import of changes says what its rows were to the files before."""
    changes = {"new": 2, "changed": 1, "unchanged": 40, "gone": 3}
    answer = {"group_name": "staff", "config": {}, "total_num": 43, "handled_num": 43, "success_num": 43}
    answer |= {"failed_num": 0, "errors": {}, "changes": changes, "state": 4, "last_error": "", "dag_run_id": "x"}
    answer |= {"created_at": "2030-01-01T00:00:00+00:00", "started_at": None, "finished_at": None}
    summarize(Task.model_validate(answer))
    assert "compared with earlier files: 2 new, 1 changed, 40 unchanged, 3 gone\n" in capsys.readouterr().out


def test_how_a_file_is_read_is_said(shim: Shim, tmp_path: Path) -> None:
    """After the upload and by `show`; a refusal that advises `columns` has the options for it."""
    path = tmp_path / "faces.csv"
    path.write_text("图;姓名;工号;部门\nhttp://x/1.jpg;李娜;7;前台\n", encoding="gb18030")
    refused = shim.run("import", str(path), "--group", "staff")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("; here: --column uri=图\n")
    options = ("--column", "uri=图", "--column", "id=", "--encoding", "gb18030")
    done = shim.run("import", str(path), "--group", "staff", *options)
    said = "GB18030, separated by semicolons, with a header: uri=图, tag=姓名; ignored: 工号, 部门"
    assert f"read as {said}\n" in done.stderr
    assert said in shim.run("show", done.stdout.strip()).stdout
    path.write_text("http://x/1,2.jpg\tLi, Na\n")
    refused = shim.run("import", str(path), "--group", "staff")
    assert 'name it in the field "separator"' in refused.stderr
    done = shim.run("import", str(path), "--group", "staff", "--separator", "tab")
    assert "separated by tabs, without a header" in done.stderr
    wrong = shim.run("import", str(path), "--group", "staff", "--separator", ":")
    assert (wrong.returncode, "separator: send one of" in wrong.stderr) == (1, True)
