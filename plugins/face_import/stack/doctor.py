"""Diagnoses Face import on this machine, with advice; changes and starts nothing."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import requests
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]  # fsspec ships no types
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from face_import.catalogue import Catalogue
from face_import.catalogue.engine import revisions
from face_import.contract import Notice, TaskState
from face_import.errors import ConfigError
from face_import.settings import Settings, get_settings
from face_import.sources.files import file_system
from face_import.space import shortage
from face_import.stack.checks import (
    Finding,
    Level,
    check_library,
    check_paths,
    check_ports,
    check_programs,
    check_servers,
    check_variables,
    require,
)
from face_import.stack.ending import unexpected_end
from face_import.stack.health import dag_is_paused, database_is_full, problems
from face_import.stack.lifecycle import Stack
from face_import.stack.supervisor import programs, states

_GIB = 2**30
_DISK_WARNING = 5 * _GIB
_MEMORY_WARNING = 3 * _GIB // 2
"""Memory of the stack's processes before the first import (docs/how-to/operations.md)."""
_TIMEOUT_S = 3.0


def examine() -> Iterator[Finding]:
    """Check everything, the fast and fundamental things first."""
    yield from _python()
    try:
        require(check_variables())
        stack = Stack(get_settings())
    except ConfigError as error:
        yield Finding(Level.PROBLEM, "settings", str(error), "fix the variable; the other checks depend on it")
        return
    yield Finding(Level.OK, "settings", "every FACE_IMPORT_* variable is known and valid")
    yield from check_paths(stack.settings)
    yield from check_programs(stack.settings)
    yield from check_library(stack.settings)
    yield _folder("home", stack.layout.home, "set FACE_IMPORT_HOME to a writable folder")
    yield from _room(stack.settings)
    yield _memory(running=states(stack.layout) is not None)
    yield from check_ports(stack.settings)
    yield from _processes(stack)
    yield from _services(stack.settings)
    yield from check_servers(stack.settings)
    yield from _database(stack.settings)
    yield _storage(stack.settings)


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info < (3, 14):
        yield Finding(Level.PROBLEM, "Python", version, "3.11, 3.12 or 3.13 is required: make setup PYTHON=<path>")
    elif sys.prefix == sys.base_prefix:
        yield Finding(Level.WARNING, "Python", f"{version}, not in a virtual environment", "make setup creates one")
    else:
        yield Finding(Level.OK, "Python", f"{version} in {sys.prefix}")


