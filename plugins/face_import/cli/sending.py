"""Creating an import: from a file, the URL of one, or photos; and saying what became of an upload that broke off."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from face_import.cli.answers import Created
from face_import.cli.client import Client, ConnectionLost
from face_import.cli.photos.collecting import Collected, collected
from face_import.cli.photos.names import Pattern
from face_import.cli.photos.places import entries
from face_import.cli.photos.table import Table
from face_import.cli.reading import as_options, sentence
from face_import.cli.terminal import INTERRUPTED, plain, stderr
from face_import.cli.upload import File, Upload
from face_import.errors import ApiUnavailable, InvalidRequest, RequestError, WrongState
from face_import.settings import get_settings

Fields = Mapping[str, str]


def is_url(source: str) -> bool:
    """Whether a source is a URL; no path of a file looks like one."""
    return "://" in source


def create_from(client: Client, fields: Fields, source: str) -> Created:
    """Create an import from a file, which is uploaded, or from a URL, which the server reads later.

    Raises:
        InvalidRequest: it is rejected, with what to do in terms of the command line; nothing is stored.
    """
    file = None if is_url(source) else File(Path(source))
    try:
        return _create(client, fields if file else {**fields, "source": source}, file, uuid4().hex)
    except InvalidRequest as error:
        options = as_options(str(error))
        raise InvalidRequest(f"{error}; here: {options}" if options else str(error)) from None


def create_from_photos(client: Client, fields: Fields, place: Path, pattern: Pattern, encoding: str) -> Created:
    """Create an import from photos, or find the one that was created from the same ones with the same options.

    The idempotency key is made from the photos and the fields. So a command that was interrupted can be repeated: what
    has arrived is not uploaded again.

    Args:
        client: the server.
        fields: of the form.
        place: a folder or zip file.
        pattern: how the photos are named.
        encoding: of the names in a zip file, if it is not recognised.

    Raises:
        InvalidRequest: there is no photo, or the server rejects a field.
        SourceError: a photo was changed while it was sent; nothing is stored.
    """
    with entries(place, encoding) as files:
        with stderr.status("looking at the photos"):
            found = collected(files, pattern, get_settings().max_image_bytes)
        _say(found)
        if not found.photos:
            raise InvalidRequest(f"--photos: no photo to import in {place}; nothing was uploaded")
        table = Table(place.resolve().name, found.photos)
        fields = {**fields, "encoding": "utf-8"}
        key = hashlib.sha256(json.dumps([table.digest, fields], sort_keys=True).encode()).hexdigest()
        if earlier := client.created(fields["group_name"], key):
            stderr.print(
                f"uploaded before: import {earlier.id}, {earlier.word}; to import these photos again, delete it first",
                markup=False,
            )
            return Created.model_validate({"id": earlier.id})
        return _create(client, fields, table, key)


def _say(found: Collected) -> None:
    for line in found.sentences():
        stderr.print(plain(line), markup=False)


def _create(client: Client, fields: Fields, file: Upload | None, key: str) -> Created:
    """Create the task, with a progress bar for the file; says what is stored if that breaks off."""
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    text, silent = TextColumn("{task.description}"), file is None or not stderr.is_terminal
    size, most = file.size if file else 0, 0
    with Progress(text, *columns, console=stderr, transient=True, disable=silent) as progress:
        bar = progress.add_task("uploading", total=size)

        def sent(count: int) -> None:
            nonlocal most
            most = max(most, count)
            done = count == size
            progress.update(bar, completed=count, description="server is reading the file" if done else "uploading")

        try:
            return client.create(fields, file, sent, key)
        except KeyboardInterrupt:
            progress.stop()
            fate = _fate(client, fields, key) if most == size else "nothing was stored"
            stderr.print(f"interrupted; {fate}", markup=False)
            raise SystemExit(INTERRUPTED) from None
        except ApiUnavailable as error:
            if most < size:
                raise ApiUnavailable(f"{error}; nothing was stored") from None
            if isinstance(error, ConnectionLost):
                raise ApiUnavailable(f"{error}; {_fate(client, fields, key)}") from None
            raise


def _fate(client: Client, fields: Fields, key: str) -> str:
    """What became of a request that was sent as a whole, and never answered."""
    group = fields["group_name"]
    with suppress(ApiUnavailable, RequestError):
        if made := client.created(group, key):
            return f"import {made.id} was created and not started; start it with: face-import start {made.id}"
    return (
        "nothing was started, but the server may still store the file; if it does, the import is listed by: "
        f"face-import tasks --group {group} --state created"
    )


def show_reading(client: Client, task_id: str) -> None:
    """Say how the file is read, if the server knows; the import does not depend on it."""
    with suppress(ApiUnavailable, RequestError):
        if source := client.task(task_id).source:
            stderr.print(f"read as {sentence(source)}", markup=False)


def start_created(client: Client, task_id: str) -> bool:
    """Start a new task, or one that was created before; False if somebody else has started it."""
    try:
        if notice := client.start(task_id):
            stderr.print(plain(notice), markup=False)
    except WrongState as error:
        stderr.print(str(error), markup=False)
        return False
    except (ApiUnavailable, RequestError) as error:
        raise type(error)(f"{error}; the task was created, start it with: face-import start {task_id}") from None
    return True
