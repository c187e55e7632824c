"""Writes the templates of a file that the console has for download: `.venv/bin/python scripts/templates.py`.

Their example rows are refused in words (`UriFlaw.EXAMPLE`), so one that is left in a file imports nothing.
"""

import codecs
import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import xlsxwriter

FOLDER = Path(__file__).parents[1] / "face_console" / "static"
URL = "https://example.invalid/photos"
TABLES = {
    "en": (
        ("Photo URL (required)", "Name", "ID", "Remarks"),
        (f"{URL}/anna.jpg", "Anna Smith", "A-0123", "Example: replace it, or delete the row"),
        (f"{URL}/ben.jpg", "Ben Jones", "", "Example: without an ID, one is made"),
    ),
    "zh": (
        ("照片地址（必填）", "姓名", "编号", "备注"),
        (f"{URL}/zhangsan.jpg", "张三", "A-0123", "示例：请改成自己的数据，或删除此行"),
        (f"{URL}/lisi.jpg", "李四", "", "示例：编号可以留空，会自动生成"),
    ),
}
WIDTHS = (44, 18, 14, 40)
"""Of the columns, in characters."""
MADE = datetime(2026, 1, 1, tzinfo=UTC)
"""The date in the workbooks: the same tables are the same bytes."""

Table = Sequence[Sequence[str]]


def as_csv(table: Table) -> bytes:
    """The table as CSV in UTF-8, with the mark by which Excel and WPS know it."""
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return codecs.BOM_UTF8 + text.getvalue().encode()


def as_workbook(table: Table) -> bytes:
    """The table as a workbook whose cells are texts, so that spreadsheets keep the zeros of an id."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_urls": False}) as book:
        book.set_properties({"created": MADE.replace(tzinfo=None)})
        text = book.add_format({"num_format": "@"})
        title = book.add_format({"num_format": "@", "bold": True, "bg_color": "#E2F1F0", "bottom": 1})
        example = book.add_format({"num_format": "@", "italic": True, "font_color": "#7A7A7A"})
        sheet = book.add_worksheet()
        for column, width in enumerate(WIDTHS):
            sheet.set_column(column, column, width, text)
        for number, row in enumerate(table):
            for column, cell in enumerate(row):
                sheet.write_string(number, column, cell, example if number else title)
        sheet.freeze_panes(1, 0)
    return out.getvalue()


def files() -> dict[str, bytes]:
    """The templates by the names of their files."""
    return {
        f"template.{language}.{ending}": write(table)
        for language, table in TABLES.items()
        for ending, write in (("csv", as_csv), ("xlsx", as_workbook))
    }


if __name__ == "__main__":
    for name, content in files().items():
        (FOLDER / name).write_bytes(content)
