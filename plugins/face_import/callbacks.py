"""Delivers callbacks: signed POSTs that tell that a task has stopped or completed (ADR 35).

What is to be sent is in the catalogue, written with the task's end. Here it is sent at least once, under an id that
stays the same, and repeated for a day. The form is that of Standard Webhooks (https://www.standardwebhooks.com).
"""

import asyncio
import json
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from standardwebhooks import Webhook

from face_import.catalogue import Call, Catalogue
from face_import.catalogue.progress import iso_time
from face_import.clients.callback import post
from face_import.clients.transfer import FetchError
from face_import.errors import ConfigError
from face_import.settings import Settings

log = logging.getLogger(__name__)
ROUND_S = 1.0
AT_ONCE = 32
DEADLINE_S = 15.0
LEASE_S = 60.0
"""When a call whose sender was killed is made again: far later than its deadline."""
FIRST_S, FACTOR, LONGEST_S = 5.0, 3.0, 3600.0
TRIES = 31
"""The pauses between them add up to a day."""
SPREAD = 0.1
"""By this share pauses are longer or shorter, so that a host which is back does not get all calls at once."""
GONE = 410
T = TypeVar("T")


class Courier:
    """Makes the calls that are due; as many of these as there are may work beside each other.

    Args:
        settings: what calls are signed with, allowed addresses.
        catalogue: where the calls are.
        deadline_s: until when a host has to answer.
        lease_s: until when nobody else makes the same call.
    """

    def __init__(
        self, settings: Settings, catalogue: Catalogue, *, deadline_s: float = DEADLINE_S, lease_s: float = LEASE_S
    ) -> None:
        self._settings = settings
        self._callbacks = catalogue.callbacks
        self._deadline_s, self._lease_s = deadline_s, lease_s
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._database = ThreadPoolExecutor(2, "callbacks")
        self._trouble = ""

    def start(self) -> None:
        """Work in a thread of its own, until the process ends: a call takes seconds, and Airflow may be away."""
        threading.Thread(target=self._work, name="callbacks", daemon=True).start()

    def _work(self) -> NoReturn:
        while True:
            try:
                asyncio.run(self._rounds())
            except Exception:  # a thread that dies unseen would mean silence for good
                log.exception("delivering callbacks failed; starting again")
                time.sleep(ROUND_S)

    async def _rounds(self) -> NoReturn:
        # Names are looked up in the loop's own threads, of which some host may occupy many for long.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2 * AT_ONCE, "names"))
        while True:
            trouble = ""
            try:
                await self.round()
            except ConfigError as error:
                trouble = str(error)
            except SQLAlchemyError as error:
                trouble = f"catalogue unavailable error={getattr(error, 'orig', error)}"
            if trouble and trouble != self._trouble:
                log.warning("callbacks wait: %s", trouble)
            self._trouble = trouble
            await asyncio.sleep(ROUND_S)

    async def round(self) -> None:
        """Begin the calls that are due, as far as there is room.

        Raises:
            ConfigError: they cannot be signed.
        """
        secrets = self._settings.callback_secrets
        origins = Counter(self._under_way.values())
        room = AT_ONCE - origins.total()
        if room <= 0:
            return
        for call in await self._in_database(lambda: self._callbacks.claim(room, self._lease_s, busy=origins)):
            task = asyncio.create_task(self._deliver(call, secrets))
            self._under_way[task] = call.origin
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        if not task.cancelled() and (error := task.exception()):
            log.error("a callback is left to its next try", exc_info=error)

    async def all_ended(self) -> None:
        """Wait until no call is under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _deliver(self, call: Call, secrets: tuple[SecretStr, ...]) -> None:
        """Make a call and record how it ended. Killed in between, it is made again."""
        body = body_of(call)
        headers = signed(call.id, body, secrets, datetime.now(UTC))
        wait = status = None
        try:
            status, answer, wait = await post(call.url, body.encode(), headers, self._settings, self._deadline_s)
        except FetchError as error:
            answer = str(error)
        except OSError as error:
            answer = error.strerror or type(error).__name__
        except ConfigError as error:
            log.error("misconfigured error=%s", error)  # noqa: TRY400 - the text says all
            answer = "the server is misconfigured; see the keeper's log"
        if status is not None and 200 <= status < 300:
            log.info(
                "callback delivered task=%s event=%s id=%s tries=%s", call.task_id, call.event, call.id, call.tries
            )
            await self._in_database(lambda: self._callbacks.delivered(call, answer))
            return
        if status is not None and 300 <= status < 400:
            answer = f"{answer}: redirects are not followed"
        again_in_s = None if status == GONE else pause_after(call.tries, wait)
        log.warning(
            "callback not delivered task=%s event=%s id=%s tries=%s again_in_s=%s answer=%s",
            *(call.task_id, call.event, call.id, call.tries),
            *("never" if again_in_s is None else round(again_in_s), answer),
        )
        await self._in_database(lambda: self._callbacks.failed(call, answer, again_in_s))

    async def _in_database(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._database, work)


def body_of(call: Call) -> str:
    """The body of a call, the same at every try."""
    message = {"type": call.event, "timestamp": iso_time(call.ended_at), "data": call.data}
    return json.dumps(message, ensure_ascii=False)


def signed(call_id: str, body: str, secrets: tuple[SecretStr, ...], moment: datetime) -> dict[str, str]:
    """The headers of a call: its id, the time, and a signature with each secret."""
    signatures = (Webhook(secret.get_secret_value()).sign(call_id, moment, body) for secret in secrets)
    return {
        "Content-Type": "application/json",
        "webhook-id": call_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def pause_after(tries: int, asked_s: float | None = None) -> float | None:
    """Seconds until the next try; None if there is none.

    Args:
        tries: how many there were.
        asked_s: what the host asks for, obeyed up to the longest pause.
    """
    if tries >= TRIES:
        return None
    pause = min(FIRST_S * FACTOR ** (tries - 1), LONGEST_S)
    pause *= random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - to spread calls, not to hide them
    return max(pause, min(asked_s or 0.0, LONGEST_S))
