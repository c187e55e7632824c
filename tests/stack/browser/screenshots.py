"""Makes the screenshots in docs/images, of the console and of Airflow, from real imports of real photographs.

    .venv/bin/python -m pytest tests/stack/browser/screenshots.py

Its name keeps it out of ordinary test runs, which are not to change files of the tree.
"""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from examples.demo.album import LIMITS, album, csv_file, hosted
from examples.demo.host import picture_host
from examples.demo.pictures import COLLINS, HOPPER, encoded, portrait, side_by_side
from face_import.contract import Code
from tests.real import CHECKOUT, RealStack
from tests.stack.browser.conftest import MINUTE, Pages, drop
from tests.waiting import until

pytestmark = pytest.mark.timeout(1500)  # real faces take their time on a busy machine
IMAGES = CHECKOUT / "docs" / "images"
MOST_BYTES = 500_000
KEPT = {
    *("imports-light", "imports-dark", "imports-phone", "import-light", "import-dark", "import-zh"),
    *("new-light", "new-dark", "new-zh", "running-phone"),
    *(f"{page}-{look}" for page in ("limits", "imported", "group") for look in ("light", "dark")),
    *(f"airflow-{page}-{look}" for page in ("run", "form", "tab", "imports") for look in ("light", "dark")),
}
TWO_PEOPLE = encoded(side_by_side(portrait(COLLINS, 480), portrait(HOPPER, 300)))
LOOKS = {
    "light": {},
    "dark": {"dark": True},
    "zh": {"language": "zh-CN"},
    "phone": {"width": 390, "dark": True},
}


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """The demo's pictures."""
    with picture_host(hosted(album())) as address:
        yield address


@pytest.fixture(scope="module")
def file(host: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's CSV file."""
    file = tmp_path_factory.mktemp("file") / "employees.csv"
    file.write_bytes(csv_file(album(), host))
    return file


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealStack]:
    """A stack with the embedded face services."""
    with RealStack(tmp_path_factory.mktemp("real") / "home") as stack:
        yield stack


@pytest.fixture(scope="module")
def imports(real: RealStack, host: str, file: Path) -> dict[str, str]:
    """Imports in every state: completed, stopped, running, created."""
    wanted = [e for e in album() if e.code in {Code.OK, Code.NO_FACE, Code.YAW} and not e.inline]
    lines = [f"{host}/{wanted[n % len(wanted)].name},{wanted[n % len(wanted)].tag}" for n in range(6000)]
    form = {"group_name": "employees", "thread_num": 8, **LIMITS}
    answer = real.api.post("create", data=form, files={"file": ("employees.csv", file.read_bytes())})
    ids = {"completed": answer.json()["id"]}
    real.api.ok(f"{ids['completed']}/start")
    real.api.state(ids["completed"], 4, deadline_s=300)
    for state, group, rows in (
        ("stopped", "contractors", 400),
        ("running", "visitors", 6000),
        ("created", "alumni", 900),
    ):
        content = "\n".join(lines[:rows])
        form = {"group_name": group, "thread_num": 16, "pos_yaw": 30}
        answer = real.api.post("create", data=form, files={"file": (f"{group}.csv", content)})
        ids[state] = answer.json()["id"]
    real.api.ok(f"{ids['stopped']}/start")
    real.api.handled(ids["stopped"], 60, 300)
    real.api.ok(f"{ids['stopped']}/stop")
    real.api.ok(f"{ids['running']}/start")
    real.api.handled(ids["running"], 250, 600)
    return ids


