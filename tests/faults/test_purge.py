"""A large ledger is purged in time, and other imports hardly notice."""

import time

import pytest
from sqlalchemy import text

from tests.faults.conftest import Faults

LEDGER_ROWS = 1_000_000
FILL = """
WITH RECURSIVE n(i) AS (SELECT 21 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
INSERT INTO outcome (task_id, row, code, uri, message, face_id, faces, handled_at)
SELECT :task, i, CASE WHEN i % 3 THEN 0 ELSE 201 END, 'https://images.example.com/people/' || i || '.jpg',
       CASE WHEN i % 3 THEN '' ELSE 'no face found' END, :task || '-' || i, 1, 0 FROM n
"""


@pytest.mark.slow
def test_a_million_rows_are_purged_within_a_minute(faults: Faults) -> None:
    """While the purge goes on another import runs through, and its API answers."""
    doomed = faults.create(20)
    faults.stack.api.ok(f"{doomed}/start")
    faults.completes(doomed, 20)
    with faults.stack.catalogue.engine.begin() as connection:
        connection.execute(text(FILL), {"task": doomed, "rows": LEDGER_ROWS})
    other = faults.started(600, thread_num=10)
    began = time.monotonic()
    faults.stack.api.ok(f"{doomed}/delete")
    assert faults.stack.api.get(f"{doomed}/detail").status_code == 404
    slowest = 0.0
    while faults.stack.catalogue.tasks.peek(doomed) is not None:
        asked = time.monotonic()
        faults.stack.api.detail(other)
        slowest = max(slowest, time.monotonic() - asked)
        assert time.monotonic() - began < 60
    assert slowest < 5
    faults.completes(other, 600)