def _folder(subject: str, folder: Path, advice: str) -> Finding:
    """Check that a folder, or its existing parent, is writable and has enough space."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            free = shutil.disk_usage(existing).free
    except OSError as error:
        return Finding(Level.PROBLEM, subject, f"{existing} is not writable: {error.strerror}", advice)
    text = f"{folder}, {free / _GIB:.1f} GiB free"
    if free < _DISK_WARNING:
        return Finding(Level.WARNING, subject, text, "free disk space, or delete imports that are no longer needed")
    return Finding(Level.OK, subject, text)


def _room(settings: Settings) -> Iterator[Finding]:
    if trouble := shortage(settings):
        advice = "until there is room, uploads are refused and rows wait; then they continue by themselves"
        yield Finding(Level.PROBLEM, "room", trouble, advice)
    if database_is_full(settings):
        yield Finding(Level.PROBLEM, "room", Notice.DATABASE_FULL)


def _memory(*, running: bool) -> Finding:
    available = psutil.virtual_memory().available
    text = f"{available / _GIB:.1f} GiB available"
    if available < _MEMORY_WARNING and not running:
        return Finding(Level.WARNING, "memory", text, f"the stack needs {_MEMORY_WARNING / _GIB:.1f} GiB")
    return Finding(Level.OK, "memory", text)


def _processes(stack: Stack) -> Iterator[Finding]:
    running = states(stack.layout)
    if running is None:
        advice = "start them with face-import up"
        if end := unexpected_end(stack.layout):
            yield Finding(Level.PROBLEM, "processes", f"not running: {end}", advice)
        else:
            yield Finding(Level.OK, "processes", "not running", advice)
        return
    listed = programs(stack.settings)
    found = problems(stack.settings, listed, running)
    for name, problem in found.items():
        yield Finding(Level.PROBLEM, "processes", f"{name}: {problem}", f"see {stack.layout.log_of(name)}")
    yield Finding(Level.OK, "processes", f"{len(listed) - len(found)} of {len(listed)} are healthy")
    if dag_is_paused(stack.settings):
        yield Finding(Level.WARNING, "Airflow", Notice.DAG_PAUSED)


def _services(settings: Settings) -> Iterator[Finding]:
    """Check external face services; embedded ones are among the stack's processes."""
    for variable, url in {
        "FACE_IMPORT_INFO_URL": settings.info_url,
        "FACE_IMPORT_LIBRARY_URL": settings.library_url,
    }.items():
        if not url:
            continue
        try:
            with requests.Session() as session:
                session.trust_env = False
                session.verify = str(settings.ca_file) if settings.ca_file else True
                session.get(url, timeout=_TIMEOUT_S, allow_redirects=False, stream=True)
        except (requests.RequestException, OSError) as error:  # the latter: no such CA file
            advice = "start the service, or fix the variable"
            yield Finding(Level.PROBLEM, "face service", f"{variable}: {type(error).__name__} at {url}", advice)
        else:
            yield Finding(Level.OK, "face service", f"{variable}: {url} responds")


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        url = make_url(settings.catalogue_url)
        shown = url.render_as_string()
        if is_file := url.get_backend_name() == "sqlite":
            shown = f"sqlite:///{url.database}"  # readable, where a URL would have escapes
        if is_file and not Path(url.database or "").exists():
            yield Finding(Level.OK, "database", f"{shown} does not exist yet", "the first face-import up creates it")
            return
        current, known = revisions(settings.catalogue_url, timeout_s=_TIMEOUT_S)
    except (SQLAlchemyError, ImportError) as error:
        text = str(getattr(error, "orig", None) or error).splitlines()[0]
        yield Finding(Level.PROBLEM, "database", text, "start it, or fix FACE_IMPORT_DATABASE_URL")
        return
    if current == known[0]:
        yield Finding(Level.OK, "database", f"{shown}, revision {current}")
        yield from _imports(settings)
    elif current is None or current in known:
        advice = "face-import down, then up, migrates it"
        yield Finding(Level.WARNING, "database", f"{shown} is at revision {current}, not {known[0]}", advice)
    else:
        advice = "install that release, or restore a backup"
        yield Finding(Level.PROBLEM, "database", f"{shown} is at revision {current} of another release", advice)


def _imports(settings: Settings) -> Iterator[Finding]:
    """Find running imports that wait for something decided in Airflow about them alone."""
    for task in Catalogue.open(settings, timeout_s=_TIMEOUT_S, pooled=False).tasks.in_state(TaskState.RUNNING):
        if task.notice and task.notice != Notice.DAG_PAUSED:
            yield Finding(Level.WARNING, "import", f"{task.id}: {task.notice}")


def _storage(settings: Settings) -> Finding:
    try:
        system, path = file_system(settings.storage_root)
    except ConfigError as error:
        return Finding(
            Level.PROBLEM, "storage", str(error), "install its fsspec package, or fix FACE_IMPORT_STORAGE_URL"
        )
    if isinstance(system, LocalFileSystem):
        return _folder("storage", Path(path), "set FACE_IMPORT_STORAGE_URL to a writable folder")
    probe = f"{path.rstrip('/')}/doctor-{uuid4().hex}"
    try:
        system.pipe_file(probe, b"can this be written?")
        system.rm_file(probe)
    except Exception as error:  # noqa: BLE001 - every object store raises errors of its own
        advice = "fix FACE_IMPORT_STORAGE_URL or its credentials"
        return Finding(Level.PROBLEM, "storage", f"{path} is not writable: {type(error).__name__}: {error}", advice)
    return Finding(Level.OK, "storage", f"{path} is writable")
