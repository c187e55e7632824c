"""Fixtures of the whole suite: settings with a home of their own, a migrated catalogue, running doubles."""

import importlib.util
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from jinja2 import FileSystemBytecodeCache

from face_import.catalogue import Catalogue, ImportTask, TaskConfig
from face_import.catalogue.engine import migrate
from face_import.contract import Mode, TaskState
from face_import.domain.guard import NO_GUARD, Guard
from face_import.domain.identity import new_task_id
from face_import.domain.models import NO_POLICY, FailurePolicy, Limits, Shard
from face_import.settings import Settings
from tests.doubles.process import FaceServices, ImageHost
from tests.real import CHECKOUT, RealStack

# The face services' libraries are in an environment of their own, where `make test` runs these tests.
collect_ignore = [] if importlib.util.find_spec("cv2") else ["face_services"]
STACK = pytest.StashKey[RealStack]()
Reporting = Generator[None, pytest.TestReport, pytest.TestReport]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the quick tests first: then those that need a whole stack, then the slow ones."""
    items.sort(
        key=lambda item: (item.get_closest_marker("slow") is not None, "_stack" in getattr(item, "fixturenames", ()))
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Reporting:
    """Show the end of each process's log with a test that failed on a stack."""
    report = yield
    stack = item.config.stash.get(STACK, None)
    if report.failed and stack is not None and "_stack" in getattr(item, "fixturenames", ()):
        report.sections.append(("logs of the stack", stack.log_ends()))
    return report


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a home of their own and loopback images allowed."""
    return Settings(home=tmp_path / "home", fetch_allow=("127.0.0.0/8",))


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that was migrated once: a copy takes a hundredth of the time, and most tests want one."""
    settings = Settings(home=tmp_path_factory.mktemp("migrated"))
    migrate(settings.catalogue_url)
    return settings.home / "catalogue.db"


@pytest.fixture
def catalogue(settings: Settings, _migrated: Path) -> Iterator[Catalogue]:
    """An empty, migrated catalogue."""
    settings.home.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(_migrated, settings.home)
    catalogue = Catalogue.open(settings)
    yield catalogue
    catalogue.engine.dispose()


@pytest.fixture(scope="session")
def _templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Where applications keep the console's compiled pages: each test makes an application of its own."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


NO_LIMITS = Limits()
MakeTask = Callable[..., ImportTask]


@pytest.fixture
def make_task(catalogue: Catalogue) -> MakeTask:
    """Make an import task with planned shards of equal size; by default it is running."""

    def make(
        *,
        shards: int = 1,
        rows: int = 10,
        thread_num: int = 10,
        mode: Mode = Mode.SKIP,
        limits: Limits = NO_LIMITS,
        running: bool = True,
        entry: str = "",
        policy: FailurePolicy = NO_POLICY,
        guard: Guard = NO_GUARD,
        callback_url: str = "",
    ) -> ImportTask:
        task_id = new_task_id()
        more: dict[str, Any] = {"policy": policy, "guard": guard, "callback_url": callback_url}
        config = TaskConfig("staff", "faces.csv", limits, thread_num, mode, entry, **more)
        catalogue.tasks.add(task_id, task_id, config, state=TaskState.CREATED, total_num=shards * rows)
        plan = [Shard(n, n * rows + 1, rows, n * 100, (n + 1) * 100, n * rows + 1) for n in range(shards)]
        catalogue.plans.commit(task_id, plan, shards * rows)
        if running:
            catalogue.tasks.start(task_id)
        return catalogue.tasks.get(task_id)

    return make


@pytest.fixture(scope="session")
def _services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaceServices]:
    journal = tmp_path_factory.mktemp("services") / "journal"
    with FaceServices(FACE_DOUBLE_JOURNAL=str(journal)) as double:
        yield double


@pytest.fixture
def services(_services: FaceServices) -> FaceServices:
    """The double of both face services, with nothing in it."""
    _services.control(reset=True)
    return _services


@pytest.fixture(scope="session")
def _images() -> Iterator[ImageHost]:
    with ImageHost() as double:
        yield double


RECURRING = """
imports:
- {name: early, schedule: {asset: "test://never"}, source: "IMAGES/csv?rows=5&day={{ ds }}", group: recurring,
   changes_only: true}
- {name: broken, schedule: "61 * * * *", source: "IMAGES/csv?rows=5", group: recurring}
- {name: chained, schedule: {asset: "face-import://groups/recurring"}, source: "IMAGES/csv?rows=3", group: chained}
- {name: strict, schedule: {asset: "test://never"}, source: "IMAGES/csv?rows=9", group: strict, mode: 1, thread_num: 1,
   limits: {width: 100000}}
- {name: missing, schedule: {asset: "test://never"}, source: "IMAGES/missing", group: recurring, patience_s: 3}
- {name: forbidden, schedule: {asset: "test://never"}, source: "file:///etc/passwd", group: recurring}
- {name: slow, schedule: {asset: "test://never"}, source: "IMAGES/csv?rows=600", group: slow}
- {name: late, schedule: {asset: "test://never"}, source: "file://HOME/inbox/{{ ds }}.csv", group: late, patience_s: 50}
"""
"""Recurring imports of the stack; tests start them, since `test://never` has no events."""
OWN_DAGS = """
[dag_processor]
dag_bundle_config_list = [
    {{"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {{}}}},
    {{"name": "own", "kwargs": {{"path": "{path}"}},
     "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}}
    ]
"""
"""A second folder of DAGs, as docs/how-to/own-dags.md has it."""


@pytest.fixture(scope="session")
def _stack(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _services: FaceServices,
    _images: ImageHost,
) -> Iterator[RealStack]:
    home = tmp_path_factory.mktemp("stack") / "home"
    (home / "inbox").mkdir(parents=True)
    (home / "recurring_imports.yaml").write_text(RECURRING.replace("IMAGES", _images.url).replace("HOME", str(home)))
    stack = RealStack(
        home,
        FACE_IMPORT_INFO_URL=_services.url,
        FACE_IMPORT_LIBRARY_URL=_services.url,
        FACE_IMPORT_EXECUTOR_SLOTS="6",
        FACE_IMPORT_OUTAGE_PATIENCE_S="8",
        FACE_IMPORT_SOURCE_PREFIXES=(home / "inbox").as_uri(),
    )
    stack.run("credentials")
    with (stack.layout.airflow_home / "airflow.cfg").open("a") as file:
        file.write(OWN_DAGS.format(path=CHECKOUT / "examples" / "dags"))
    with stack:
        request.config.stash[STACK] = stack
        yield stack


@pytest.fixture
def stack(_stack: RealStack, services: FaceServices, images: ImageHost) -> RealStack:
    """A running stack with the doubles as its face services, which have forgotten what was before."""
    return _stack


@pytest.fixture
def images(_images: ImageHost) -> ImageHost:
    """The image host, with nothing recorded."""
    _images.control(reset=True)
    return _images
