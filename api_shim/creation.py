"""Creating an import task, once for each idempotency key: from an uploaded file, or from a URL that is read later."""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, cast

from werkzeug.datastructures import FileStorage

from api_shim import access, auditing
from api_shim.app_context import app_context
from api_shim.forms import KEY_HEADER, KEY_PATTERN, CreateForm
from api_shim.slots import INTAKE
from face_import.catalogue import Once, TaskConfig
from face_import.clients.callback import check_callback_url
from face_import.contract import Mode
from face_import.domain.guard import GUARD, Guard
from face_import.domain.identity import new_task_id
from face_import.domain.limits import check_group_name, check_threads
from face_import.domain.models import FAILURE_POLICY, LIMITS, SCOPE, FailurePolicy, Limits, Scope
from face_import.domain.reading import READING_FIELDS, ReadingOptions, reading_options
from face_import.domain.uri import redact
from face_import.errors import InvalidRequest, KeyReused, SourceError
from face_import.sources.location import check_source


@dataclass(frozen=True, slots=True)
class Creation:
    """The answer to a create.

    Attributes:
        id: the task's id.
        replayed: whether an earlier request with the same key has created it.
    """

    id: str
    replayed: bool


def create_task(form: CreateForm, upload: FileStorage | None, key: str | None = None) -> Creation:
    """Create an import task, or find the one that an earlier request with the same key has created.

    A file is ingested at once; a URL is checked, and read when the task is started. The key is taken by the same
    statement that makes the task, so a refused request does not occupy it, and of two at the same moment one wins.

    Args:
        form: the form's fields.
        upload: the file, if one was sent.
        key: the client's idempotency key, if it sent one.

    Raises:
        InvalidRequest: a field is missing or invalid, or the key is.
        OtherGroup: the request's key has no access to the group.
        KeyReused: an earlier request with this key had other content.
        SourceError: the file cannot be parsed; nothing is stored.
    """
    auditing.about(group=form.group_name)
    made = _create(form, upload, key)
    auditing.about(task=made.id)
    if made.replayed:
        auditing.details(replayed=True)
    return made


def _create(form: CreateForm, upload: FileStorage | None, key: str | None) -> Creation:
    context = app_context()
    access.check_group(form.group_name)
    upload = _present(upload)
    if (upload is None) == (not form.source):
        raise InvalidRequest(
            "file, source: send either the file as a file (curl -F file=@faces.csv) or its URL as source", field="file"
        )
    once = None if key is None else Once(scoped(key), _digest(form, upload))
    if once and (earlier := context.catalogue.creates.find(once)):
        return Creation(earlier, replayed=True)
    check_group_name(form.group_name, context.settings)
    check_threads(context.settings, thread_num=form.thread_num, host_threads=form.host_threads)
    check_callback_url(form.callback_url)
    options = reading_options({name: getattr(form, name) for name in READING_FIELDS})
    return _registered(form, options, once) if upload is None else _stored(form, options, upload, once)


def _stored(form: CreateForm, options: ReadingOptions, upload: FileStorage, once: Once | None) -> Creation:
    """Ingest the file and create its task; if another request with the key was faster, its copy is removed."""
    context, task_id = app_context(), new_task_id()
    with INTAKE:
        index = context.storage.store(task_id, cast("BinaryIO", upload.stream), options=options)
    config = _config(form, f"upload: {upload.filename}", options)
    rows, reading = config.scope.rows_of(index.rows), index.reading
    try:
        winner = context.catalogue.creates.add(task_id, config, total_num=rows, reading=reading, once=once)
    except KeyReused:
        _discard(task_id)
        raise
    if winner != task_id:
        _discard(task_id)
    return Creation(winner, replayed=winner != task_id)


def _discard(task_id: str) -> None:
    """Remove a file without a task; what cannot be removed now is left to the keeper."""
    with suppress(OSError):
        app_context().storage.delete(task_id)


def _registered(form: CreateForm, options: ReadingOptions, once: Once | None) -> Creation:
    """Create the task of a URL, which `plan` will read."""
    context, task_id = app_context(), new_task_id()
    try:
        check_source(form.source, context.settings)
    except SourceError as error:
        raise InvalidRequest(f"source: {error}", field="source") from None
    config = _config(form, redact(form.source), options)
    winner = context.catalogue.creates.add(task_id, config, source_url=form.source, once=once)
    return Creation(winner, replayed=winner != task_id)


def _config(form: CreateForm, source: str, options: ReadingOptions) -> TaskConfig:
    return TaskConfig(
        group_name=form.group_name,
        source=source,
        limits=Limits(**{name: getattr(form, name) for name in LIMITS}),
        thread_num=form.thread_num,
        mode=Mode(form.mode),
        options=options,
        host_threads=form.host_threads,
        policy=FailurePolicy(**{name: getattr(form, name) for name in FAILURE_POLICY}),
        scope=Scope(**{name: getattr(form, name) for name in SCOPE}),
        guard=Guard.of({name: getattr(form, name) for name in GUARD}),
        callback_url=form.callback_url,
    )


def _present(upload: FileStorage | None) -> FileStorage | None:
    """The upload; None for a form's file field in which no file was chosen."""
    if upload is not None and not upload.filename:
        empty = not upload.stream.read(1)
        upload.stream.seek(0)
        return None if empty else upload
    return upload


def scoped(key: str) -> bytes:
    """Hash of an idempotency key together with who sent it: nobody finds the tasks of others by their keys.

    Raises:
        InvalidRequest: it is not of the form of a key.
    """
    if re.fullmatch(KEY_PATTERN, key) is None:
        raise InvalidRequest(f"{KEY_HEADER}: send 1 to 255 visible ASCII characters, without spaces")
    return hashlib.sha256(json.dumps([access.key_id(), key]).encode()).digest()


def _digest(form: CreateForm, upload: FileStorage | None) -> bytes:
    """Hash of what was sent: the fields that differ from their defaults, and the file's bytes, but not its name."""
    fields = form.model_dump(exclude={"file"}, exclude_defaults=True)
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    if upload is not None:
        digest.update(hashlib.file_digest(upload.stream, "sha256").digest())  # type: ignore[arg-type]
        upload.stream.seek(0)
    return digest.digest()
