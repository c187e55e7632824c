"""A group's page in a real browser: a person is looked for by picture, with and without scripts."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.doubles.images import make_image, spec_path
from tests.doubles.process import FaceServices, ImageHost
from tests.real import RealStack
from tests.stack.browser.conftest import MINUTE, Pages, violations
from tests.waiting import until

pytestmark = pytest.mark.slow
expect.set_options(timeout=MINUTE)
GROUP = "looked-into"


@pytest.fixture
def home(stack: RealStack, images: ImageHost) -> str:
    """Address of a console with a group of three faces, two of which are Ada's."""
    lines = [f"{images.url}{spec_path({'n': n, 'person': who})},{who}" for n, who in enumerate(("Ada", "Ada", "Bob"))]
    task_id = stack.api.create(lines, GROUP)
    stack.api.ok(f"{task_id}/start")
    stack.api.state(task_id, 4)
    return stack.api.url.removesuffix("/v1/tasks")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture of Ada and, smaller, somebody else."""
    path = tmp_path / "ada.jpg"
    faces = [{"box": [200, 20, 240, 60]}, {"box": [20, 20, 120, 140]}]
    path.write_bytes(make_image({"n": 9, "person": "Ada", "faces": faces}))
    return path


@pytest.mark.parametrize("look", [{"width": 390, "dark": True}, {"width": 1200}], ids=str)
def test_a_person_is_looked_for(
    pages: Pages, home: str, services: FaceServices, picture: Path, look: dict[str, int]
) -> None:
    """By the keyboard, from the list of imports; a service that is away is not taken for a server that is away."""
    page = pages(**look)
    page.goto(home)
    page.get_by_role("link", name=f"Group {GROUP}").first.click()
    assert violations(page) == []
    page.get_by_label("Picture of a person").set_input_files(picture)
    search = page.get_by_role("button", name="Search")
    services.control(faults=[{"kind": "search", "status": 503, "times": 1}])
    search.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The face library service is not answering.")
    expect(page.locator("#offline")).to_be_hidden()
    search.press("Enter")
    expect(page.locator("#found strong")).to_contain_text("Probably yes: 2 faces")
    expect(page.locator("#said")).to_contain_text("Probably yes: 2 faces")
    expect(page.locator("#found figcaption")).to_contain_text("There are 2 faces in this picture.")
    expect(page.locator("#found tbody tr")).to_have_count(3)
    expect(search).to_be_focused()
    thumbnail = page.locator("#found img").first
    thumbnail.scroll_into_view_if_needed()
    until(lambda: page.evaluate("document.querySelector('#found img').naturalWidth === 160"))
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= look["width"]
    page.locator("#found").get_by_role("link", name="Row").first.click()
    expect(page.locator(".log tbody tr")).to_have_count(1)


def test_it_works_without_scripts(pages: Pages, home: str, picture: Path) -> None:
    """The page that comes back has the result."""
    page = pages(java_script_enabled=False)
    page.goto(f"{home}/groups/{GROUP}")
    page.get_by_label("Picture of a person").set_input_files(picture)
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#found strong")).to_contain_text("Probably yes: 2 faces")
    expect(page.locator("#found")).to_be_in_viewport()
