"""What a try at a shard needs, opened before it and closed after it."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from face_import.catalogue import Catalogue, Holdings
from face_import.clients.fetcher import Fetcher
from face_import.clients.services import InfoService, LibraryService
from face_import.contract import Mode
from face_import.pipeline.adding import Adder
from face_import.pipeline.changes import ChangesImporter
from face_import.pipeline.gate import Gate
from face_import.pipeline.journal import AddJournal
from face_import.pipeline.outage import Outage
from face_import.pipeline.row import RowImporter
from face_import.pipeline.shard import ShardImport, ShardWork
from face_import.settings import Settings

DECODERS = 2


@asynccontextmanager
async def opened(work: ShardWork, catalogue: Catalogue, settings: Settings) -> AsyncIterator[ShardImport]:
    """Open connections and threads for a try at a shard; the caller runs it."""
    task = work.task
    gate = Gate(work.shard.rows, strict=task.config.mode == Mode.STOP)
    outage = partial(Outage, gate=gate, patience_s=settings.outage_patience_s, meter=work.meter)
    kind: Callable[..., RowImporter] = RowImporter
    if entry := task.config.entry:
        held = Holdings(catalogue.engine, task)
        kind = partial(ChangesImporter, entry=entry, holdings=held, late_s=settings.service_timeout_s)
    async with AsyncExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(DECODERS, "decode"))
        note = partial(catalogue.journal.note, task.id, work.shard.number, work.owner)
        adder = Adder(
            task_id=task.id,
            group=task.config.group_name,
            library=await stack.enter_async_context(LibraryService(settings)),
            outage=outage("library"),
            journal=AddJournal(note, stack.enter_context(ThreadPoolExecutor(1, "journal"))),
            holder=partial(catalogue.journal.holder, task.id),
            threads=threads,
            gate=gate,
        )
        importer = kind(
            limits=task.config.limits,
            max_pixels=settings.max_image_pixels,
            fetcher=await stack.enter_async_context(Fetcher(settings, gate.aside)),
            info=await stack.enter_async_context(InfoService(settings)),
            info_outage=outage("info"),
            adder=adder,
            threads=threads,
            gate=gate,
        )
        yield ShardImport(work, importer, gate, catalogue, settings)
