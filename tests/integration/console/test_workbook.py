"""A workbook in the form for a new import: its sheets, and what becomes of it."""

import io

import pytest
from flask.testing import FlaskClient

from tests.integration.sources.test_workbook_intake import two_sheets
from tests.unit.console.conftest import Get
from tests.unit.console.test_form_helps import comes_back
from tests.workbooks import written


def preview(client: FlaskClient, **fields: str) -> str:
    """Choose the file, or change a menu of its preview."""
    form = {"file": (io.BytesIO(written(two_sheets)), "f.xlsx"), **fields}
    return client.post("/new/preview", data=form).get_data(as_text=True)


def test_a_sheet_can_be_chosen(client: FlaskClient) -> None:
    """Also where the first one is refused; neither encoding nor separator are asked for."""
    refused = preview(client)
    assert "would be rejected" in refused
    assert '<option value="说明" selected>' in refused
    assert '<option value="员工">' in refused
    chosen = preview(client, sheet="员工")
    assert '<option value="员工" selected>' in chosen
    assert "All lines were parsed." in chosen
    assert 'id="encoding"' not in refused + chosen
    assert 'id="separator"' not in refused + chosen


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_template_that_comes_back_is_understood(client: FlaskClient, get: Get, language: str) -> None:
    """The workbook for download, in both languages."""
    comes_back(client, get, language, "xlsx")
