"""Messages of rows, files and ends of imports in Chinese, told by the English texts that the code makes."""

import ast
import html
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import face_import
from face_console import messages
from face_console.language import chinese
from face_console.messages import translated
from face_import.catalogue import Catalogue
from face_import.contract import Code
from face_import.domain.models import Outcome
from face_import.settings import Settings
from tests.conftest import MakeTask
from tests.unit.api.test_results import run
from tests.unit.console.conftest import Create, Get, MakeApp

ROOT = Path(face_import.__file__).parent
MAKE_MESSAGES = (
    *("clients/*.py", "domain/*.py", "pipeline/*.py", "sources/*.py", "catalogue/*.py"),
    *("callbacks.py", "control.py", "keeper.py", "results.py", "space.py", "undo.py", "orchestration/dag/tasks.py"),
)
FOR_OTHERS = {
    "clients/airflow.py": "Airflow's refusals",
    "clients/hosts.py": "settings",
    "catalogue/engine.py": "SQL",
    "catalogue/schema.py": "SQL",
    "domain/guard.py": "titles, of which test_language has the Chinese",
    "domain/models.py": "titles",
    "domain/notes.py": "Airflow's notes",
    "domain/recurring.py": "entries of recurring imports",
    "sources/headers.py": "titles of columns",
}
"""Modules whose texts no page of an import shows."""
NOT_SHOWN = {
    "ConfigError",
    "InvalidRequest",
    "KeyReused",
    "LeaseLost",
    "Removed",
    "TaskNotFound",
    "TaskStopped",
    "ShardWaits",
    "TypeVar",
    "ValueError",
    "_refusal",
    "getLogger",
    "cast",
}
"""What is called with texts that no page of an import shows; log lines are another matter, too."""
SAID = {"self._name": "info service"}
FOREIGN = {
    *(f"{status} %(phrase)s" for status in (400, 401, 403, 404, 410, 429, 500, 502, 503, 504)),
    "Connect call failed %(address)s",
    *("Connection refused", "Connection reset by peer", "Connection timed out", "Network is unreachable"),
    *("No route to host", "No such file or directory", "Permission denied", "certificate has expired"),
    *("self-signed certificate", "self-signed certificate in certificate chain"),
    "unable to get local issuer certificate",
}
"""Made by others: HTTP, the operating system, Python, OpenSSL."""
WORDS = re.compile(r"[A-Za-z]{2}.* |[ ].*[A-Za-z]{2}", re.DOTALL)


class _Texts(ast.NodeVisitor):
    """Collects the texts of a module; what is filled in is a number or, if it is a constant, that."""

    def __init__(self, path: Path) -> None:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        self._module = importlib.import_module(f"face_import.{name}")
        self.found: set[str] = set()
        self.visit(ast.parse(path.read_text()))

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        if name not in NOT_SHOWN and not name.startswith(("log.", "re.")):
            self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self.found.add("".join(self._part(part) for part in node.values))

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.found.add(node.value)

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        assert isinstance(part, ast.FormattedValue)
        source = ast.unparse(part.value)
        value = getattr(self._module, source, None) if source.isidentifier() else None
        return SAID.get(source) or (value if isinstance(value, str) else "7")


def texts() -> Iterator[tuple[str, str]]:
    """Each text of the modules that make messages, with the module."""
    for pattern in MAKE_MESSAGES:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if name not in FOR_OTHERS:
                yield from ((name, text) for text in sorted(_Texts(path).found))


