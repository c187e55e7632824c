"""A whole stack under two paths of a host, behind the proxies of the documentation."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.doubles.process import FaceServices, ImageHost
from tests.proxies import HOST, PROXIES
from tests.proxies import proxied as proxy
from tests.real import RealStack
from tests.servers import Unavailable, skip
from tests.stack.main_job.test_main_job import rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # with the first test's set-up, on a busy machine


@pytest.fixture(scope="module")
def under_a_path(tmp_path_factory: pytest.TempPathFactory, _services: FaceServices) -> Iterator[RealStack]:
    """A stack whose API and Airflow have paths."""
    with RealStack(
        tmp_path_factory.mktemp("proxied") / "home",
        FACE_IMPORT_INFO_URL=_services.url,
        FACE_IMPORT_LIBRARY_URL=_services.url,
        FACE_IMPORT_EXECUTOR_SLOTS="3",
        FACE_IMPORT_PUBLIC_URL=f"https://{HOST}/faces",
        FACE_IMPORT_AIRFLOW_PUBLIC_URL=f"https://{HOST}/airflow",
        FACE_IMPORT_ALLOWED_HOSTS=HOST,
    ) as stack:
        yield stack


@pytest.fixture(params=PROXIES)
def url(request: pytest.FixtureRequest, under_a_path: RealStack, tmp_path: Path) -> Iterator[str]:
    """Base URL of a proxy in front of it."""
    own, airflow = (f"http://127.0.0.1:{p}" for p in (under_a_path.settings.port, under_a_path.settings.airflow_port))
    try:
        with proxy(request.param, tmp_path, own, airflow) as url:
            yield url
    except Unavailable as reason:
        skip(reason)


def test_imports_run_and_airflow_is_under_its_path(
    under_a_path: RealStack, url: str, services: FaceServices, images: ImageHost
) -> None:
    """Its tasks reach their server, which has the path too; its pages load their parts, and embed the console's."""
    stack = under_a_path

    def get(path: str) -> requests.Response:
        answer = requests.get(f"{url}{path}", headers={"Host": HOST}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer

    task_id = stack.api.create(rows(images, 5))
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    assert f"https://{HOST}/airflow/dags/face_import/runs/{task_id}" in get(f"/faces/tasks/{task_id}").text
    assert '<base href="/airflow/"' in get("/airflow/").text
    assert get("/airflow/api/v2/version").json()["version"]
    (plugin,) = (p for p in stack.rest("plugins")["plugins"] if p["name"] == "face_import")
    console = f"https://{HOST}/faces"
    assert {view["href"] for view in plugin["external_views"]} == {
        f"{console}/?embed=1",
        f"{console}/runs/{{RUN_ID}}?embed=1&dag={{DAG_ID}}",
    }
    policy = get(f"/faces/tasks/{task_id}?embed=1").headers["Content-Security-Policy"]
    assert policy.endswith(f"frame-ancestors https://{HOST}")
