"""Row 12: what rows of a dead image host cost those of the others."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from statistics import median

from sqlalchemy import func, select

from bench.figures import Figure, at_least, pairs, ratios
from bench.workbench import LATENCY_S, Workbench
from face_import.catalogue.schema import outcome
from tests.waiting import until

THREADS = 10
ROWS = 2_000
"""Rows of the healthy host; beside them the dead one has half as many, a third of the file."""
WITHIN_S = 300


def hosts(bench: Workbench) -> Iterator[Figure]:
    """Rows/s of a healthy host, with and without rows of one that refuses connections between them."""
    stack = bench.stack
    bench.services.delay(LATENCY_S)

    def rate(lines: Sequence[str]) -> float:
        """Rows/s from the first to the last row of the healthy host in the ledger."""
        task_id = stack.api.create(lines, thread_num=THREADS)
        stack.api.ok(f"{task_id}/start")
        until(lambda: stack.api.detail(task_id)["success_num"] == ROWS, WITHIN_S, every_s=0.5)
        at = outcome.c.handled_at
        span = select(func.max(at) - func.min(at)).where(outcome.c.task_id == task_id, outcome.c.code == 0)
        with stack.catalogue.engine.connect() as connection:
            seconds = connection.scalar(span) or 0.0
        stack.api.ok(f"{task_id}/delete")
        until(lambda: not stack.catalogue.leases.live(task_id))
        return ROWS / float(seconds)

    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))  # without listening: connections are refused, and nobody else gets the port
        dead = f"http://127.0.0.1:{bound.getsockname()[1]}"
        healthy = bench.services.rows(ROWS)
        both = [
            line
            for number, row in enumerate(healthy)
            for line in ([row, f"{dead}/{number}.jpg,,"] if number % 2 else [row])
        ]
        measured = pairs(lambda: rate(both), lambda: rate(healthy))
    beside, alone = (median(side) for side in zip(*measured, strict=True))
    note = f"{beside:.1f} rows/s, without them {alone:.1f}"
    what = "rows/s of healthy hosts, a third of the rows on a dead one / without these"
    yield at_least(12, what, 0.9, ratios(measured), note=note)