NO_MESSAGES = {
    *("the library does not search, or finds too many", "not under this id", "(not a URL)", "already exist"),
    *("the very image, under this id, with these labels", "undo of 7", "too big"),
    *("the very image, under this id, with another tag or description", "Multiple exceptions: "),
    *("info service", "library service", "7… (7 bytes, sha256 7)", "data:… (7 characters)", "… and 7 more"),
    *("a workbook could not be read", "the stored source has no row 7", "the stored source lacks 7 rows"),
    *("shard 7 of the stored source has 7 rows, not 7", "rows 7-7", "7 (rows 7-7)", "task 7 is not running"),
    *("Shards of import 7 at once; 0 pauses it", "Airflow asked this process to end", "workbook sheet=7"),
    *("completed with 7 failure7", "the import is 7 (7), and fail_on_errors is set; all other rows are imported"),
    *("encoding=7 separator=7 header=7 columns=7 ignored=7", "Basic 7", "CJK UNIFIED", " and 7 more hosts"),
    *("catalogue unavailable error=7", "_Connection | None", "Sequence[tuple[T, asyncio.Future[R]]]"),
}
"""Texts for logs, Airflow and other programs, and types."""
CODE = re.compile(r"\\[bW]|^\{\"|\r\n|^\[Errno")
"""Patterns, bodies of requests."""
FILLED_IN = {
    *(" of 7", "7 MB", "7 kB", "7 bytes", "7 MiB", "7 (FACE_IMPORT_MIN_FREE_BYTES)"),
    *(" or ", " and ", " and 7 more", "7 (row 1: 7)", "7 to 7", "TIFF 7", "id 7"),
}
"""Sizes, names and lists of them, which stay as they are."""
PARTS = {
    ": behind a login": "401 Unauthorized: behind a login",
    ": no image in it": "204 No Content: no image in it",
    ": no image so far": "202 Accepted: no image so far",
    "7, not an image7": "XML, not an image",
    ": is it behind a login?": "a web page, not an image: is it behind a login?",
    "without a tag": "p-1 (without a tag), 0.7123",
    "7 of 7 rows failed (7), at most 7 allowed": "5 of 7 rows failed (101: 5), at most 1 is allowed; over 9",
    "row 7 of ": "row 5 of the file",
    "the file": "row 5 of the file",
    "import 7": "row 5 of import En14GRbIt7tn",
    "the group has a face with id 7 already; 7 7": (
        "the group has a face with id 'a' already; row 5 of the file added it"
    ),
    "added it": "the group has a face with id 'a' already; row 5 of import En14GRbIt7tn added it",
    "was adding it too: it may be ours": (
        "the group has a face with id 'a' already; row 5 of the file was adding it too: it may be ours"
    ),
    "the cell has exactly 7 characters: Excel cuts cells off at that limit": (
        "damaged base64: characters are missing at its end; "
        "the cell has exactly 32,767 characters: Excel cuts cells off at that limit"
    ),
    "the query has &amp; where & is meant: the URL was copied from HTML": (
        "403 Forbidden; the query has &amp; where & is meant: the URL was copied from HTML"
    ),
    "; a data URI contains a comma and must be quoted": (
        "5 cells for 3 columns; a data URI contains a comma and must be quoted (line 7)"
    ),
    "one under 7": "ftp://a is not allowed; a source must be an http:// or https:// URL or one under s3://b/",
    "an http:// or https:// URL": "an http:// or https:// URL or one under s3://b/",
    ", and likewise the tag, description and id": (
        "column 1 has no URI in the first 3 rows; row 1 has 'a'. column 2 has URIs: "
        'say which with columns={"uri": 2}, and likewise the tag, description and id'
    ),
    "7 without titles": "columns: there is no column 9 for id; the file has 3 without titles",
    "no header": "no column is known to have the URIs (no header)",
    "say which with ": (
        "column 1 ('photo') and column 2 ('image') may all be the uri: "
        'say which with columns={"uri": "photo"} or columns={"uri": "image"}'
    ),
    "add a header, or 7 and so on": (
        "row 2 has 5 cells for 3 columns, like most of the rows, which are uri, tag and description if there is no "
        'header: add a header, or say which with columns={"uri": 4} and so on'
    ),
    'if it is a header, say which column is which by title: columns={"uri": 7} and so on; '
    'if it is a row, by number: columns={"uri": 1, "tag": 2, "description": 3}': (
        "the first row has no URI and no known column name ('pic x'): if it is a header, say which column is which by "
        'title: columns={"uri": "pic x"} and so on; if it is a row, by number: columns={"uri": 1}'
    ),
    "an old workbook or another old Microsoft Office file; save it as .xlsx or CSV": (
        "this is an old workbook or another old Microsoft Office file; save it as .xlsx or CSV"
    ),
    "this is neither a CSV file nor an Excel workbook but": (
        "this is neither a CSV file nor an Excel workbook but a Word document"
    ),
    "sheet 7 is empty7": 'sheet "Tabelle 1" is empty',
    "; the workbook also has 7, name the one to read as its sheet": (
        'sheet "1" is empty; the workbook also has "2", "3" and 7 more, name the one to read as its sheet'
    ),
    "; this is sheet 77": 'the file has no rows below its header; this is sheet "2"',
    "the database rejected the row's outcome7: 7": "the database rejected the row's outcome: x",
    " (it was added as 7)": "the database rejected the row's outcome (it was added as a-1): x",
    "7 row7": "a retry of 12 rows was cut short; start the task to import those that it reopened, or retry again",
    "7 of the import's shards 7: 7": "3 of the import's shards did not finish: 1, 2, 5",
    "did not finish": "3 of the import's shards did not finish: 1, 2, 5",
    "{were} set to success in Airflow before all rows were handled": (
        "1 of the import's shards was set to success in Airflow before all rows were handled: 4"
    ),
    "{were} skipped in Airflow": "2 of the import's shards were skipped in Airflow: 1, 2",
    "{were} deleted in Airflow": "2 of the import's shards were deleted in Airflow: 1, 2",
    "7; 7start the task again to import these rows": (
        "2 of the import's shards were deleted in Airflow: 1, 2; start the task again to import these rows"
    ),
    "see their logs in Airflow's run 7, then ": (
        "3 of the import's shards did not finish: 1, 2, 5; see their logs in Airflow's run En14GRbIt7tn, then start "
        "the task again to import these rows"
    ),
}
"""Texts that are parts of messages, each with a message that has it."""
MORE = {
    *("TIFF strip of 9x9 pixels takes 5 bytes to decode, more than 3", "timed out after 30 s: 5 kB of 1.2 MB came"),
    *("info service: no connection (Connection refused)", "no connection (Connection refused)", "no answer (x)"),
    *("answer is not JSON: <html>", "it does not say that it has added the face: 'None'", "line 7", "12 rows", "1 row"),
    *("row 7 of the sheet", "5 cells for 3 columns (row 7 of the sheet)", "line 7: the file has no rows"),
    *(
        "it is cut off, pixels are missing at its end",
        "cut off within a TIFF directory",
        "row ? of the file has the same uri",
    ),
    *("no face found; an earlier try may have added it as 'a'", "rows are retried after it has ended", "no such file"),
    *("it can be undone after it has ended", "columns: 2 columns have the title 'a'; give the number instead"),
    *("column 1 and column 2 ('b')", "column 1 ('photo') and column 2 ('image')", "is it behind a login?"),
    *('sheet "1" is empty; this is sheet "1"; the workbook also has "2", name the one to read as its sheet',),
}
"""Further messages that are put together, or are parts of others."""


