"""Logging in: what a session may do and when it ends, and that no other site's page can use it."""

import io
import re
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import api_shim
import face_console
from face_import.catalogue import Catalogue
from face_import.catalogue.reports import Overview
from face_import.contract import Code
from face_import.keys import KeyFile
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.console.conftest import Fail, token_of

Browser = Callable[..., FlaskClient]
NEVER = "AAAAAAAAAAAA"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """The file of keys."""
    return KeyFile(tmp_path / "secrets" / "keys.json")


@pytest.fixture
def browser(settings: Settings, catalogue: Catalogue, keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> Browser:
    """Make a browser of an application that asks for keys, logged in with one of them or not."""
    monkeypatch.setattr(api_shim.app_context, "get_catalogue", lambda: catalogue)
    (settings.home / "secrets").mkdir(parents=True)
    (settings.home / "secrets" / "airflow_password").write_text("secret")

    def make(key: str = "", **changes: object) -> FlaskClient:
        update = {"airflow_url": "http://127.0.0.1:9", "api_keys_file": keys.path, **changes}
        client = face_console.create_app(settings.model_copy(update=update)).test_client()
        client.environ_base["HTTP_ACCEPT"] = "text/html"
        if key:
            assert log_in(client, key).status_code == 303
        return client

    return make


def log_in(client: FlaskClient, key: str, **fields: str) -> TestResponse:
    """Send the login's form as a browser without scripts does."""
    return client.post("/login", data={"csrf_token": token_of(client.get("/login")), "key": key, **fields})


def send(client: FlaskClient, group: str, token: str) -> TestResponse:
    """Send the form of a new import."""
    file = (io.BytesIO(b"http://x/1.jpg\n"), "faces.csv")
    return client.post("/new", data={"csrf_token": token, "group_name": group, "file": file})


def test_a_login_leads_back(browser: Browser, keys: KeyFile) -> None:
    """Whoever is not logged in gets the form, and after it the page that was asked for, in a frame too."""
    key = keys.add("alice", None)
    client = browser()
    assert client.get("/new?embed=1").location == "/login?next=/new?embed%3D1&embed=1"
    assert client.get("/nowhere").location == "/login?next=/nowhere"
    assert log_in(client, key, next="/new?embed=1").location == "/new?embed=1"
    assert client.get("/new").status_code == 200


@pytest.mark.parametrize("next_page", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"])
def test_a_login_leads_to_no_other_site(browser: Browser, keys: KeyFile, next_page: str) -> None:
    """A link to the login with another site's address ends at the list."""
    key = keys.add("alice", None)
    assert log_in(browser(), key, next=next_page).location == "/"


def test_parts_of_pages_lead_the_page_to_the_login(browser: Browser, keys: KeyFile) -> None:
    """A session that ended while a page was open moves the whole page, and comes back to it."""
    keys.add("alice", None)
    page = "http://localhost/tasks/x?page=2"
    answer = browser().get("/live", headers={"Accept": "*/*", "HX-Request": "true", "HX-Current-URL": page})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/login?next=/tasks/x?page%3D2")


def test_the_cookie_is_for_this_site_and_no_script(browser: Browser, keys: KeyFile) -> None:
    """HttpOnly, SameSite=Strict, for twelve hours, Secure behind TLS, and without the key or its hash."""
    key = keys.add("alice", None)
    stored = keys.read()["alice"].sha256
    for url, secure in (("", False), ("https://faces.example", True)):
        cookie = log_in(browser(public_url=url), key).headers["Set-Cookie"]
        assert "; HttpOnly;" in cookie
        assert "SameSite=Strict" in cookie
        assert ("; Secure;" in cookie) is secure
        assert cookie.startswith("face_import_session_8000=")
    client = browser(key)
    assert client.application.permanent_session_lifetime == timedelta(hours=12)
    with client.session_transaction() as session:
        assert key not in str(dict(session))
        assert stored not in str(dict(session))


def test_the_secret_is_made_once_and_for_the_owner(browser: Browser, keys: KeyFile, settings: Settings) -> None:
    """Sessions outlive a restart; another secret ends them all."""
    client = browser(keys.add("alice", None))
    secret = settings.home / "secrets" / "session_key"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(secret.read_text().strip()) == 43
    assert [file.name for file in secret.parent.glob("session_key*")] == ["session_key"]
    cookie = client.get_cookie("face_import_session_8000")
    assert cookie is not None
    for status in (200, 303):
        restarted = browser()
        restarted.set_cookie(cookie.key, cookie.value)
        assert restarted.get("/").status_code == status
        secret.unlink()


def test_sessions_end(browser: Browser, keys: KeyFile) -> None:
    """By the key's revocation, for good, by logging out, and by time, whatever the browser says."""
    client = browser(keys.add("alice", None))
    assert client.get("/").status_code == 200
    keys.revoke("alice")
    assert client.get("/").location.startswith("/login")
    again = keys.add("alice", None)
    assert client.get("/").location.startswith("/login")

    client = browser(again)
    assert client.post("/logout", data={"csrf_token": token_of(client.get("/"))}).location == "/login"
    assert client.get("/").location.startswith("/login")

    client = browser(again)
    client.application.permanent_session_lifetime = timedelta(seconds=-1)
    assert client.get("/").location.startswith("/login")


def test_wrong_keys_are_told_and_counted(browser: Browser, keys: KeyFile) -> None:
    """A wrong key is 401 with the form, too many from one address are 429, and others still get in."""
    key = keys.add("alice", None)
    client = browser()
    for wrong in ("", "wrong", key + "x", key[:-1], *(["x"] * 16)):
        answer = log_in(client, wrong)
        assert answer.status_code == 401
        assert "Invalid or revoked key." in answer.text
        assert "Set-Cookie" not in answer.headers
    answer = log_in(client, key)
    assert answer.status_code == 429
    assert "Too many failed logins." in answer.text
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    client.environ_base["REMOTE_ADDR"] = "127.0.0.2"
    assert log_in(client, key).status_code == 303


def test_a_session_counts_as_its_key(browser: Browser, keys: KeyFile) -> None:
    """A logged-in browser has the rate of its key, the login included."""
    client = browser(keys.add("alice", None), key_requests_per_minute=4)
    assert [client.get("/").status_code for _ in range(5)] == [200] * 3 + [429] * 2


def test_the_cookie_opens_no_endpoint(
    browser: Browser, keys: KeyFile, make_task: MakeTask, catalogue: Catalogue
) -> None:
    """`/v1` takes the key's header only: the GET forms of start, stop and delete above all."""
    client = browser(keys.add("alice", None), bind="0.0.0.0")  # noqa: S104 - with a key
    task = make_task()
    for name in ("start", "stop", "delete", "detail", "log", "download_log"):
        assert client.get(f"/v1/tasks/{task.id}/{name}").status_code == 401
    assert client.post("/v1/tasks/list", json={"group_name": "staff"}).status_code == 401
    assert catalogue.tasks.get(task.id) == task


@pytest.mark.parametrize("with_keys", [True, False], ids=["keys", "open"])
def test_forms_need_the_token(
    browser: Browser, keys: KeyFile, make_task: MakeTask, catalogue: Catalogue, with_keys: bool
) -> None:
    """Every address that takes a form refuses one without the session's own token, and does nothing."""
    client = browser(keys.add("alice", None)) if with_keys else browser(api_keys_file=None)
    task = make_task()
    token = token_of(client.get("/"))
    another = token_of(browser(keys.add("bob", None)).get("/"))
    rules = [rule for rule in client.application.url_map.iter_rules() if rule.endpoint.startswith("console.")]
    addresses = [rule.rule.replace("<task_id>", task.id) for rule in rules if "POST" in (rule.methods or ())]
    assert len(addresses) >= 9
    for address in addresses:
        for wrong in ("", "x", "é", token[:-1], another):
            answer = client.post(address, data={"csrf_token": wrong, "language": "zh"})
            assert answer.status_code == 403, address
            assert "This page is out of date" in answer.text
    assert catalogue.tasks.get(task.id) == task
    assert client.get("/").status_code == 200
    assert send(client, "staff", token).status_code == 303
    assert (
        client.post(f"/tasks/{task.id}/concurrency", data={"csrf_token": token, "thread_num": "7"}).status_code == 303
    )
    assert catalogue.tasks.get(task.id).config.thread_num == 7
    header = {"X-CSRF-Token": token}
    assert client.post(f"/tasks/{task.id}/concurrency", data={"thread_num": "8"}, headers=header).status_code == 303


def test_every_form_carries_the_token(browser: Browser, keys: KeyFile, make_task: MakeTask) -> None:
    """So that pages work without scripts; htmx gets it from the body for all else."""
    client = browser(keys.add("alice", None))
    tasks = [make_task(running=running) for running in (False, True)]
    for page in ("/", "/new", *(f"/tasks/{task.id}" for task in tasks)):
        text = client.get(page).text
        assert text.count('method="post"') == text.count('name="csrf_token"') > 1
        assert f'<body hx-headers=\'{{"X-CSRF-Token": "{token_of(client.get(page))}"}}\'' in text


def test_a_key_in_the_header_needs_no_token(browser: Browser, keys: KeyFile) -> None:
    """A program is no browser that somebody else could talk into something."""
    header = {"Authorization": f"Bearer {keys.add('alice', None)}"}
    file = (io.BytesIO(b"http://x/1.jpg\n"), "faces.csv")
    assert browser().post("/new", data={"group_name": "staff", "file": file}, headers=header).status_code == 303


def test_a_key_for_some_groups_sees_those(
    browser: Browser, keys: KeyFile, make_task: MakeTask, fail: Fail, catalogue: Catalogue
) -> None:
    """The list, its filter, what moves in it, the form and every import's page are about the key's groups alone."""
    theirs = make_task()
    fail(theirs, (Code.NO_FACE, "http://x/1.jpg", "no face"))
    client = browser(keys.add("bob", ("guests", "vip")))
    token = token_of(client.get("/"))
    own = send(client, "guests", token).location.removeprefix("/tasks/")
    for page in ("/", "/?group=sta", "/?group=gue", f"/live?id={own}&id={theirs.id}"):
        text = client.get(page).text
        assert "staff" not in text.replace('value="sta"', "")
        assert theirs.id not in text
        assert (own in text) is (page != "/?group=sta")
    assert "Your key has access to: guests, vip." in client.get("/new").text
    refused = send(client, "staff", token)
    assert refused.status_code == 403
    assert "Your key has no access to this group." in refused.text
    for method, address in (
        ("GET", "/tasks/{}"),
        ("GET", "/tasks/{}/live"),
        ("GET", "/tasks/{}/log.csv"),
        ("GET", "/tasks/{}/rows"),
        ("GET", "/tasks/{}/limits"),
        ("GET", "/console/thumbnail/{}/1"),
        *(("POST", f"/tasks/{{}}/{name}") for name in ("start", "stop", "delete", "threads")),
    ):
        form = {"csrf_token": token, "thread_num": "9"} if method == "POST" else None
        answer = client.open(address.format(theirs.id), method=method, data=form)
        never = client.open(address.format(NEVER), method=method, data=form)
        assert answer.status_code == never.status_code == (204 if "live" in address else 404), address
        assert answer.text.replace(theirs.id, NEVER) == never.text
    assert client.get(f"/runs/{theirs.run_id}").status_code == 404
    assert Overview(catalogue.engine, ["staff"]).ids() == [theirs.id]


def test_the_log_is_downloaded_by_a_session(
    browser: Browser, keys: KeyFile, make_task: MakeTask, fail: Fail, catalogue: Catalogue
) -> None:
    """A logged-in browser gets the file that the page's button names; one of another group, or of nobody, does not."""
    task = make_task()
    fail(task, (Code.NO_FACE, "http://x/1.jpg", "no face"))
    client = browser(keys.add("alice", ("staff",)))
    (address,) = re.findall(r'href="([^"]+)" download', client.get(f"/tasks/{task.id}").text)
    answer = client.get(address)
    assert (answer.status_code, answer.text) == (200, "http://x/1.jpg,201,no face\r\n")
    assert browser(keys.add("bob", ("guests",))).get(address).status_code == 404
    assert browser().get(address).location.startswith("/login")


def test_nobody_logs_in_where_no_key_is_asked_for(browser: Browser) -> None:
    """On this machine alone the console is open, and sets no session."""
    client = browser(api_keys_file=None)
    assert client.get("/login").location == "/"
    page = client.get("/")
    assert page.status_code == 200
    assert "Log out" not in page.text
    assert "Set-Cookie" not in page.headers


def test_the_login_speaks_chinese(browser: Browser, keys: KeyFile) -> None:
    """Language can be chosen before the login, and its errors are in it."""
    keys.add("alice", None)
    client = browser()
    client.post("/language", data={"language": "zh", "csrf_token": token_of(client.get("/login"))})
    assert "密钥不正确，或已被撤销。" in log_in(client, "x").text
