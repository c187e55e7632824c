"""Tells on standard error what a benchmark does now: some take minutes."""

import time

from rich.console import Console

_CONSOLE = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Tell it, with the time."""
    _CONSOLE.print(f"{time.strftime('%H:%M:%S')}  {text}", style="dim", soft_wrap=True)
