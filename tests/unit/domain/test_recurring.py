"""The file of recurring imports: what is taken, and what is said about the rest."""

import pytest

from face_import.domain.recurring import Entries, Entry, read_entries
from face_import.errors import ConfigError
from face_import.settings import Settings

GOOD = """
imports:
  - name: staff
    schedule: "0 2 * * *"
    source: https://example.com/{{ ds }}.csv
    group: staff
"""


def read(text: str) -> Entries:
    """Read with the settings' defaults."""
    return read_entries(text, Settings())


def entry(**changes: object) -> str:
    """A file with the good entry, changed."""
    good = {"name": "staff", "schedule": "'@daily'", "source": "https://example.com/a.csv", "group": "staff"}
    fields = good | changes
    return "imports:\n- " + "\n  ".join(f"{name}: {value}" for name, value in fields.items() if value is not None)


def test_what_is_left_out_has_its_default() -> None:
    """The shortest entry is an import with the same defaults as the API's."""
    (found,) = read(GOOD).entries
    assert isinstance(found, Entry)
    assert (found.schedule.cron, found.schedule.timezone, found.patience_s) == ("0 2 * * *", "UTC", 3600)
    assert found.conf() == {
        "source": "https://example.com/{{ ds }}.csv",
        "group_name": "staff",
        "thread_num": 10,
        "host_threads": 0,
        "mode": 0,
        "max_failed": 0,
        "max_failed_percent": 0,
        "fail_on_errors": 0,
        "measure": 0,
        "same_picture": 0,
        "alike": 0,
        "alike_tag": 0,
        "on_alike": "refuse",
        **dict.fromkeys(("pos_pitch", "pos_yaw", "pos_rol", "width", "height", "blur_degree", "faces"), 0),
    }


def test_an_import_of_changes_is_told_whose() -> None:
    """Its run gets the entry's name, under which earlier runs are looked up."""
    (found,) = read(entry(changes_only="true")).entries
    assert found.conf()["entry"] == "staff"
    (without,) = read(entry(changes_only="false")).entries
    assert "entry" not in without.conf()


def test_the_bound_on_a_host_reaches_the_run() -> None:
    """An entry bounds the fetches from one image host like any other import."""
    (found,) = read(entry(host_threads=4)).entries
    assert found.conf()["host_threads"] == 4


def test_who_is_to_be_told_reaches_the_run() -> None:
    """A template like the source; without one the run has no such parameter."""
    (found,) = read(entry(callback_url="'https://app.example.com/hooks/{{ ds }}'")).entries
    assert found.conf()["callback_url"] == "https://app.example.com/hooks/{{ ds }}"
    (without,) = read(entry()).entries
    assert "callback_url" not in without.conf()


def test_what_failures_do_reaches_the_run() -> None:
    """Beside `mode`, not among the limits of faces."""
    (found,) = read(entry(max_failed=5, max_failed_percent=20, fail_on_errors=1)).entries
    assert [found.conf()[name] for name in ("max_failed", "max_failed_percent", "fail_on_errors")] == [5, 20, 1]


