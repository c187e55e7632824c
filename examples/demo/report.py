"""The demo's output: colours and a progress bar in a terminal, plain lines elsewhere."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.demo.album import AlbumRow
from examples.demo.checks import Check
from examples.demo.client import Failure, Hit
from face_import.contract import MEANINGS, Code

PLAIN_WIDTH = 100
LONGEST_DIFFERENCE = 300


class Report:
    """The demo's output, section by section."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else PLAIN_WIDTH
        self._console = Console(width=width, highlight=False)

    def section(self, title: str) -> None:
        """Begin a section."""
        self._console.print(f"\n[bold]{title}[/]")

    def line(self, text: str) -> None:
        """Print one line of a section verbatim."""
        self._console.print(f"  {text}", markup=False, soft_wrap=True)

    def lines(self, texts: Iterable[str]) -> None:
        """Print several."""
        for text in texts:
            self.line(text)

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """Show a spinner in a terminal."""
        return self._console.status(text) if self._console.is_terminal else nullcontext()

    def follow(self, progress: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Show a task's progress as a bar until it ends; returns the last `detail`."""
        columns = TextColumn(" "), BarColumn(40), MofNCompleteColumn(), TextColumn("rows"), TimeElapsedColumn()
        detail: Mapping[str, Any] = {}
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task("import", total=None)
            for detail in progress:
                bar.update(task, completed=detail["handled_num"], total=detail["total_num"])
        return detail

    def result(self, entries: Sequence[AlbumRow], log: Sequence[Failure]) -> None:
        """Print the number of rows with each code, and an example."""
        by_code = defaultdict(list)
        for failure in log:
            by_code[failure.code].append(failure)
        table = Table("code", "meaning", "rows", "example", "message", box=None, pad_edge=True, header_style="dim")
        table.add_row("0", MEANINGS[Code.OK], str(len(entries) - len(log)), "", "")
        for code, failures in sorted(by_code.items()):
            first = failures[0]
            example = f"row {first.row}, {_short(first.uri)}"
            table.add_row(str(code), MEANINGS.get(Code(code), ""), str(len(failures)), example, first.message)
        self._console.print(table)

    def hits(self, person: str, picture: str, hits: Sequence[Hit]) -> None:
        """Print what a search found."""
        self.line(f"{person}, {picture}: {'nobody' if not hits else ''}".rstrip())
        for hit in hits:
            self.line(f"  {hit.score:.2f}  {hit.tag}  {' '.join(hit.description.split())}")

    def checks(self, checks: Sequence[Check], surprises: Sequence[str]) -> None:
        """Print each claim and, for those that do not hold, the expected and the actual value."""
        for check in checks:
            self._console.print("  [green]ok [/]" if check.holds else "  [bold red]NO [/]", end="")
            self._console.print(check.claim, markup=False)
            if not check.holds:
                self.line(f"     expected {str(check.expected)[:LONGEST_DIFFERENCE]}")
                self.line(f"     actual   {str(check.seen)[:LONGEST_DIFFERENCE]}")
        self.lines(surprises)


def _short(uri: str) -> str:
    """The last part of a URI, enough to recognise a row."""
    if uri.startswith("data:"):
        return "data URI"
    return uri.rsplit("/", 1)[-1] or "no uri"
