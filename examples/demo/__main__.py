"""Runs the demo; exits 0 if all results are as expected, else 1. `KEEP=1` leaves the stack running."""

import os
import signal
import sys
import time
from collections.abc import Sequence

import requests

from examples.demo.album import LIMITS, AlbumRow, album, csv_file, hosted
from examples.demo.checks import Evidence, checks, surprises
from examples.demo.client import Api, DemoError, Group, Hit
from examples.demo.host import picture_host
from examples.demo.pictures import COLLINS, HOPPER, PHOTOGRAPHER, encoded, lit, mirrored, portrait
from examples.demo.report import Report
from examples.demo.stack import HOME, Stack, temporary_stack

GROUP = "demo"
THREADS = 8
PATIENCE_S = 180
SURE = 0.6
"""Minimum score of a hit; here, the same person scores at least 0.79, different people at most 0.48."""


def main() -> int:
    """Run the demo.

    Returns:
        the exit code.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    report, keep, began = Report(), os.environ.get("KEEP", "0") not in {"", "0"}, time.monotonic()
    try:
        good = demonstrate(report, keep=keep)
    except (DemoError, requests.RequestException) as error:
        report.section("The demo failed")
        report.line(str(error))
        report.line(f"logs of the processes: {HOME / 'logs'}")
        return 1
    except KeyboardInterrupt:
        report.line("interrupted; the stack is stopped")
        return 130
    report.section(f"{'Everything as expected' if good else 'Not as expected'}, {time.monotonic() - began:.0f} s")
    return 0 if good else 1


def demonstrate(report: Report, *, keep: bool) -> bool:
    """Start the stack, import, search, check, and stop the stack.

    Returns:
        whether all results are as expected.
    """
    report.section("The stack: Airflow, the API and the face services, with its own home and on free ports")
    began = time.monotonic()
    with temporary_stack(keep=keep) as stack:
        with report.waiting("starting"):
            addresses = stack.up()
        report.line(f"healthy after {time.monotonic() - began:.0f} s; all its files are in {HOME}")
        report.lines(addresses)
        entries = album()
        evidence = import_album(report, stack, entries)
        report.section("Checks")
        listed = checks(entries, evidence)
        report.checks(listed, surprises(entries, evidence.log))
    if keep:
        report.section("Still running because of KEEP=1, without the image host; make demo starts a new stack")
        report.lines(addresses)
        report.line(f"to stop it: FACE_IMPORT_HOME={HOME} .venv/bin/face-import down")
    return all(check.holds for check in listed)


def import_album(report: Report, stack: Stack, entries: Sequence[AlbumRow]) -> Evidence:
    """Import the rows through the API and collect the evidence."""
    api = Api(stack.api)
    files = hosted(entries)
    with picture_host(files) as host:
        inline = sum(entry.inline for entry in entries)
        report.section("Input: a CSV file as written by a spreadsheet program")
        report.line(f"{len(entries)} rows: {len(files)} images at {host}, {inline} as data URIs, the rest broken")
        report.line("limits: " + ", ".join(f"{name} {limit}" for name, limit in LIMITS.items()))
        task_id = api.create(GROUP, csv_file(entries, host), {**LIMITS, "thread_num": THREADS})
        report.section(f"Import: task {task_id} into group {GROUP!r}")
        api.start(task_id)
        detail = report.follow(api.progress(task_id, PATIENCE_S))
    log = api.log(task_id)
    report.section("Results")
    report.result(entries, log)
    group = Group(stack.services, GROUP)
    found = search(report, group)
    return Evidence(detail, log, api.downloaded_log(task_id), group.size(), found)


def search(report: Report, group: Group) -> dict[str, Sequence[Hit]]:
    """Search the group for each person, by a picture that was not imported."""
    report.section(f"Search: identify people in images that were not imported (score {SURE} and above)")
    found: dict[str, Sequence[Hit]] = {}
    for person in (COLLINS, HOPPER, PHOTOGRAPHER):
        picture = lit(mirrored(portrait(person, 360)), 0.8)
        found[person] = group.search(encoded(picture), SURE)
        report.hits(person, "mirrored and darker", found[person])
    return found


if __name__ == "__main__":
    sys.exit(main())
