"""The page of the audit log's latest entries, for keys that have access to all groups."""

from datetime import datetime

from flask import render_template

from api_shim.access import OtherGroup, is_scoped
from api_shim.app_context import app_context
from face_console.language import gettext
from face_console.view import blueprint
from face_import.audit import AuditLog, Entry

ENTRIES = 200


@blueprint.get("/audit")
def show_audit() -> str:
    """The latest entries, newest first.

    Raises:
        OtherGroup: the key is limited to some groups.
    """
    if is_scoped():
        raise OtherGroup(gettext("The audit log covers all groups, and your key has access to some only."))
    audit_log = AuditLog.of(app_context().settings)
    return render_template(
        "audit.html",
        entries=[(entry, _seconds(entry)) for entry in audit_log.last(ENTRIES)],
        most=ENTRIES,
        file=f"logs/{audit_log.path.name}",
    )


def _seconds(entry: Entry) -> float | None:
    """When it was written; None for a line that somebody has changed by hand."""
    try:
        return datetime.fromisoformat(entry.time).timestamp()
    except ValueError:
        return None
