"""Whose trouble a refusal is, by what the services answered before and after."""

import pytest

from face_import.contract import Code
from face_import.domain.models import Outcome
from face_import.domain.uri import DataUri
from face_import.errors import RefusalKind, ServiceRefusal, TaskFailed
from face_import.pipeline.outage import MOST_REFUSALS, Outage, Refusals


async def refuse(_picture: DataUri) -> None:
    """An info service that refuses any picture."""
    raise ServiceRefusal("license expired")


async def test_no_service_is_blamed_for_anothers_refusals() -> None:
    """One odd add while the info service is in trouble waits for the library's next answer."""
    info, library = Outage("info", 1), Outage("library", 1)
    info.refusals, library.refusals = MOST_REFUSALS, 1
    refusals = Refusals(info, library, refuse)
    add = Outcome(1, "http://x", Code.LIBRARY_UNAVAILABLE, "who knows", refused=RefusalKind.OTHER)
    await refusals.hold(add)
    assert (refusals.release(), refusals.unsettled) == ([], [1])
    library.refusals = 0
    assert refusals.release() == [add]
    with pytest.raises(TaskFailed, match="license"):
        await refusals.hold(Outcome(2, "http://x", Code.INFO_UNAVAILABLE, "license", refused=RefusalKind.OTHER))
