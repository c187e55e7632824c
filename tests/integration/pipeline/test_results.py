"""What failed for its image host is imported from the results once the host is mended, with nothing lost."""

from api_shim.results_csv import results_csv
from face_import.catalogue import ImportTask, Selection
from face_import.contract import Rows
from face_import.results import Results
from face_import.sources import Storage
from tests.integration.pipeline.conftest import Bench

HOSTILE = ("=1+1", "'=1+1", "''-2", "'\tx", 'a "b"', "a;b|c", "'tis", "", "陈", '="007"')


def results(bench: Bench, task: ImportTask, rows: Rows) -> str:
    """Results of a task, without the byte order mark."""
    pieces = results_csv(Results(bench.catalogue, Storage.of(bench.settings), task.id), Selection(rows))
    return "".join(pieces).removeprefix("\ufeff")


def rows_of(bench: Bench, task: ImportTask, rows: Rows = Rows.ALL) -> list[list[str]]:
    """Cells of rows of a task."""
    found = Results(bench.catalogue, Storage.of(bench.settings), task.id)
    with found.opened() as source:
        return [cells for batch in found.batches(source, Selection(rows)) for _, (_, cells) in batch]


async def test_a_mended_hosts_rows_are_imported_from_the_results(bench: Bench) -> None:
    """What both imports have is the original file, and the group has each row with its own id."""
    away = bench.images.host("away", status=404)
    uris = [bench.images.image(n=n) if n % 3 else away.image(n=n) for n in range(30)]
    quoted = ['"{}"'.format(HOSTILE[n % len(HOSTILE)].replace('"', '""')) for n in range(30)]
    task = bench.task(["dept,id,uri,tag", *(f"{quoted[n]},e-{n},{uris[n]},{quoted[-n]}" for n in range(30))])
    await bench.run(task)
    assert bench.catalogue.ledger.progress(task.id).by_code == {0: 20, 101: 10}
    away.switch()
    rest = bench.task([results(bench, task, Rows.FAILED)])
    await bench.run(rest)
    assert bench.catalogue.ledger.progress(rest.id).by_code == {0: 10}
    both = rows_of(bench, task, Rows.IMPORTED) + rows_of(bench, rest, Rows.IMPORTED)
    assert sorted(both) == sorted(rows_of(bench, task))
    assert bench.services.record(all=1)["faces"]["staff"].keys() == {f"e-{n}" for n in range(30)}
    assert results(bench, rest, Rows.FAILED).count("\n") == 1
