"""The catalogue: import tasks, shards with their leases, the ledger and holdings, in SQLite or PostgreSQL."""

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from sqlalchemy import Engine

from face_import.catalogue import engine as _engine
from face_import.catalogue.callbacks import Call, Callbacks, LastCall
from face_import.catalogue.creates import Creates, Once
from face_import.catalogue.groups import GroupImports, GroupRecord, Origin
from face_import.catalogue.holdings import Holdings
from face_import.catalogue.hosts import Hosts, HostState, Trouble, WaitingHost
from face_import.catalogue.journal import Holder, Journal
from face_import.catalogue.leases import Lease, Leases, Taken
from face_import.catalogue.ledger import Ledger, LogEntry, LogPage
from face_import.catalogue.new_limits import Affected, Changed, NewLimits
from face_import.catalogue.outcomes import Outcomes, RowResult, Selection
from face_import.catalogue.pictures import Pictures, Twin
from face_import.catalogue.places import Demand, Places
from face_import.catalogue.plans import Plans
from face_import.catalogue.progress import Progress
from face_import.catalogue.records import ImportTask, TaskConfig
from face_import.catalogue.reopening import Reopening
from face_import.catalogue.runs import Runs
from face_import.catalogue.tasks import Tasks
from face_import.catalogue.turns import Turns
from face_import.catalogue.undoing import FaceOfRow, Undoing
from face_import.settings import Settings, get_settings

__all__ = [
    "Affected",
    "Call",
    "Callbacks",
    "Catalogue",
    "Changed",
    "Creates",
    "Demand",
    "FaceOfRow",
    "GroupImports",
    "GroupRecord",
    "Holder",
    "Holdings",
    "HostState",
    "Hosts",
    "ImportTask",
    "Journal",
    "LastCall",
    "Lease",
    "Leases",
    "Ledger",
    "LogEntry",
    "LogPage",
    "NewLimits",
    "Once",
    "Origin",
    "Outcomes",
    "Pictures",
    "Places",
    "Plans",
    "Progress",
    "Reopening",
    "RowResult",
    "Runs",
    "Selection",
    "Taken",
    "TaskConfig",
    "Tasks",
    "Trouble",
    "Turns",
    "Twin",
    "Undoing",
    "WaitingHost",
    "get_catalogue",
    "migrate",
]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The parts of the catalogue, on one engine."""

    engine: Engine
    tasks: Tasks
    creates: Creates
    plans: Plans
    runs: Runs
    leases: Leases
    ledger: Ledger
    outcomes: Outcomes
    journal: Journal
    turns: Turns
    pictures: Pictures
    hosts: Hosts
    places: Places
    reopening: Reopening
    undoing: Undoing
    new_limits: NewLimits
    callbacks: Callbacks

    @classmethod
    def open(cls, settings: Settings, *, timeout_s: float = _engine.BUSY_TIMEOUT_S, pooled: bool = True) -> Self:
        """Open the configured catalogue; connections are made on demand.

        Args:
            settings: the settings.
            timeout_s: how long a statement waits for another's lock, in seconds.
            pooled: keep connections open; see `engine.connect`.
        """
        engine = _engine.connect(settings.catalogue_url, timeout_s=timeout_s, pooled=pooled)
        tasks = Tasks(engine)
        return cls(
            engine,
            tasks,
            Creates(engine),
            Plans(engine),
            Runs(engine, tasks),
            Leases(engine, settings.lease_ttl_s),
            Ledger(engine),
            Outcomes(engine),
            Journal(engine),
            Turns(engine),
            Pictures(engine),
            Hosts(engine, settings.fetch_patience_s, settings.host_give_up_s),
            Places(engine),
            Reopening(engine),
            Undoing(engine),
            NewLimits(engine),
            Callbacks(engine),
        )


def migrate(revision: str = "head") -> None:
    """Migrate the configured catalogue's tables to `revision`."""
    _engine.migrate(get_settings().catalogue_url, revision)


@lru_cache(maxsize=1)
def _of_process(_pid: int) -> Catalogue:
    return Catalogue.open(get_settings())


def get_catalogue() -> Catalogue:
    """This process's catalogue; a forked child never shares its parent's connections."""
    return _of_process(os.getpid())
