"""What a try at a shard needs, opened before it and closed after it."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from face_import.catalogue import Catalogue, Holdings, ImportTask, Twin
from face_import.clients.fetcher import Fetcher
from face_import.clients.services import InfoService, LibraryService
from face_import.contract import Mode
from face_import.domain.models import Row
from face_import.domain.recurring import row_key
from face_import.pipeline.adding import Adder, NoAdder
from face_import.pipeline.changes import ChangesImporter
from face_import.pipeline.gate import Gate
from face_import.pipeline.hosts import Hosts
from face_import.pipeline.journal import AddJournal
from face_import.pipeline.lookalikes import Lookalikes
from face_import.pipeline.outage import Outage
from face_import.pipeline.removing import Remover
from face_import.pipeline.row import RowImporter
from face_import.pipeline.shard import ShardImport
from face_import.pipeline.undoing import FaceRemover
from face_import.pipeline.visits import Visits
from face_import.pipeline.work import ShardWork
from face_import.settings import Settings
from face_import.space import shortage

DECODERS = 2


@asynccontextmanager
async def opened(work: ShardWork, catalogue: Catalogue, settings: Settings) -> AsyncIterator[ShardImport]:
    """Open connections and threads for a try at a shard; the caller runs it."""
    task, group, late_s = work.task, work.task.config.group_name, settings.service_timeout_s
    guard, of_try = task.config.guard, (task.id, work.shard.number, work.owner)
    gate = Gate(work.shard.rows, strict=task.config.mode == Mode.STOP, shortage=partial(shortage, settings))
    outage = partial(Outage, gate=gate, patience_s=settings.outage_patience_s, meter=work.meter)
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(DECODERS, "decode"))
        library, library_outage = await stack.enter_async_context(LibraryService(settings)), outage("library")
        journal = AddJournal(
            partial(catalogue.journal.note, *of_try),
            partial(catalogue.turns.take, *of_try),
            stack.enter_context(ThreadPoolExecutor(1, "journal")),
        )
        adder = (NoAdder if task.config.scope.dry_run else Adder)(
            task_id=task.id,
            group=group,
            library=library,
            outage=library_outage,
            journal=journal,
            notes_all=guard.keeps_out,
            holder=partial(catalogue.journal.holder, task.id),
            threads=threads,
            gate=gate,
        )
        remover = Remover(group, library, library_outage, gate, journal.note, late_s)
        fetcher = await stack.enter_async_context(Fetcher(settings, gate.aside))
        importer = _kind(task, catalogue, late_s)(
            limits=task.config.limits,
            scope=task.config.scope,
            max_pixels=settings.max_image_pixels,
            fetcher=fetcher,
            info=await stack.enter_async_context(InfoService(settings)),
            info_outage=outage("info"),
            adder=adder,
            lookalikes=Lookalikes(
                guard=guard,
                dry_run=bool(task.config.scope.dry_run),
                adder=adder,
                remover=remover,
                give_up=partial(catalogue.turns.give_up, *of_try),
                later=partial(catalogue.turns.later, task.id),
                twins=partial(_twins, catalogue, task),
                regain=lambda row, *of: catalogue.pictures.regain(task, row.number, *of),
                threads=threads,
            ),
            remover=remover,
            threads=threads,
            gate=gate,
            visits=Visits(
                Hosts(work, gate, catalogue, settings), catalogue.hosts, fetcher.fetch, settings.fetch_patience_s
            ),
        )
        yield ShardImport(work, importer, gate, catalogue, settings)


def _twins(catalogue: Catalogue, task: ImportTask, row: Row, picture: bytes) -> list[Twin]:
    """Rows because of which another one must not import a picture."""
    if task.config.entry:
        return catalogue.pictures.of_entry(task, row.number, row_key(row), picture)
    return catalogue.pictures.of_task(task.id, row.number, picture)


def _kind(task: ImportTask, catalogue: Catalogue, late_s: float) -> Callable[..., RowImporter]:
    """What handles the task's rows."""
    held = Holdings(catalogue.engine, task)
    if task.config.undoes:
        return partial(FaceRemover, undoes=task.config.undoes, holdings=held)
    if task.config.entry:
        return partial(ChangesImporter, entry=task.config.entry, holdings=held, late_s=late_s)
    return RowImporter
