"""The audit log's file: whole lines of several writers, rotation, and what is read of its end."""

import json
import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from face_import import audit
from face_import.audit import AuditLog, By, Entry
from face_import.settings import Settings


@pytest.fixture
def audit_log(settings: Settings) -> AuditLog:
    """The log of a home that is not there yet."""
    return AuditLog.of(settings)


def entry(number: int) -> Entry:
    """An entry that can be told from others."""
    return Entry(by=By.KEY, who="alice", action="stop", task=f"task{number:08}")


def files(audit_log: AuditLog) -> list[Path]:
    """All files of the log."""
    return sorted(audit_log.path.parent.glob("audit.jsonl*"))


def test_an_entry_is_a_line_for_its_owner_only(audit_log: AuditLog) -> None:
    """It has its time first, and nothing that is not known."""
    audit_log.write(Entry(by=By.COMMAND, who="root", action="add_key", details={"key": "bob"}))
    line = audit_log.path.read_text()
    assert line.startswith('{"time":"20')
    assert line.endswith("}\n")
    found = json.loads(line)
    assert found.pop("time").endswith("+00:00")
    assert found == {"by": "command", "who": "root", "action": "add_key", "details": {"key": "bob"}}
    assert stat.S_IMODE(audit_log.path.stat().st_mode) == 0o600
    assert audit_log.last(5)[0].details == {"key": "bob"}


def test_texts_are_bounded_and_stay_in_their_line(audit_log: AuditLog) -> None:
    """A client cannot write lines of its own, nor large ones."""
    audit_log.write(
        Entry(by=By.NOBODY, action="create", group='x\n{"by": "key"}' + "y" * 10**6, details={"a": "z" * 999})
    )
    (line,) = audit_log.path.read_text().splitlines()
    assert len(line) < 1000
    assert [one.by for one in audit_log.last(9)] == [By.NOBODY]


def test_no_line_is_lost_or_mixed_while_many_write_and_files_rotate(
    audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of a thousand entries is there exactly once, in files of bounded size."""
    monkeypatch.setattr(audit, "MAX_BYTES", 16_000)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: audit_log.write(entry(number)), range(1000)))
    texts = [path.read_text() for path in files(audit_log)]
    assert len(texts) > 3
    assert all(len(text) < 17_000 for text in texts)
    tasks = [json.loads(line)["task"] for text in texts for line in text.splitlines()]
    assert sorted(tasks) == [f"task{number:08}" for number in range(1000)]


def test_the_oldest_file_goes(audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is bounded; the latest entries are those that stay."""
    monkeypatch.setattr(audit, "MAX_BYTES", 200)
    for number in range(100):
        audit_log.write(entry(number))
    assert len(files(audit_log)) <= audit.OLDER_FILES + 1
    latest = [one.task for one in audit_log.last(10)]
    assert latest == [f"task{number:08}" for number in range(99, 89, -1)]


def test_a_torn_line_costs_itself_only(audit_log: AuditLog) -> None:
    """A full disk may cut a line off: the next entry begins a line of its own."""
    audit_log.write(entry(1))
    with audit_log.path.open("a") as file:
        file.write('{"time":"2026')
    audit_log.write(entry(2))
    assert [one.task for one in audit_log.last(9)] == ["task00000002", "task00000001"]


def test_the_end_of_a_large_log_is_read_only(audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a first line that is cut off is no entry."""
    monkeypatch.setattr(audit, "_TAIL_BYTES", 500)
    for number in range(50):
        audit_log.write(entry(number))
    found = audit_log.last(100)
    assert 2 < len(found) < 10
    assert found[0].task == "task00000049"


def test_an_entry_that_cannot_be_written_is_in_the_process_log(
    audit_log: AuditLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was done stays done: a stop works on a full disk."""

    def full(*_args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with caplog.at_level(logging.ERROR):
        audit_log.write(entry(7))
    assert "No space left" in caplog.text
    assert "task00000007" in caplog.text


def test_a_log_that_is_not_there_is_empty(audit_log: AuditLog) -> None:
    """Nothing has happened yet."""
    assert audit_log.last(5) == []