@pytest.mark.parametrize("look", LOOKS)
def test_screenshots(pages: Pages, real: RealStack, imports: dict[str, str], file: Path, look: str) -> None:
    """Every page as it is."""
    page = pages(device_scale_factor=1, timezone_id="Asia/Shanghai", **LOOKS[look])
    home = real.api.url.removesuffix("/v1/tasks")
    page.goto(home)
    expect(page.locator(f"#t-{imports['running']}-left")).not_to_have_text("–", timeout=MINUTE)
    shoot(page, f"imports-{look}")
    page.goto(f"{home}/tasks/{imports['completed']}?code=203")
    page.goto(f"{home}/tasks/{imports['completed']}")
    shoot(page, f"import-{look}", pictures=".log img")
    page.goto(f"{home}/tasks/{imports['completed']}/limits?width=150&blur_degree=10")
    shoot(page, f"limits-{look}")
    page.goto(f"{home}/tasks/{imports['completed']}/imported")
    shoot(page, f"imported-{look}", pictures=".portraits img")
    page.goto(f"{home}/groups/employees")
    page.locator("#picture").set_input_files({"name": "two.jpg", "mimeType": "image/jpeg", "buffer": TWO_PEOPLE})
    page.locator(".by-picture button").click()
    page.wait_for_selector("#found .log img")
    shoot(page, f"group-{look}", pictures="#found .log img")
    page.goto(f"{home}/tasks/{imports['running']}")
    page.wait_for_selector("#throughput svg")
    shoot(page, f"running-{look}")
    page.goto(f"{home}/new")
    drop(page, ".drop", file)
    page.wait_for_selector("#preview-title")
    page.locator("#group_name").fill("employees")
    shoot(page, f"new-{look}")


@pytest.mark.parametrize("look", ["light", "dark"])
def test_airflow(pages: Pages, real: RealStack, imports: dict[str, str], look: str) -> None:
    """A run with its shards and its note, the form, and the console in Airflow's own pages."""
    page = pages(device_scale_factor=1, timezone_id="Asia/Shanghai", **LOOKS[look])
    airflow = f"http://127.0.0.1:{real.settings.airflow_port}"
    page.goto(airflow)
    users = json.loads((real.settings.home / "secrets" / "airflow_users.json").read_text())
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(users["admin"])
    page.locator("button[type=submit]").click()
    page.wait_for_url(lambda url: "/login" not in url)
    run = f"{airflow}/dags/face_import/runs/{imports['completed']}"
    page.goto(run)
    page.get_by_text("rows 1-").first.wait_for()
    shoot(page, f"airflow-run-{look}")
    page.goto(f"{run}/plugin/face-import")
    expect(page.frame_locator("iframe").locator("#log")).to_be_visible()
    shoot(page, f"airflow-tab-{look}")
    page.goto(f"{airflow}/plugin/face-imports")
    expect(page.frame_locator("iframe").locator(f"#t-{imports['running']}-state")).to_be_visible()
    shoot(page, f"airflow-imports-{look}")
    page.goto(f"{airflow}/dags/face_import")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("button", name="Source and group").click()
    page.locator("#element_source").fill("https://hr.example.com/employees.csv")
    page.locator("#element_group_name").fill("employees")
    shoot(page, f"airflow-form-{look}")


def shoot(page: Page, name: str, pictures: str = "") -> None:
    """A picture of the page from its top, once the first `pictures` (a selector) are there, if it is one to keep."""
    if name not in KEPT:
        return
    for picture in page.locator(pictures).all()[:10] if pictures else ():
        picture.scroll_into_view_if_needed()
        until(lambda shown=picture: shown.evaluate("image => image.complete"))
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    height = min(page.evaluate("document.documentElement.scrollHeight"), 1560)
    width = page.viewport_size["width"] if page.viewport_size else 0
    IMAGES.mkdir(exist_ok=True)
    taken = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})
    if len(taken) > MOST_BYTES:  # of many photographs; this palette keeps the console's colours
        few = Image.open(BytesIO(taken)).convert("RGB").quantize(256, Image.Quantize.FASTOCTREE)
        few.save(IMAGES / f"{name}.png", optimize=True)
    else:
        (IMAGES / f"{name}.png").write_bytes(taken)
