"""Sources: ingesting a CSV file or a workbook, storing it, and reading it back a shard at a time.

::

    location ──▶ encoding ──▶ records ──▶ intake ──▶ storage ──▶ reader
    may we open   any text     lines and   one pass:   rows.csv    a shard's
    this URL?     as UTF-8     records     the index   rows.json   rows
"""

from face_import.sources.intake import Bounds, ingest, read_rows
from face_import.sources.location import check_source, open_source
from face_import.sources.storage import Storage
from face_import.sources.stored import Record, StoredSource

__all__ = [
    "Bounds",
    "Record",
    "Storage",
    "StoredSource",
    "check_source",
    "ingest",
    "open_source",
    "read_rows",
]