def _is_for_pages(text: str) -> bool:
    return bool(WORDS.search(text)) and not CODE.search(text) and text not in NO_MESSAGES | FILLED_IN


def test_every_message_has_its_chinese() -> None:
    """A new one needs a text in locale/zh-messages.po, or a whole message in `PARTS` if it is part of one."""
    missing = {(name, text) for name, text in texts() if _is_for_pages(text) and not _is_known(text)}
    assert missing == set()


def _is_known(text: str) -> bool:
    return any(text.startswith(part) for part in PARTS) or messages._in_chinese(text) != text


@pytest.mark.parametrize("message", sorted({*PARTS.values(), *MORE}))
def test_messages_that_are_put_together_are_chinese_in_all_parts(message: str) -> None:
    """No two English words in succession are left, but in what a file or somebody else says."""
    shown = messages._in_chinese(message)
    assert shown != message
    assert not re.search(r"[a-z]{2,} [a-z]{2,}", re.sub(r"columns=.*|\".*\"", "", shown)), shown


def test_nothing_is_left_over() -> None:
    """Each kind of message is made by the code, by others, or is part of one that is."""
    made = {text for _, text in texts()} | set(PARTS.values()) | MORE
    for english in chinese(messages.CATALOGUE):
        form = messages._pattern(english)
        assert english in FOREIGN or any(form.fullmatch(text) for text in made), english


