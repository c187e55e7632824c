"""The page of the audit log: for all groups only, in both languages, and with whatever the file has."""

from flask.testing import FlaskClient

from face_import.audit import AuditLog, By, Entry, Result
from face_import.catalogue import Catalogue
from face_import.keys import KeyFile
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.api.test_keys import Application, application, keys
from tests.unit.console.conftest import Get

__all__ = ["application", "keys"]


def test_it_shows_who_did_what(get: Get, settings: Settings, make_task: MakeTask, client: FlaskClient) -> None:
    """A change of the page's own client, with a link to its import; and what others did."""
    task = make_task()
    client.post(f"/v1/tasks/{task.id}/stop")
    audit_log = AuditLog.of(settings)
    audit_log.write(Entry(by=By.NOBODY, action="stop", address="203.0.113.9", result=Result.REFUSED, status=401))
    audit_log.write(Entry(by=By.KEY, who="<b>alice", action="unheard_of", details={"rows": 12}))
    page = get("/audit")
    assert f'<a href="/tasks/{task.id}">staff</a>' in page
    assert all(text in page for text in ("no valid key", "203.0.113.9", "Refused", "401", "unheard_of", "rows: 12"))
    assert "&lt;b&gt;alice" in page
    assert page.index("unheard_of") < page.index("Refused") < page.index(task.id)
    chinese = get("/audit", language="zh")
    assert all(text in chinese for text in ("审计日志", "被拒绝", "停止"))


def test_an_empty_or_damaged_log_is_no_error(get: Get, settings: Settings) -> None:
    """Lines that are no entries are left out, and a time that is none is a dash."""
    assert "No entries yet" in get("/audit")
    log = AuditLog.of(settings)
    log.path.parent.mkdir(parents=True)
    log.path.write_text('{"by":"martian","action":"x"}\n\0\n[]\n{"time":"noon","by":"keeper","action":"purge"}\n')
    assert "Remove data" in get("/audit")


def test_it_is_for_keys_of_all_groups(application: Application, keys: KeyFile, catalogue: Catalogue) -> None:
    """Others neither see it nor a link to it."""
    as_page = {"Accept": "text/html"}
    client = application(keys.add("bob", ("vip",)))
    assert client.get("/audit", headers=as_page).status_code == 403
    assert "/audit" not in client.get("/", headers=as_page).text
    client = application(keys.add("alice", None))
    assert "bob" in client.get("/audit", headers=as_page).text
    assert 'href="/audit"' in client.get("/", headers=as_page).text
