"""Cells that a spreadsheet would run as a formula: how they are made harmless, and how that is undone."""

STARTS_A_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
TAKEN_OFF = ("\t", "\r", "\n")
"""A spreadsheet may strip these from the start of a cell before parsing it."""
NOT_SEEN = " \t\r\n\"'\u00a0\u200b\u2060\ufeff"
SUSPECT = frozenset((*STARTS_A_FORMULA, *NOT_SEEN))
"""First characters of all cells that are guarded, and of some others; most cells begin with another one."""


def guarded(cell: str) -> str:
    """A cell that spreadsheets take for text: a dangerous one gets an apostrophe in front.

    So does one that has apostrophes in front already. Therefore no two cells become the same one, and `unguarded` is
    the inverse.
    """
    return f"'{cell}" if cell[:1] in SUSPECT and _is_dangerous(cell) else cell


def unguarded(cell: str) -> str:
    """The cell that `guarded` made this one of."""
    return cell[1:] if cell[:1] == "'" and _is_dangerous(cell) else cell


def _is_dangerous(cell: str) -> bool:
    """Whether a spreadsheet might run it, whatever number of apostrophes is in front."""
    return cell.lstrip("'").startswith(TAKEN_OFF) or cell.lstrip(NOT_SEEN).startswith(STARTS_A_FORMULA)
