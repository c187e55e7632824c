"""What a newcomer sees first."""

from tests.integration.cli.conftest import Shim


def test_the_commands_stand_in_groups(shim: Shim) -> None:
    """Imports first, then the stack, then its parts; the exit statuses are said."""
    text = shim.run("--help").stdout
    places = [text.index(word) for word in ("─ Imports", " tasks ", "─ Stack", " doctor ", "─ Internals", " keeper ")]
    assert places == sorted(places)
    assert "3 some rows failed" in " ".join(text.split())
    assert "guard" not in text


def test_options_show_their_bounds(shim: Shim) -> None:
    """The API's bounds and defaults are in the help, and hold before anything is sent."""
    text = shim.run("import", "--help").stdout
    assert "0<=x<=180" in text
    assert "default: 10" in text
    done = shim.run("import", "/dev/null", "--group", "staff", "--pos-yaw", "181")
    assert (done.returncode, "--pos-yaw" in done.stderr) == (2, True)


def test_a_shell_completes_commands(shim: Shim) -> None:
    """Typer's own completion is on."""
    words = {"_FACE_IMPORT_COMPLETE": "complete_bash", "COMP_WORDS": "face-import st", "COMP_CWORD": "1"}
    assert shim.run(**words).stdout.split() == ["start", "stop", "status", "stop-active"]
