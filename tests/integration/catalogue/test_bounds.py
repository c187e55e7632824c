"""What PostgreSQL refuses and SQLite takes."""

from pathlib import Path
from secrets import token_hex

import pytest

from face_import.catalogue import Catalogue, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.contract import Code, Mode, TaskState
from face_import.domain.models import Limits, Outcome, OutcomeBatch, Shard
from face_import.settings import Settings
from tests import servers


@pytest.mark.parametrize("value", ["i" * 3_000, "m" * 100_000], ids=["an index entry", "a message"])
def test_postgresql_has_bounds_too(tmp_path: Path, value: str) -> None:
    """An id of 3 kB that does not compress is no entry of an index; the rows beside it are written."""
    value = token_hex(len(value) // 2)
    try:
        with servers.databases(1) as (url,):
            migrate(url)
            catalogue = Catalogue.open(Settings(home=tmp_path, database_url=url))
            config = TaskConfig("staff", "faces.csv", Limits(), 10, Mode.SKIP)
            catalogue.tasks.add("picky0000000", "run", config, state=TaskState.RUNNING)
            catalogue.plans.commit("picky0000000", [Shard(0, 1, 2, 0, 1, 1)], 2)
            catalogue.leases.take("picky0000000", 0, "me", 2)
            outcomes = (Outcome(1, "http://x", Code.OK, value, value), Outcome(2, "http://x", Code.OK, "", "id"))
            for _ in range(2):
                catalogue.ledger.write(OutcomeBatch("picky0000000", 0, "me", outcomes))
            assert catalogue.ledger.progress("picky0000000").by_code == {0: 1, 303: 1}
            catalogue.engine.dispose()
    except servers.Unavailable as reason:
        servers.skip(reason)
