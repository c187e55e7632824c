"""The note that says why a stack ended by itself."""

from face_import.stack.ending import expect_down, forget, note, unexpected_end
from face_import.stack.layout import Layout


def test_only_an_end_that_nobody_asked_for_is_told(layout: Layout) -> None:
    """Nothing before the first start and after `down`; else the cause, or what can be said without one."""
    assert unexpected_end(layout) == ""
    expect_down(layout)
    assert "killed" in unexpected_end(layout)
    note(layout, "the supervisor was killed")
    note(layout, "and its other processes followed")
    assert unexpected_end(layout).endswith("UTC: the supervisor was killed")
    forget(layout)
    assert unexpected_end(layout) == ""


def test_the_cause_takes_no_room(layout: Layout) -> None:
    """It is written over what was there, so that a full disk does not matter."""
    expect_down(layout)
    file = layout.run / "ended"
    before = file.stat()
    note(layout, "x" * 10_000)
    after = file.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
