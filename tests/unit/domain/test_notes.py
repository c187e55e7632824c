"""The note of an import under way: the image hosts that it waits for come and go, the rest stays."""

import pytest

from face_import.domain.notes import LONGEST, opening, with_waiting

HOSTS = [(f"h{n}.example.com:8080", "503 Service Unavailable") for n in range(3)]
NOTE = "staff: faces.csv (recurring: nightly), ask Ann"
WAITS = "; waiting for h0.example.com:8080 (503 Service Unavailable)"


def test_the_hosts_that_an_import_waits_for_end_its_note() -> None:
    """The first one with its reason, and how many others."""
    assert [with_waiting(NOTE, HOSTS[:n]) for n in (1, 2, 3)] == [
        f"{NOTE}{WAITS}",
        f"{NOTE}{WAITS} and 1 more host",
        f"{NOTE}{WAITS} and 2 more hosts",
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("reason", ["503", "timed out (5 s)", "two\nlines", ""])
def test_hosts_that_answer_again_leave_no_trace(count: int, reason: str) -> None:
    """Other hosts take their place; without any the note is as it was."""
    hosts = [(f"i{n}.example.com", reason) for n in range(count)]
    waits = with_waiting(NOTE, hosts)
    assert with_waiting(waits, HOSTS[:1]) == f"{NOTE}{WAITS}"
    assert with_waiting(waits, []) == NOTE
    assert with_waiting(NOTE, []) == NOTE


def test_a_long_note_leaves_room_for_the_host() -> None:
    """Airflow keeps a thousand characters, of the source and of what a server calls its trouble."""
    note = with_waiting(opening("staff", "x" * 3000), HOSTS[:1])
    assert (len(note), note.endswith(WAITS)) == (LONGEST, True)
    long = with_waiting(opening("staff", "x" * 3000), [("h", "y" * 3000), *HOSTS])
    assert (len(long), long.endswith("yyy) and 3 more hosts")) == (LONGEST, True)
