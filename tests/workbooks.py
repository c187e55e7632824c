"""Workbooks made in code: of tables, and by hand as no program writes them."""

import io
from collections.abc import Callable, Sequence
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import xlsxwriter

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


def workbook_of(rows: Sequence[Sequence[str]], *, inline: bool = False) -> bytes:
    """A workbook whose one sheet has these cells as texts, shared or (`inline`) where they are."""

    def fill(book: Any) -> None:
        sheet = book.add_worksheet()
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if cell:
                    sheet.write_string(number, column, cell)

    return written(fill, constant_memory=inline)


def written(fill: Callable[[Any], None], **options: bool) -> bytes:
    """A workbook as xlsxwriter writes what `fill` does with it."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, **options}) as book:
        fill(book)
    return out.getvalue()


Part = tuple[str, int]
"""A text, and how many times it comes."""
File = str | list[Part]


def archive(files: dict[str, File]) -> bytes:
    """A ZIP archive of files by their names."""
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, parts in files.items():
            with archive.open(name, "w", force_zip64=True) as file:
                for text, times in [(parts, 1)] if isinstance(parts, str) else parts:
                    many = max(1, 2**20 // max(1, len(text)))
                    for left in range(times, 0, -many):
                        file.write(text.encode() * min(many, left))
    return out.getvalue()


def by_hand(cells: str, more: dict[str, File] | None = None) -> bytes:
    """A workbook whose sheet is this XML between `<worksheet>` and its end, with `more` files."""
    targets = [("worksheet", "worksheets/sheet1.xml"), ("sharedStrings", "sharedStrings.xml"), ("styles", "styles.xml")]
    links = (
        f'<Relationship Id="rId{number}" Type="{_LINKS}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, 1)
        if number == 1 or f"xl/{target}" in (more or {})
    )
    files: dict[str, File] = {
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}">'
        f'<Relationship Id="rId1" Type="{_LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_LINKS}"><sheets>'
        '<sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}">{"".join(links)}</Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN}">{cells}</worksheet>',
    }
    return archive(files | (more or {}))


def text_cell(text: str) -> str:
    """A sheet's XML whose one cell is this text, inline."""
    return f'<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>{text}</t></is></c></row></sheetData>'
