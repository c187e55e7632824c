"""Tables of the catalogue: import tasks, shards with leases, tallies by code, ledger, journal of adds, holdings.

Times are seconds since the epoch by the database's own clock (`now()`), so that processes on different
machines agree about leases.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from face_import.contract import OnAlike
from face_import.domain.models import FAILURE_POLICY, LIMITS, SCOPE, Change

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


class now(FunctionElement[float]):  # noqa: N801 - named like the SQL function it is
    """The database's wall clock in seconds since the epoch, even inside a long transaction."""

    type = Double()
    inherit_cache = True


@compiles(now)
def _now_postgresql(_element: now, _compiler: SQLCompiler, **_options: object) -> str:
    return "extract(epoch from clock_timestamp())::double precision"


@compiles(now, "sqlite")
def _now_sqlite(_element: now, _compiler: SQLCompiler, **_options: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


class Words(TypeDecorator[str]):
    """Untrusted text, without characters that databases reject: NUL and lone surrogates."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Replace such characters by U+FFFD."""
        if value is None:
            return None
        return value.encode(errors="surrogatepass").decode(errors="replace").replace("\0", "\ufffd")


def _task_key() -> Column[str]:
    return Column("task_id", String(12), ForeignKey("import_task.id", ondelete="CASCADE"), primary_key=True)


import_task = Table(
    "import_task",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("run_id", String(250), nullable=False, unique=True),
    Column("group_name", String(250), nullable=False),
    *(Column(name, Integer, nullable=False, default=0, server_default="0") for name in LIMITS),
    Column("thread_num", Integer, nullable=False),
    Column("host_threads", Integer, nullable=False, default=0, server_default="0"),
    Column("mode", Integer, nullable=False),
    *(Column(name, Integer, nullable=False, default=0, server_default="0") for name in (*FAILURE_POLICY, *SCOPE)),
    Column("same_picture", Integer, nullable=False, default=0, server_default="0"),
    Column("alike", Double, nullable=False, default=0.0, server_default="0"),
    Column("alike_tag", Double, nullable=False, default=0.0, server_default="0"),
    Column("on_alike", String(8), nullable=False, default=OnAlike.REFUSE, server_default=OnAlike.REFUSE),
    Column("handled_before", Integer, nullable=False, default=0, server_default="0"),
    Column("handled_since", JSON, nullable=False, default={}, server_default="{}"),
    Column("entry", String(64), nullable=False, default="", server_default=""),
    Column("undoes", String(12), nullable=False, default="", server_default=""),
    Column("callback_url", Words, nullable=False, default="", server_default=""),
    Column("source", Words, nullable=False),
    Column("state", Integer, nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    Column("launched_attempt", Integer, nullable=False, default=0),
    Column("launched_at", Double, nullable=False, default=0.0),
    Column("control_owner", String(36)),
    Column("control_until", Double, nullable=False, default=0.0),
    Column("paused", Boolean, nullable=False, default=False),
    Column("last_error", Words, nullable=False, default=""),
    Column("notice", Words, nullable=False, default="", server_default=""),
    Column("total_num", Integer, nullable=False, default=0),
    Column("gone_num", Integer),
    Column("hosts_version", Integer, nullable=False, default=0, server_default="0"),
    Column("source_name", String(32), nullable=False),
    Column("source_url", Words),
    Column("reading_options", Words),
    Column("reading", Words),
    Column("create_key", LargeBinary),
    Column("create_digest", LargeBinary),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("stopped_at", Double),
    Column("finished_at", Double),
    Column("deleted_at", Double),
    Index("ix_import_task_group_name_state", "group_name", "state"),
)
UNDO = text("undoes <> ''")
Index("ix_import_task_undoes", import_task.c.undoes, postgresql_where=UNDO, sqlite_where=UNDO)
KEPT = text("create_key IS NOT NULL AND deleted_at IS NULL")
"""A deleted task frees its idempotency key: it is purged soon, and until then nobody can use its id."""
Index("ix_import_task_create_key", import_task.c.create_key, unique=True, postgresql_where=KEPT, sqlite_where=KEPT)

shard = Table(
    "shard",
    metadata,
    _task_key(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("first_row", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("start_byte", BigInteger, nullable=False),
    Column("end_byte", BigInteger, nullable=False),
    Column("line", Integer, nullable=False),
    Column("lease_owner", String(36)),
    Column("lease_until", Double, nullable=False, default=0.0),
    Column("lease_wants", Integer, nullable=False, default=0),
    Column("lease_grant", Integer, nullable=False, default=0),
    Column("in_doubt", Boolean, nullable=False, default=False, server_default=false()),
    *(Column(f"{change}_num", Integer, nullable=False, default=0, server_default="0") for change in Change),
    sqlite_with_rowid=False,
)

tally = Table(
    "tally",
    metadata,
    _task_key(),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("code", Integer, primary_key=True, autoincrement=False),
    Column("rows", Integer, nullable=False),
    sqlite_with_rowid=False,
)

MEASURED: dict[str, Integer | Double[float]] = {
    "faces": Integer(),
    "score": Double(),
    "width": Integer(),
    "height": Integer(),
    "pitch": Double(),
    "yaw": Double(),
    "roll": Double(),
    "blur": Integer(),
}
"""A row's measurements by name; null if not needed or not available."""

outcome = Table(
    "outcome",
    metadata,
    _task_key(),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("code", Integer, nullable=False),
    Column("uri", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("reason", String(20), nullable=False, server_default=""),
    Column("face_id", Words, nullable=False),
    Column("picture", LargeBinary),
    Column("nearest_id", Words),
    Column("nearest_score", Double),
    *(Column(name, kind) for name, kind in MEASURED.items()),
    Column("pose_unknown", Boolean, nullable=False, default=False, server_default=false()),
    Column("handled_at", Double, nullable=False),
    sqlite_with_rowid=False,
)
FAILED = outcome.c.code != 0
Index("ix_outcome_failed_row", outcome.c.task_id, outcome.c.row, postgresql_where=FAILED, sqlite_where=FAILED)
Index(
    "ix_outcome_failed_code",
    outcome.c.task_id,
    outcome.c.code,
    outcome.c.row,
    postgresql_where=FAILED,
    sqlite_where=FAILED,
)
PICTURE = text("picture IS NOT NULL")
Index("ix_outcome_picture", outcome.c.task_id, outcome.c.picture, postgresql_where=PICTURE, sqlite_where=PICTURE)
UNDONE = "imported, and removed by import "
"""How the message of a row begins whose face an undo has removed; like a row of a dry run, it is 0 without a face."""
OWN_ID = text("code = 0 AND face_id <> task_id || '-' || CAST(\"row\" AS TEXT)")
"""Rows with an own id: made ids consist of the task's id and the row number, and need no index."""
Index("ix_outcome_own_id", outcome.c.face_id, outcome.c.task_id, postgresql_where=OWN_ID, sqlite_where=OWN_ID)

sent = Table(
    "sent",
    metadata,
    Column("task_id", String(12), primary_key=True),  # no foreign key: its check would wait for the task's renewals
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("face_id", Words, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("removal", JSON(none_as_null=True)),
    Column("turn", BigInteger),
    Index("ix_sent_face_id", "face_id", "task_id", unique=True),
    sqlite_with_rowid=False,
)
"""Adds that may have been sent and are not settled by an outcome: all under ids from the file, and those of guarded
imports, whose `turn` says in which order their faces came into the group (`catalogue.turns`). With a `removal`, faces
that are to be deleted (`Removal`)."""
HAS_TURN = text("turn IS NOT NULL")
Index("ix_sent_digest", sent.c.task_id, sent.c.digest, postgresql_where=HAS_TURN, sqlite_where=HAS_TURN)

turn = Table(
    "turn",
    metadata,
    Column("group_name", String(250), primary_key=True),
    Column("last", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""The last turn of each group; its row is what they are serialised by."""

host = Table(
    "host",
    metadata,
    _task_key(),
    Column("origin", String(300), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("reason", Words, nullable=False, default=""),
    Column("lost_rows", Integer, nullable=False, default=0),
    Column("since", Double),
    Column("patience_until", Double, nullable=False, default=0.0),
    Column("retry_at", Double, nullable=False, default=0.0),
    Column("retries", Integer, nullable=False, default=0),
    Column("given_up", Boolean, nullable=False, default=False),
    Column("prober", String(36)),
    Column("probe_until", Double, nullable=False, default=0.0),
    Column("most", Integer),
    Column("most_since", Double, nullable=False, default=0.0),
    Column("pace", Double),
    sqlite_with_rowid=False,
)
"""Image hosts that are or were in trouble; `since` is null while one answers. `most` bounds the fetches from it since
it was overloaded, and grows; `pace` is what it allows, in requests a second."""

callback = Table(
    "callback",
    metadata,
    _task_key(),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("id", String(36), nullable=False),
    Column("event", String(20), nullable=False),
    Column("data", JSON, nullable=False),
    Column("origin", String(300), nullable=False),
    Column("ended_at", Double, nullable=False),
    Column("tries", Integer, nullable=False, default=0),
    Column("tried_at", Double),
    Column("answer", Words, nullable=False, default=""),
    Column("delivered", Boolean, nullable=False, default=False),
    Column("due_at", Double),
    sqlite_with_rowid=False,
)
"""Callbacks to make and made, one for each attempt that has ended; `due_at` is null once there is nothing to send."""
IS_DUE = text("due_at IS NOT NULL")
Index("ix_callback_due_at", callback.c.due_at, postgresql_where=IS_DUE, sqlite_where=IS_DUE)

place = Table(
    "place",
    metadata,
    _task_key(),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("origin", String(300), primary_key=True),
    Column("waiting", Integer, nullable=False),
    Column("wants", Integer, nullable=False),
    Column("granted", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""What a shard has to do with a host: its rows that wait, and fetches at a time that it wants and may make. The latter
two count only while the shard's lease lives."""

holding = Table(
    "holding",
    metadata,
    Column("entry", String(64), primary_key=True),
    Column("group_name", String(250), primary_key=True),
    Column("key", LargeBinary, primary_key=True),
    Column("face_id", Words, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("cells", LargeBinary, nullable=False),
    Column("validator", Words, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("sent_id", Words, nullable=False, default="", server_default=""),
    Column("sent_digest", LargeBinary, nullable=False, default=b"", server_default=text("''")),
    Column("shaky", Boolean, nullable=False, default=False, server_default=false()),
    Column("picture", LargeBinary),
    Column("task_id", String(12), nullable=False),
    Column("row", Integer, nullable=False),
    Column("seen_by", String(12), nullable=False),
    Index("ix_holding_picture", "entry", "group_name", "picture", postgresql_where=PICTURE, sqlite_where=PICTURE),
    sqlite_with_rowid=False,
)
"""Holdings of recurring imports; `seen_by` is the last import whose file had the row. Outlives tasks."""
