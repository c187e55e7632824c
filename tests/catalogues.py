"""Migrated catalogues on each kind of database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from face_import.catalogue import Catalogue
from face_import.catalogue.engine import migrate
from face_import.settings import Settings
from tests import servers

DATABASES = ("sqlite", "postgresql")


def catalogue_on(database: str, home: Path, **settings: Any) -> Iterator[Catalogue]:
    """A catalogue on one of `DATABASES`, for a fixture to yield; skips its tests where no PostgreSQL is reachable."""
    if database == "sqlite":
        yield from _opened(f"sqlite:///{home / 'catalogue.db'}", home, settings)
        return
    try:
        with servers.databases(1) as (url,):
            yield from _opened(url, home, settings)
    except servers.Unavailable as reason:
        servers.skip(reason)


def _opened(url: str, home: Path, settings: dict[str, Any]) -> Iterator[Catalogue]:
    migrate(url)
    catalogue = Catalogue.open(Settings(home=home, database_url=url, **settings))
    yield catalogue
    catalogue.engine.dispose()
