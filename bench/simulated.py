"""A shard whose pictures, fetches and face services are simulated: what is left is what grows with the rows.

`checkout` makes a copy of the checkout whose shards import rows by `import_row` below. Planner, gate, leases, ledger,
keeper and Airflow are the real ones.
"""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

from face_import.contract import Code, Reason
from face_import.domain.models import Measurements, Outcome, Row
from face_import.settings import CHECKOUT

SLOW_HOST = "slow.example.org"
SLOW_S = 2.0
FAILURES = {0: (Code.URI_UNREACHABLE, Reason.NOT_FOUND), 1: (Code.IMAGE_UNREADABLE, None), 2: (Code.NO_FACE, None)}
"""Of three in ten rows, as in `ledger.outcomes`."""
_PARTS = ("api_shim", "config", "dags", "face_console", "plugins")
_HOOK = """
from bench.simulated import import_row

RowImporter.import_row = import_row
"""


async def import_row(_importer: Any, row: Row) -> Outcome:
    """The outcome of a row, after as little work as possible; rows of `SLOW_HOST` take `SLOW_S`."""
    await asyncio.sleep(SLOW_S if SLOW_HOST in row.uri else 0)
    if failure := FAILURES.get(row.number % 10):
        code, reason = failure
        return Outcome(row.number, row.uri, code, "simulated", reason=reason)
    measured = Measurements(faces=1, score=0.987, width=150 + row.number % 100, height=150)
    return Outcome(row.number, row.uri, Code.OK, face_id=f"simulated-{row.number}", measurements=measured)


def checkout(folder: Path) -> tuple[str, ...]:
    """Copy what a stack needs of the checkout into a new folder; returns the words of its `face-import` command."""
    for part in _PARTS:
        shutil.copytree(CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (folder / "bench").mkdir()
    for module in ("__init__.py", "simulated.py"):
        shutil.copy(CHECKOUT / "bench" / module, folder / "bench")
    with (folder / "plugins" / "face_import" / "pipeline" / "opening.py").open("a") as opening:
        opening.write(_HOOK)
    paths = f"PYTHONPATH={folder / 'plugins'}:{folder}"
    # -P: without the working directory, which may be the checkout itself
    return ("env", paths, sys.executable, "-P", "-m", "face_import.cli")
