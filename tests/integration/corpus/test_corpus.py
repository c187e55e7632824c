"""Every file of the corpus, by the way of intake and shards, and by the way of the API."""

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from face_import.catalogue import Catalogue
from face_import.contract import MAX_DESCRIPTION_BYTES, MAX_ID_BYTES, MAX_TAG_BYTES, MAX_URI_BYTES, Code
from face_import.domain.models import Outcome, OutcomeBatch
from face_import.domain.planning import plan_shards
from face_import.domain.uri import cleaned
from face_import.errors import SourceError
from face_import.sources import Storage
from tests.integration.corpus.cases import CASES, Case
from tests.shim import Shim
from tests.unit.sources.helpers import shard_rows, taken_in

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shim]:
    """A served API."""
    with Shim(tmp_path_factory.mktemp("corpus") / "home") as shim:
        yield shim


@pytest.fixture(scope="module")
def stored(shim: Shim) -> Iterator[Catalogue]:
    """What the served API has written down."""
    catalogue = Catalogue.open(shim.settings)
    yield catalogue
    catalogue.engine.dispose()


def test_the_corpus_is_large_enough() -> None:
    """At least sixty files, each under a name of its own."""
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def is_unusable(record: list[str], columns: Mapping[str, int], width: int) -> bool:
    """Whether a record has text beyond the columns, or a cell that is too long."""
    bounds = {"uri": MAX_URI_BYTES, "tag": MAX_TAG_BYTES, "description": MAX_DESCRIPTION_BYTES, "id": MAX_ID_BYTES}
    sizes = {name: len("".join(record[at : at + 1]).encode()) for name, at in columns.items()}
    return bool("".join(record[width:]).strip()) or any(size > bounds[name] for name, size in sizes.items())


@every_case
def test_rows_are_counted_and_read_or_the_line_is_named(case: Case) -> None:
    """The shards of a file have together exactly the rows that were counted; a refusal names its line."""
    if case.refusal:
        with pytest.raises(SourceError, match=case.refusal) as refusal:
            taken_in(case.data)
        assert refusal.value.line == case.line
        return
    index, stored = taken_in(case.data)
    rows = [row for shard in plan_shards(index, 1) for row in shard_rows(stored, index, shard)]
    assert [row.number for row in rows] == list(range(1, case.rows + 1))
    assert index.rows == case.rows
    if not case.plain:
        return
    plain = plain_records(case, header=bool(index.reading.titles))
    columns, width = index.reading.columns, index.reading.width
    assert [row.uri for row in rows] == [cleaned("".join(record[columns["uri"] :][:1])) for record in plain]
    assert [bool(row.problem) for row in rows] == [is_unusable(record, columns, width) for record in plain]


def plain_records(case: Case, *, header: bool) -> list[list[str]]:
    """What Python's own reader sees, blank records and a header left out."""
    text = io.StringIO(case.data.decode(case.plain), newline="")
    return [record for record in csv.reader(text) if "".join(record).strip()][header:]


@every_case
def test_the_api_answers_with_an_id_or_the_line(case: Case, shim: Shim, stored: Catalogue) -> None:
    """A create is 200 with all rows stored, or 400 with the words and the line; nothing is kept of a refusal."""
    folder = shim.settings.home / "storage" / "sources"
    before = files(folder)
    answer = requests.post(
        f"{shim.url}/v1/tasks/create", data={"group_name": "corpus"}, files={"file": case.data}, timeout=60
    )
    if case.refusal:
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] == "invalid_source"
        assert case.refusal in answer.json()["error"]
        assert case.line is None or f"line {case.line}: " in answer.json()["error"]
        assert files(folder) == before
        return
    assert answer.status_code == 200, answer.text
    task_id = answer.json()["id"]
    assert stored.tasks.get(task_id).total_num == case.rows
    storage = Storage.of(shim.settings)
    index = storage.index(task_id)
    assert index is not None
    assert sum(len(list(storage.open_shard(task_id, shard))) for shard in plan_shards(index, 1)) == case.rows


@pytest.mark.parametrize("case", [case for case in CASES if not case.refusal], ids=lambda case: case.name)
def test_results_are_the_file_again(case: Case, shim: Shim, stored: Catalogue) -> None:
    """Results of all rows are taken as they are, and have the cells of every row; failed and imported ones likewise."""
    task_id = create(shim, case.data)
    titles, cells = table_of(shim, task_id)
    handle(shim, stored, task_id, failed=range(1, case.rows + 1, 2))
    everything = create(shim, download(shim, task_id, "all"))
    assert table_of(shim, everything) == (titles, cells)
    handle(shim, stored, everything, failed=range(1, case.rows + 1))
    assert table_of(shim, create(shim, download(shim, everything, "failed"))) == (titles, cells)
    parts = [create(shim, download(shim, task_id, rows)) for rows in ("failed", "imported")[: min(case.rows, 2)]]
    tables = [table_of(shim, part) for part in parts]
    assert [part for part, _ in tables] == [titles] * len(parts)
    assert [rows for _, rows in tables] == [cells[0::2], cells[1::2]][: len(parts)]


def create(shim: Shim, data: bytes) -> str:
    """Create a task."""
    answer = requests.post(
        f"{shim.url}/v1/tasks/create", data={"group_name": "corpus"}, files={"file": data}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def download(shim: Shim, task_id: str, rows: str) -> bytes:
    """Results of a task."""
    answer = requests.get(f"{shim.url}/v1/tasks/{task_id}/download_rows", params={"rows": rows}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.content


def table_of(shim: Shim, task_id: str) -> tuple[list[str], list[list[str]]]:
    """Titles and all rows of a task's file, each with at least one cell for each column and no empty ones beyond."""
    storage = Storage.of(shim.settings)
    index = storage.index(task_id)
    assert index is not None
    with storage.opened(task_id, index) as source:
        titles = source.titles()
        rows = [cells for batch in source.batches(range(1, index.rows + 1)) for _, cells in batch]
    for cells in rows:
        cells.extend([""] * (len(titles) - len(cells)))
        while len(cells) > len(titles) and not cells[-1]:
            cells.pop()
    return titles, rows


def handle(shim: Shim, stored: Catalogue, task_id: str, failed: range) -> None:
    """Give every row of a task an outcome, with words that want quoting and guarding."""
    index = Storage.of(shim.settings).index(task_id)
    assert index is not None
    shards = plan_shards(index, 1)
    stored.plans.commit(task_id, shards, index.rows)
    stored.tasks.start(task_id)
    bad = {row: Outcome(row, "", Code.URI_UNREACHABLE, '=no, "really"; no') for row in failed}
    for shard in shards:
        assert stored.leases.take(task_id, shard.number, "me", 10)
        rows = range(shard.first_row, shard.last_row + 1)
        outcomes = tuple(bad.get(row) or Outcome(row, "", Code.OK, face_id=f"-{row}") for row in rows)
        stored.ledger.write(OutcomeBatch(task_id, shard.number, "me", outcomes))


def files(folder: Path) -> set[Path]:
    """All files below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}