@pytest.mark.parametrize(
    ("english", "shown"),
    [
        ("pitch -35.2° exceeds 30°", "俯仰角 -35.2°，超过 30°"),
        ("no address for host photos.example", "查不到主机 photos.example 的地址"),
        ("404 Not Found", "404 Not Found（网址上没有该内容）"),
        ("info service: license expired; renew it", "人脸信息服务：license expired; renew it"),
        ("looks like p-2 (text), 0.7123", "很像 p-2 (text), 0.7123"),
        (
            "row 5: https://x/y: 101 timed out after 3 s: 5 kB came",
            "第 5 行：https://x/y：错误码 101，3 秒后超时：只收到 5 kB",
        ),
        ("quota exceeded for this key", "quota exceeded for this key"),
        ("100 % of nothing", "100 % of nothing"),
        ("", ""),
    ],
)
def test_values_stay_and_unknown_messages_too(make_app: MakeApp, settings: Settings, english: str, shown: str) -> None:
    """What a service, a file or a person has written is not translated."""
    app = make_app(settings)
    with app.test_request_context(headers={"Accept-Language": "zh"}):
        assert translated(english) == shown
    with app.test_request_context(headers={"Accept-Language": "en"}):
        assert translated(english) == english


def test_messages_are_looked_up_in_one_another_but_not_without_end() -> None:
    """A hostile text can neither keep a page busy nor exhaust the stack."""
    nested, deeper = messages._DEEPEST + 1, 20
    assert messages._in_chinese("line 1: " * nested + "x") == "文本第 1 行：" * nested + "x"
    left = "line 1: " * deeper + "x" + " (line 1)" * deeper
    before = messages._in_chinese.cache_info().misses
    assert messages._in_chinese(f"204 a; it may be ours, {left}: no image in it") != left
    assert messages._in_chinese.cache_info().misses - before < 100
    ending = ": the file has no rows"
    assert messages._in_chinese(f"line 1{ending}") == "文本第 1 行：文件中没有行"
    long = f"line {'1' * messages._LONGEST}{ending}"
    assert messages._in_chinese(long) == long


def test_pages_show_the_messages_in_the_readers_language(
    create: Create, get: Get, catalogue: Catalogue, settings: Settings
) -> None:
    """The log and all rows of an import, and why it stopped; the API's log and the CSV file stay as they are."""
    task_id = create(b"https://x/1.jpg,Ann\nhttps://x/2.jpg,Bob\n").get_json()["id"]
    run(catalogue, settings, task_id, [Outcome(1, "", Code.URI_UNREACHABLE, "more than 20 redirects")])
    catalogue.tasks.halt(task_id, "Face import was restarted while this import was running; start it to resume")
    page, rows = get(f"/tasks/{task_id}", language="zh"), get(f"/tasks/{task_id}/rows", language="zh")
    assert "重定向超过 20 次" in page
    assert "导入任务运行期间系统被重新启动；请启动以继续" in page
    assert "重定向超过 20 次" in rows
    assert "more than 20 redirects" in get(f"/tasks/{task_id}")
    for path in (f"/v1/tasks/{task_id}/log", f"/tasks/{task_id}/log.csv"):
        assert "more than 20 redirects" in get(path, language="zh")


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        (b"photo,image\nhttps://x/1.jpg,https://x/2.jpg\n", "第 1 列（'photo'）和第 2 列（'image'）都可能是"),
        (b"http://h/a,b;Werk 1, Halle 2\n", "请选择分隔符，或在第一行写明，例如 sep=,"),
        (b"\x89PNG\r\n\x1a\n", "这不是 CSV 文件，而是PNG 图片"),
        (b"uri,tag\nhttps://x/1.jpg,Ann\nhttps://x/2.jpg,Bob,x\n", "只有 2 列，却有 3 个单元格（文本第 3 行）"),
    ],
)
def test_the_preview_says_it_in_chinese(client: FlaskClient, file: bytes, shown: str) -> None:
    """Why a file or a row of it cannot be read."""
    answer = client.post(
        "/new/preview", data={"file": (io.BytesIO(file), "people.csv")}, headers={"Accept-Language": "zh"}
    )
    assert shown in html.unescape(answer.text)


def test_a_refused_action_says_why_in_chinese(client: FlaskClient, make_task: MakeTask) -> None:
    """The API's own words for a wrong state."""
    task = make_task(running=True)
    answer = client.post(f"/tasks/{task.id}/start", headers={"Accept-Language": "zh"})
    assert answer.status_code == 409
    assert f"导入任务 {task.id} 正在运行，不能启动" in answer.text
