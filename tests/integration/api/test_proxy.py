"""Console and API under a path of a host, behind the proxies of the documentation."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from face_import.keys import KeyFile
from face_import.settings import Settings
from face_import.stack.supervisor import programs
from tests.proxies import HOST, PROXIES, caddy_adapted
from tests.proxies import proxied as proxy
from tests.servers import Unavailable, skip
from tests.shim import Shim

TOKEN = re.compile(r'name="csrf_token" value="([0-9a-f]{64})"')
REFERENCE = re.compile(r'(?:href|src|action|hx-get|hx-post)="([^"#]+)')
ROWS = "http://h/1.jpg,ann,\nhttp://h/2.jpg,ben,\n"


class Browser(requests.Session):
    """A browser that knows the proxy by its name."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.update({"Host": HOST, "Accept": "text/html"})
        self._base = base

    def request(self, method: str, url: str, **kwargs: object) -> requests.Response:  # type: ignore[override]
        """Ask for a path, and do not follow where it leads."""
        kwargs["allow_redirects"] = False
        return super().request(method, urljoin(self._base, url), timeout=30, **kwargs)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=PROXIES)
def kind(request: pytest.FixtureRequest) -> str:
    """Which proxy."""
    return str(request.param)


@pytest.fixture(scope="module", params=[False, True], ids=["left", "taken off"])
def proxied(
    request: pytest.FixtureRequest, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Shim, str]]:
    """The API with keys, and the proxy's base URL; the proxy leaves the path in requests, or takes it off."""
    folder = tmp_path_factory.mktemp("proxied")
    keys = folder / "keys.json"
    variables = {
        "FACE_IMPORT_PUBLIC_URL": f"https://{HOST}/faces",
        "FACE_IMPORT_AIRFLOW_PUBLIC_URL": f"https://{HOST}/airflow",
        "FACE_IMPORT_ALLOWED_HOSTS": HOST,
        "FACE_IMPORT_TRUSTED_PROXIES": "127.0.0.1",
        "FACE_IMPORT_API_KEYS_FILE": str(keys),
    }
    KeyFile(keys).add("admin", None)
    try:
        with (
            Shim(folder / "home", **variables) as shim,
            proxy(kind, folder, shim.url, "http://127.0.0.1:9", path_taken_off=request.param) as url,
        ):
            yield shim, url
    except Unavailable as reason:
        skip(reason)


@pytest.fixture
def key(proxied: tuple[Shim, str]) -> str:
    """A key for everything."""
    shim, _ = proxied
    file = KeyFile.of(shim.settings)
    return file.add(f"person-{len(file.read())}", None)


@pytest.fixture
def browser(proxied: tuple[Shim, str], key: str) -> Browser:
    """A browser that has logged in."""
    browser = Browser(proxied[1])
    login = browser.get("/faces/login")
    answer = browser.post("/faces/login", data={"csrf_token": TOKEN.findall(login.text)[0], "key": key})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/faces/")
    # Over TLS in reality, and so its cookie is for TLS only.
    (cookie,) = browser.cookies
    assert (cookie.path, cookie.secure) == ("/faces", True)
    browser.headers["Cookie"] = f"{cookie.name}={cookie.value}"
    return browser


def test_the_login_leads_back(proxied: tuple[Shim, str]) -> None:
    """To the page under the path that was asked for."""
    answer = Browser(proxied[1]).get("/faces/new?embed=1")
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"] == "/faces/login?next=/faces/new?embed%3D1&embed=1"


def test_pages_find_all_that_they_refer_to(browser: Browser) -> None:
    """Scripts, styles, icons, links and forms."""
    for page in ("/faces/", "/faces/new"):
        answer = browser.get(page)
        assert answer.status_code == 200
        found = {reference.replace("&amp;", "&") for reference in REFERENCE.findall(answer.text)}
        assert len(found) > 4
        for reference in found:
            assert reference.startswith("/faces/"), reference
            assert browser.get(reference).status_code in {200, 405}, reference


