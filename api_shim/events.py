"""Live events of a task (Server-Sent Events): its progress at most once a second, until it ends.

Each client occupies a thread, so their number and their time are bounded (`slots`); a browser's `EventSource` comes
back by itself.
"""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field, WithJsonSchema
from sqlalchemy.exc import SQLAlchemyError

from api_shim.app_context import app_context
from api_shim.documentation import answers, documentation
from api_shim.feed import Feed, Told
from api_shim.fields import without_default
from api_shim.slots import EVENTS
from api_shim.tasks import check_task_id

log = logging.getLogger(__name__)
blueprint = Blueprint("events", __name__, url_prefix="/v1/tasks")
blueprint.before_request(check_task_id)
LAST_ID = "Last-Event-ID"
RETRY_S = 2
LONGEST_S = 300.0
"""After which a client has to come back: so a revoked key is noticed, and no thread is lost to a client for good."""
SILENCE_S = 10.0
"""After which a comment is sent, by which a client that is gone is noticed and no proxy takes the connection for idle.
"""
ENDING = threading.Event()
"""Set when this process is asked to end: streams end at once, and do not hold it up."""


class EventsHeaders(BaseModel):
    """Headers of `GET /v1/tasks/<id>/events`."""

    last: Annotated[str | None, WithJsonSchema({"type": "string"})] = Field(
        None,
        alias=LAST_ID,
        json_schema_extra=without_default,
        description="id of the last event that came, as browsers send it when they come back; 204 if it was the end",
    )


@blueprint.get("/<task_id>/events")
@documentation.validate(operation_id="follow_task", headers=EventsHeaders, resp=answers("text/event-stream", 404, 503))
def events(task_id: str) -> Response:
    """Live events: `task.progress` when something has changed, at most once a second; then how the task has ended.

    The data of each event is the task as in `list` with summaries. After `task.stopped`, `task.completed` or
    `task.deleted` the stream ends.
    """
    context = app_context()
    context.catalogue.tasks.get(task_id)
    seen = request.headers.get(LAST_ID)
    if seen and seen == context.feed.look(task_id).id:
        return Response(status=204)  # by which a browser learns not to come back
    pieces = EVENTS.sending(told(context.feed, task_id, longest_s=LONGEST_S))
    return Response(pieces, mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})


def told(feed: Feed, task_id: str, *, longest_s: float, silence_s: float = SILENCE_S) -> Iterator[str]:
    """The stream's lines: an event when there is something new, and a comment after some silence."""
    ends_at = time.monotonic() + longest_s
    yield f"retry: {RETRY_S * 1000}\n\n"
    last, spoke_at = None, time.monotonic()
    with feed.following(task_id) as look:
        while time.monotonic() < ends_at:
            try:
                now = look()
            except SQLAlchemyError as error:
                log.warning("live events cut short task=%s error=%s", task_id, getattr(error, "orig", error))
                return
            if now != last:
                last, spoke_at = now, time.monotonic()
                yield _written(now)
            elif time.monotonic() - spoke_at >= silence_s:
                spoke_at = time.monotonic()
                yield ":\n\n"
            if now.is_last or ENDING.wait(feed.every_s):
                return


def _written(now: Told) -> str:
    lines = [f"event: {now.event}", *([f"id: {now.id}"] if now.id else []), f"data: {now.data}"]
    return "\n".join(lines) + "\n\n"
