"""The protocol's request bodies, and response formats shared by both services."""

import json
from typing import Annotated, Any, TypeVar

from flask import request
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from face_services.errors import BadRequest
from face_services.geometry import Box

MOST_BOXES = 100
MOST_IMAGES = 16
MOST_DISCARDED = 256 * 2**20
_DISCARDED_AT_ONCE = 2**16

Body = TypeVar("Body", bound=BaseModel)
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Corner = tuple[Coordinate, Coordinate]


def _storable(value: Any) -> Any:
    json.dumps(value, allow_nan=False)
    return value


Json = Annotated[Any, AfterValidator(_storable)]


class Corners(BaseModel):
    """A box as its four corners: top left, top right, bottom right, bottom left."""

    pts: Annotated[list[Corner], Field(min_length=4, max_length=4)]

    def within(self, width: int, height: int) -> Box:
        """The box these corners span, clipped to a picture of that size.

        Raises:
            BadRequest: nothing of it is inside.
        """
        xs, ys = zip(*self.pts, strict=True)
        box = Box(min(xs), min(ys), max(xs), max(ys)).clipped(width, height)
        if box.width < 1 or box.height < 1:
            raise BadRequest("pts: no part of the box lies inside the picture")
        return box


class _DetectData(BaseModel):
    uri: str


class DetectRequest(BaseModel):
    """Body of `facex-detect`."""

    data: _DetectData


class _PoseAttribute(BaseModel):
    detections: Annotated[list[Corners], Field(max_length=MOST_BOXES)]


class _PoseData(BaseModel):
    uri: str
    attribute: _PoseAttribute


class PoseRequest(BaseModel):
    """Body of `facex-pose`."""

    data: _PoseData


class _GroupConfig(BaseModel):
    capacity: Annotated[int, Field(ge=0, le=2**53)] = 0


class CreateRequest(BaseModel):
    """Body of a group's creation; a capacity of 0 means no limit."""

    config: _GroupConfig = _GroupConfig()


class _AddImage(BaseModel):
    id: Annotated[str, Field(max_length=512)] = ""
    uri: str
    tag: str = ""
    desc: Json = None
    bounding_box: Corners | None = None


class _AddParams(BaseModel):
    reject_bad_face: bool = False


class AddRequest(BaseModel):
    """Body of `add`."""

    image: _AddImage
    params: _AddParams = _AddParams()


class DeleteRequest(BaseModel):
    """Body of `delete`."""

    ids: list[str]


class SearchRequest(BaseModel):
    """Body of `search`; the threshold's default is the protocol's."""

    images: Annotated[list[str], Field(min_length=1, max_length=MOST_IMAGES)]
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.45
    limit: Annotated[int, Field(ge=1, le=1000)] = 5


def body(model: type[Body]) -> Body:
    """Reads the current request's body, whatever content type it claims.

    Raises:
        BadRequest: with the place of the first mistake; never with the value, which may be a picture.
    """
    try:
        return model.model_validate_json(request.get_data(cache=False))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{place}: {first['msg']}" if place else first["msg"]) from None


def discard_body() -> None:
    """Reads the rest of the current request's body, so that a client that is still sending can read the response.

    A server that answers and closes while the client sends makes the client see a broken pipe instead of the error.
    """
    if not request.environ.get("wsgi.input_terminated"):
        return
    stream = request.environ["wsgi.input"]
    for _ in range(MOST_DISCARDED // _DISCARDED_AT_ONCE):
        if not stream.read(_DISCARDED_AT_ONCE):
            return


def corners(box: Box) -> list[list[int]]:
    """A box as the protocol's `pts`, in whole pixels."""
    left, top, right, bottom = (round(edge) for edge in (box.left, box.top, box.right, box.bottom))
    return [[left, top], [right, top], [right, bottom], [left, bottom]]
