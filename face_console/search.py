"""Whether a person is in a group: a picture's largest face is searched for, and nothing of the picture is kept."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from face_console.language import gettext, lazy
from face_import.clients.services import GroupSize, InfoService, LibraryService
from face_import.domain.bounds import ImageError
from face_import.domain.image import check_image
from face_import.domain.likeness import SAME_PERSON, Hit
from face_import.domain.limits import largest
from face_import.domain.models import Face
from face_import.domain.uri import to_data_uri
from face_import.errors import RefusalKind, ServiceRefusal, ServiceUnavailable
from face_import.settings import Settings

CALL_S = 15.0
"""Most seconds for one of a search's two calls, so that slow services cannot keep its thread for long."""
SIZE_S = 3.0
"""Most seconds that a page waits for the size of its group."""
MOST_MATCHES = 10
INFO, LIBRARY = lazy("face info service"), lazy("face library service")
T = TypeVar("T")


class NoAnswer(Exception):
    """A search, or a question about a group, has no answer.

    Args:
        text: why, in the request's language.
        detail: what a service or a decoder says about it, in its own words.
        status: HTTP status.
    """

    def __init__(self, text: str, detail: str = "", status: int = 400) -> None:
        super().__init__(text)
        self.detail = plain(detail)
        self.status = status


class TooLarge(NoAnswer):
    """The picture has more bytes than an image may have."""

    def __init__(self, settings: Settings) -> None:
        most = f"{settings.max_image_bytes / 2**20:.3g}"
        super().__init__(gettext("The picture is too large: at most %(n)s MiB are accepted.", n=most), status=413)


class NoGroup(NoAnswer):
    """The face library does not have the group."""

    def __init__(self) -> None:
        super().__init__(gettext("The face library does not have this group."), status=404)


@dataclass(frozen=True, slots=True)
class Match:
    """A face of the group, and how much the one searched for resembles it."""

    face_id: str
    score: float
    tag: str
    description: str

    @property
    def same_person(self) -> bool:
        """Whether the score reaches the protocol's threshold."""
        return self.score >= SAME_PERSON


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search has found.

    Attributes:
        size: of the picture, width and height in pixels.
        faces: all faces in the picture.
        face: the one that was searched for; None if there is none.
        matches: the most similar faces of the group, the best first.
    """

    size: tuple[int, int]
    faces: tuple[Face, ...]
    face: Face | None
    matches: tuple[Match, ...]

    @property
    def same_person(self) -> int:
        """Number of matches that reach the threshold."""
        return sum(match.same_person for match in self.matches)

    @property
    def has_others(self) -> bool:
        """Whether faces beyond the matches may reach the threshold as well."""
        return self.same_person == MOST_MATCHES


def search(settings: Settings, group: str, data: bytes) -> Searched:
    """Search a group for the largest face in a picture; takes twice `CALL_S` at most, and the time to decode.

    Args:
        settings: the settings, with the bounds for images.
        group: name of the group.
        data: the picture's file.

    Raises:
        NoAnswer: the picture cannot be read, or a service does not do its part.
    """
    if len(data) > settings.max_image_bytes:
        raise TooLarge(settings)
    try:
        image = check_image(data, settings.max_image_pixels)
    except ImageError as error:
        raise NoAnswer(gettext("This file cannot be read as a picture."), str(error)) from None
    faces, hits = asyncio.run(_asked(_patient(settings, CALL_S), group, image.still))
    matches = sorted(map(_match, hits), key=lambda match: -match.score)[:MOST_MATCHES]
    return Searched((image.width, image.height), faces, largest(faces) if faces else None, tuple(matches))


def size_of(settings: Settings, group: str) -> GroupSize:
    """How large a group is, according to the library, within `SIZE_S`.

    Raises:
        NoAnswer: it does not say so.
    """

    async def ask() -> GroupSize:
        async with LibraryService(_patient(settings, SIZE_S)) as library:
            return await _answered(library.size(group), LIBRARY)

    return asyncio.run(ask())


async def _asked(settings: Settings, group: str, still: bytes) -> tuple[tuple[Face, ...], list[Hit]]:
    uri = to_data_uri(still)
    async with InfoService(settings) as info:
        faces = await _answered(info.detect(uri), INFO)
    if not faces:
        return faces, []
    async with LibraryService(settings) as library:
        similar = library.similar(group, uri, largest(faces), 0.0, MOST_MATCHES)
        return faces, await _answered(similar, LIBRARY)


async def _answered(answer: Awaitable[T], service: str) -> T:
    """A service's answer, or in words why there is none."""
    try:
        return await answer
    except ServiceUnavailable as error:
        text = gettext("The %(service)s is not answering. Try again later.", service=gettext(service))
        raise NoAnswer(text, str(error), 503) from None
    except ServiceRefusal as error:
        if error.kind is RefusalKind.GROUP_MISSING:
            raise NoGroup from None
        text = gettext("The %(service)s has refused.", service=gettext(service))
        raise NoAnswer(text, str(error), 502 if error.unexpected else 400) from None


def _patient(settings: Settings, seconds: float) -> Settings:
    return settings.model_copy(update={"service_timeout_s": min(seconds, settings.service_timeout_s)})


def _match(hit: Hit) -> Match:
    return Match(plain(str(hit.face_id)), hit.score, plain(hit.tag or ""), plain(hit.description or ""))


def plain(text: str) -> str:
    """A service's text without what JSON may have, and a page or a database may not: lone surrogates and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