def test_how_the_file_is_read_reaches_the_run() -> None:
    """Only what the entry says: the rest is left to the run's defaults."""
    (found,) = read(
        entry(encoding="gbk", separator="tab", sheet="员工", columns="{uri: 照片, tag: 2, id: null}")
    ).entries
    assert found.conf() == read(entry()).entries[0].conf() | {
        "encoding": "gbk",
        "separator": "\t",
        "sheet": "员工",
        "columns": {"uri": "照片", "tag": 2, "id": None},
    }


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "imports:\n", "imports: []\n"])
def test_a_file_may_be_empty(text: str) -> None:
    """No entries are no problem."""
    assert read(text) == Entries((), ())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"group": None}, "group: Field required"),
        ({"group": "Not A Group"}, "group_name: 'Not A Group' is not a group name"),
        ({"thread_num": 100000}, "thread_num: 100000 is above the limit"),
        ({"thread_num": "many"}, "thread_num: Input should be a valid integer"),
        ({"host_threads": 100000}, "host_threads: 100000 is above the limit"),
        ({"host_threads": -1}, "host_threads: Input should be greater than or equal to 0"),
        ({"threads": 3}, "threads: Extra inputs are not permitted"),
        ({"changes_only": "yes, please"}, "changes_only: Input should be a valid boolean"),
        ({"mode": 2}, "mode: "),
        ({"max_failed": -1}, "max_failed: Input should be greater than or equal to 0"),
        ({"max_failed_percent": 101}, "max_failed_percent: Input should be less than or equal to 100"),
        ({"alike": 1.5}, "alike: Input should be less than or equal to 1"),
        ({"on_alike": "ask"}, "on_alike: Input should be 'refuse' or 'note'"),
        ({"callback_url": "app.example.com"}, "callback_url: String should match pattern"),
        ({"callback_url": "'https://x.example/{{ ds'"}, "callback_url: not a valid template"),
        ({"fail_on_errors": 2}, "fail_on_errors: Input should be less than or equal to 1"),
        ({"limits": "{pos_yaw: 181}"}, "limits.pos_yaw: "),
        ({"limits": "{yaw: 20}"}, "limits.yaw: Extra inputs are not permitted"),
        ({"encoding": "'../x'"}, "encoding: unknown encoding '../x'"),
        ({"encoding": 936}, "encoding: Input should be a valid string"),
        ({"separator": "':'"}, "separator: send one of the characters"),
        ({"separator": 5}, "separator: Input should be a valid string"),
        ({"sheet": "s" * 256}, "sheet: send a text of at most 255 characters"),
        ({"columns": "照片"}, "columns: Input should be a valid dictionary"),
        ({"columns": "{photo: 1}"}, "columns: 'photo' is not one of uri, tag, description, id"),
        ({"columns": "{uri: 0}"}, "columns: uri: send a column's title"),
        ({"columns": "{uri: true}"}, "columns: uri: send a column's title"),
        ({"patience_s": -1}, "patience_s: "),
        ({"name": "Staff Nightly"}, "name: String should match pattern"),
        ({"source": "'https://example.com/{{ ds }.csv'"}, "source: not a valid template"),
        ({"schedule": None}, "schedule: Field required"),
        ({"schedule": "{cron: '@daily', asset: 'x://y'}"}, "schedule: exactly one of"),
        ({"schedule": "{cron: '@daily', timezone: Berlin}"}, "'Berlin' is not a time zone"),
        ({"schedule": "{asset: 'face-import://groups/staff'}"}, "would never end"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_field_is_named(changes: dict[str, object], reason: str) -> None:
    """The problem says which entry, which field, and what its rule is."""
    reading = read(entry(**changes))
    assert reading.entries == ()
    (problem,) = reading.problems
    assert problem.startswith(f"entry 1 ({changes.get('name', 'staff')}): ")
    assert reason in problem


def test_one_broken_entry_leaves_the_others() -> None:
    """The good ones are there, whatever stands between them; a name that comes twice counts once."""
    reading = read(GOOD + "  - nonsense\n" + GOOD.replace("imports:", "").replace("staff", "guests") + GOOD[10:])
    assert [found.name for found in reading.entries] == ["staff", "guests"]
    assert [problem.split(":")[0] for problem in reading.problems] == ["entry 2 (without a name)", "entry 4 (staff)"]
    assert "already used by an earlier entry" in reading.problems[1]


@pytest.mark.parametrize("text", ["imports: {", "- name: staff", "imports: staff", "entries: []", "just text"])
def test_a_file_that_is_none_is_refused(text: str) -> None:
    """What is no list under `imports` has no entries to save."""
    with pytest.raises(ConfigError):
        read(text)
