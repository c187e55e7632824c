"""--json: what the API answers, as it came; and what a shell completes."""

import json
import re
from pathlib import Path

import pytest
import requests

from face_import import __version__
from face_import.contract import Code, TaskState
from face_import.domain.models import Outcome
from tests.integration.cli.conftest import Shim

BAD = [Outcome(row, f"http://x/{row}\u0085.jpg", Code.NO_FACE, "no face \x1b[31mfound") for row in (1, 3)]


def asked(shim: Shim, path: str, **body: object) -> dict[str, object]:
    """What the API answers."""
    url = f"http://127.0.0.1:{shim.settings.port}/v1/tasks/{path}"
    answer = requests.post(url, json=body, timeout=60) if body else requests.get(url, timeout=60)
    return dict(answer.json())


def lines(shim: Shim, *command: str, status: int = 0) -> list[object]:
    """The JSON documents that a command prints, with nothing else; each is a line of plain ASCII."""
    done = shim.run(*command, "--json")
    assert (done.returncode, done.stdout.isascii(), "\x1b" in done.stdout) == (status, True, False), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_answers_are_printed_as_they_came(shim: Shim) -> None:
    """Every member of them, also those that the commands do not know."""
    task_id = shim.task(4, BAD, group="printed")
    detail = asked(shim, f"{task_id}/detail")
    assert lines(shim, "show", task_id) == [detail]
    assert lines(shim, "show", task_id, "--watch", status=3) == [detail]
    assert lines(shim, "log", task_id) == asked(shim, f"{task_id}/log")["logs"]
    assert lines(shim, "judge", task_id, "--width", "9") == [asked(shim, f"{task_id}/judge", width=9)]
    assert lines(shim, "retry", task_id, "--preview") == [{"rows": 2}]
    preview = asked(shim, f"{task_id}/limits", preview=True, width=9)
    assert lines(shim, "limits", task_id, "--preview", "--width", "9") == [preview]
    shim.task(group="printed", ends=TaskState.CREATED)
    assert (
        lines(shim, "tasks", "--group", "printed")
        == asked(shim, "list", group_name="printed", fields="summary")["tasks"]
    )
    assert lines(shim, "tasks", "--group", "nobody") == []


def test_an_import_prints_its_id(shim: Shim, csv_file: Path) -> None:
    """As create answers; that it cannot be started is on stderr."""
    (created,) = lines(shim, "import", str(csv_file), "--group", "printed", status=1)
    assert isinstance(created, dict)
    assert (created.keys(), shim.catalogue.tasks.get(created["id"]).state) == ({"id"}, TaskState.CREATED)


def test_csv_and_json_exclude_each_other(shim: Shim) -> None:
    """A usage error, before anything is asked."""
    done = shim.run("log", "AAAAAAAAAAAA", "--json", "--csv", "-", "--url", "http://127.0.0.1:9")
    assert (done.returncode, "exclude each other" in done.stderr) == (2, True)


def test_the_version(shim: Shim) -> None:
    """Without a command."""
    done = shim.run("--version")
    assert (done.returncode, done.stdout) == (0, f"face-import {__version__}\n")


@pytest.mark.parametrize("command", ["import", "show", "retry", "limits", "log", "up", "prune"])
def test_flags_take_no_value(shim: Shim, command: str) -> None:
    """The help asks for none, except typer's own for --help."""
    text = shim.run(command, "--help").stdout
    assert re.findall(r"(--\S+) +<bool>", text) == ["--help"]


def completed(shim: Shim, *words: str, **variables: str) -> list[str]:
    """What a shell offers for the last of the words."""
    typed = {"_FACE_IMPORT_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("face-import", *words))}
    done = shim.run(**typed, COMP_CWORD=str(len(words)), **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_a_shell_completes_ids(shim: Shim) -> None:
    """Those that begin like it, of all groups, the newest first; nothing if nobody answers."""
    older = shim.task(group="one", task_id="zyXwcomplet1")
    newer = shim.task(group="two", task_id="zyXwcomplet2")
    assert completed(shim, "show", "zyXw") == [newer, older]
    assert completed(shim, "log", "zyXwcomplet1") == [older]
    assert completed(shim, "stop", "nobody-has-this") == []
    assert completed(shim, "show", "zyXw", FACE_IMPORT_URL="http://127.0.0.1:9") == []
    assert completed(shim, "show", "zyXw", FACE_IMPORT_URL="nonsense") == []