def test_forms_arrive(browser: Browser) -> None:
    """With the origin that the browser says, an import is created, and its page is there."""
    token = TOKEN.findall(browser.get("/faces/new").text)[0]
    fields = {"csrf_token": token, "group_name": "staff", "thread_num": "4", "mode": "0", "then": "create"}
    answer = browser.post(
        "/faces/new", data=fields, files={"file": ("f.csv", ROWS)}, headers={"Origin": f"https://{HOST}"}
    )
    assert answer.status_code == 303, answer.text
    assert answer.headers["Location"].startswith("/faces/tasks/")
    page = browser.get(answer.headers["Location"])
    assert f"https://{HOST}/airflow/dags/face_import/runs/" in page.text


def test_the_api_is_under_the_path_and_on_loopback_without(proxied: tuple[Shim, str], key: str) -> None:
    """Its description says where it is."""
    shim, url = proxied
    headers = {"Authorization": f"Bearer {key}"}
    for base, host in ((f"{url}/faces", HOST), (shim.url, "localhost"), (f"{shim.url}/faces", "localhost")):
        own = headers | {"Host": host}
        create = requests.post(
            f"{base}/v1/tasks/create", data={"group_name": "staff"}, files={"file": ROWS}, headers=own, timeout=30
        )
        assert create.status_code == 200, create.text
        detail = requests.get(f"{base}/v1/tasks/{create.json()['id']}/detail", headers=own, timeout=30)
        assert detail.json()["total_num"] == 2
        assert requests.get(f"{base}/openapi.json", headers=own, timeout=30).json()["servers"] == [{"url": "/faces"}]
        root = requests.get(f"{base}/", headers=own | {"Accept": "application/json"}, timeout=30).json()
        assert (root["api"], root["openapi"]) == ("/faces/v1/tasks", "/faces/openapi.json")


def test_wrong_keys_of_one_client_block_no_other(proxied: tuple[Shim, str]) -> None:
    """The proxy says who it is, whatever the client says."""
    _, url = proxied

    def log_in(address: str) -> int:
        browser = Browser(url)
        browser.headers["X-Forwarded-For"] = address
        token = TOKEN.findall(browser.get("/faces/login").text)[0]
        return browser.post("/faces/login", data={"csrf_token": token, "key": "wrong"}).status_code

    assert {log_in(f"192.0.2.{number}") for number in range(20)} == {401}
    assert log_in("192.0.2.99") == 429


def test_the_path_alone_leads_on(proxied: tuple[Shim, str]) -> None:
    """Without the slash at its end."""
    answer = Browser(proxied[1]).get("/faces")
    assert answer.status_code in {301, 302}
    assert urlsplit(answer.headers["Location"]).path == "/faces/"


def test_caddy_drops_idle_connections_first(tmp_path: Path) -> None:
    """It would keep them for two minutes, and requests would meet their end (docs/how-to/proxy.md)."""
    try:
        adapted = json.dumps(caddy_adapted(tmp_path))
    except Unavailable as reason:
        skip(reason)
    idle_s = [int(nanoseconds) / 1e9 for nanoseconds in re.findall(r'"idle_timeout": (\d+)', adapted)]
    (command,) = (program.command for program in programs(Settings(home=tmp_path)) if program.name == "shim")
    kept_s = int(command[command.index("--keep-alive") + 1])
    assert len(idle_s) == adapted.count('"reverse_proxy"') == 2
    assert max(idle_s) < kept_s


def test_a_path_of_our_own_is_refused(tmp_path: Path) -> None:
    """Nobody could tell /tasks/<id> with the path from the same without."""
    with (
        pytest.raises(AssertionError, match=r"the application has /tasks itself"),
        Shim(tmp_path / "home", FACE_IMPORT_PUBLIC_URL=f"https://{HOST}/tasks"),
    ):
        pass
