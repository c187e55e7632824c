"""The encoding of a file: recognised where the text leaves no doubt, refused where it does, or named by the caller."""

import io
from collections import Counter
from collections.abc import Iterable

import pytest

from face_import.domain.charsets import CODECS, codec_of, name_of
from face_import.domain.reading import ReadingOptions
from face_import.errors import SourceError
from face_import.sources import ingest
from face_import.sources.encoding import Utf8Chunks
from tests.encodings import OTHERS, RECOGNISED, ROW_COUNTS, Language, file_of
from tests.unit.sources.helpers import BOUNDS, Dribble

SEEDS = range(5)


def recoded(data: bytes, encoding: str = "", step: int = 2**20) -> str:
    """A file as it is stored, read in pieces of `step` bytes."""
    return b"".join(Utf8Chunks(Dribble(data, step), 2**32, encoding)).decode()


def verdicts(languages: Iterable[Language], rows: int) -> Counter[str]:
    """How many files of a corpus are read right, refused, and read wrong; wrong ones are named in full."""
    found: Counter[str] = Counter()
    for language in languages:
        for encoding in language.encodings:
            for seed in SEEDS:
                text = language.text(rows, seed)
                try:
                    read = recoded(text.encode(encoding))
                except UnicodeError:
                    found["refused"] += 1
                else:
                    found["right" if read == text else f"{language.name} {encoding} {seed}: {read}"] += 1
    return found


@pytest.mark.parametrize("rows", ROW_COUNTS)
def test_what_has_to_be_recognised_is(rows: int) -> None:
    """Never wrong; right in 98 of 100 files from three rows on, and in most of one row."""
    found = verdicts(RECOGNISED, rows)
    assert set(found) <= {"right", "refused"}
    assert found["right"] >= found.total() * (0.98 if rows >= 3 else 0.75)


@pytest.mark.parametrize("rows", ROW_COUNTS)
def test_what_has_not_is_never_read_as_something_else(rows: int) -> None:
    """Languages whose encodings have relatives that read too much alike."""
    assert set(verdicts(OTHERS, rows)) <= {"right", "refused"}


@pytest.mark.parametrize("language", [*RECOGNISED, *OTHERS], ids=lambda language: language.name)
@pytest.mark.parametrize("rows", ROW_COUNTS)
def test_utf8_is_never_read_as_something_else(language: Language, rows: int) -> None:
    """Whatever the language, also where few characters are beyond ASCII."""
    for seed in SEEDS:
        text = language.text(rows, seed)
        assert recoded(text.encode()) == text


@pytest.mark.parametrize("language", [*RECOGNISED, *OTHERS], ids=lambda language: language.name)
@pytest.mark.parametrize("rows", ROW_COUNTS)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_needs_no_mark(language: Language, rows: int, encoding: str) -> None:
    """Whatever the header's script: there are addresses below it."""
    for seed in SEEDS:
        text = language.text(rows, seed)
        for head in ("", "照片,姓名\n", "الصورة,الاسم\n"):
            assert recoded(f"{head}{text}".encode(encoding)) == f"{head}{text}"


@pytest.mark.parametrize(
    ("encoding", "tags"),
    [
        pytest.param("gb18030", "张伟,John Smith,Mary Jones,陈静", id="Chinese with English names"),
        pytest.param("gb18030", "张伟（经理）,李娜－前台,ABC公司", id="full-width punctuation"),
        pytest.param("gb18030", "男,女,男", id="a column of genders"),
        pytest.param("gb18030", "艾力·买买提,古丽娜尔", id="names with a middle dot"),
        pytest.param("gb18030", "王喆,李赟,张堃,刘昊", id="rare characters"),
        pytest.param("cp950", "陳大文,Peter Chan,黃", id="Traditional with English names"),
        pytest.param("cp932", "佐藤,John Smith,ﾀﾅｶ", id="Japanese with half-width kana"),
        pytest.param("cp932", "ソフト,表示,能力", id="characters that end in a backslash"),
        pytest.param("euc_jp", "佐藤,田中さくら,アルバイト", id="EUC-JP"),
        pytest.param("cp949", "김(金)철수,李영희,John", id="Korean with Chinese characters"),
        pytest.param("cp949", "똠방각하,펲시맨,김철수", id="syllables that only cp949 has"),
        pytest.param("cp1252", "Jürgen Müller,Wojcik,Hans Böhm,José Muñoz,María", id="German and Spanish"),
        pytest.param("cp1252", "São,Zoë,naïve café", id="three languages"),
        pytest.param("cp1252", "“Chef” Müller,Preis 5 €,Jörg", id="quotation marks and a euro sign"),
        pytest.param("cp1252", "Müller – Köln,“Zoé”…,© 2024", id="dashes and an ellipsis"),
        pytest.param("cp1252", "C’est l’été,L’Oréal", id="apostrophes"),
        pytest.param("cp1252", "Weiß,Groß,Strauß", id="sharp s"),
        pytest.param("cp1252", "JÜRGEN MÜLLER,HANS BÖHM,FRANÇOIS", id="capitals"),
        pytest.param("cp1252", "½ Zoll,Größe ×2", id="signs"),
        pytest.param("cp1252", "Štefan Müller,Žižek,Jörg", id="Slovene letters that cp1252 has"),
        pytest.param("utf-8", "25 °C,5 m²,§ 5", id="signs in UTF-8"),
        pytest.param("utf-8", "М,Ж", id="two characters in UTF-8"),
        pytest.param("utf-8", "張偉,José,Łukasz,Иван", id="many languages in UTF-8"),
    ],
)
@pytest.mark.parametrize("step", [1, 2**20], ids=["dribbling", "at once"])
def test_mixed_columns_are_recognised(encoding: str, tags: str, step: int) -> None:
    """Names of other languages, punctuation and signs do not mislead."""
    text = file_of(tags.split(","))
    assert recoded(text.encode(encoding), step=step) == text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(file_of(["女"]).encode("gbk"), '"女" (GB18030) or "Ů" (UTF-8)', id="one character"),
        pytest.param(file_of(["Weiß"]).encode("cp1252"), '"Weiß" (Windows-1252) or "Weiί"', id="one letter"),
        pytest.param(file_of(["Müller", "Böhm", "Dvořák"]).encode("cp1250"), "(Windows-1250)", id="one Czech name"),
        pytest.param(file_of(["Müller", "Ayşe"]).encode("cp1254"), '"Ayşe" (Windows-1254)', id="one Turkish name"),
        pytest.param(file_of(["Müller", "5 €"]).encode("iso8859_15"), "(ISO-8859-15)", id="Latin-9"),
        pytest.param(file_of(["José Muñoz", "María"]).encode("cp850"), "(IBM850)", id="DOS"),
        pytest.param(b"a,\xff\xfe\x81\x20\n", "makes sense", id="no text at all"),
    ],
)
def test_doubt_is_refused_with_the_readings_and_what_to_do(data: bytes, words: str) -> None:
    """The message shows what the word may be, and how to settle it."""
    with pytest.raises(SourceError) as caught:
        ingest(io.BytesIO(data), io.BytesIO(), BOUNDS)
    assert words in str(caught.value)
    assert 'save the file as "CSV UTF-8"' in str(caught.value)
    assert caught.value.line


def test_a_file_in_two_encodings_names_the_line_of_the_second() -> None:
    """UTF-8 with a line appended by another program."""
    data = file_of(["Jürgen Müller", "François Lefèvre", "Zoë"]).encode() + "http://host/4.jpg,Böhm\n".encode("cp1252")
    with pytest.raises(SourceError, match="not valid UTF-8") as caught:
        ingest(io.BytesIO(data), io.BytesIO(), BOUNDS)
    assert caught.value.line == 4


@pytest.mark.parametrize("step", [1, 2**20], ids=["dribbling", "at once"])
def test_the_line_of_the_first_doubtful_character_is_named(step: int) -> None:
    """Lines end in any of three ways."""
    with pytest.raises(SourceError) as caught:
        ingest(Dribble(b"http://h\r\nb\rc\n" + "Weiß".encode("cp1252"), step), io.BytesIO(), BOUNDS)
    assert caught.value.line == 4


@pytest.mark.parametrize("codec", CODECS)
def test_a_named_encoding_is_obeyed(codec: str) -> None:
    """Under the name that is shown for it; what is recognised does not matter."""
    letter = next(char for char in "éαдאبก한あ一" if is_encodable(char, codec))
    text = f"http://host/1.jpg,{letter}\n"
    assert recoded(text.encode(codec), name_of(codec)) == text
    assert codec_of(codec) == codec


def is_encodable(char: str, codec: str) -> bool:
    """Whether an encoding has a character."""
    try:
        char.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "text", "written"),
    [
        pytest.param("latin-1", "“5 €”", "cp1252", id="latin-1 is windows-1252"),
        pytest.param("ISO_8859-1", "“5 €”", "cp1252", id="in any spelling"),
        pytest.param("gb2312", "喆㐂", "gb18030", id="gb2312 is gb18030"),
        pytest.param(" GBK ", "喆㐂", "gb18030", id="gbk is gb18030"),
        pytest.param("big5", "€", "cp950", id="big5 is that of Windows"),
        pytest.param("Shift_JIS", "髙﨑①", "cp932", id="shift-jis is that of Windows"),
        pytest.param("EUC-KR", "똠방", "cp949", id="euc-kr is cp949"),
        pytest.param("utf-16", "é", "utf-16", id="utf-16 with a mark"),
        pytest.param("utf-8", "é", "utf-8-sig", id="a mark that agrees"),
    ],
)
def test_names_mean_what_browsers_take_them_for(name: str, text: str, written: str) -> None:
    """A standard's name is its Windows superset."""
    assert recoded(f"http://host,{text}\n".encode(written), name) == f"http://host,{text}\n"


def test_an_unknown_name_lists_those_accepted() -> None:
    """Before the file is read."""
    with pytest.raises(SourceError, match=r"unknown encoding 'klingon'; accepted are UTF-8, .*Windows-1252"):
        recoded(b"a", "klingon")


@pytest.mark.parametrize(
    ("encoding", "data", "message", "line"),
    [
        pytest.param("utf-8", b"http://h,a\nhttp://h,\xe9\n", "not valid UTF-8", 2, id="utf-8"),
        pytest.param("windows-1253", b"http://h,a\nhttp://h,\xd2\n", "not valid", 2, id="a code page"),
        pytest.param("shift-jis", b"http://h,a\n\nhttp://h,\x81 \n", "not valid", 3, id="shift-jis"),
        pytest.param("gbk", b"\xef\xbb\xbfhttp://h,a\n", "byte order mark of UTF-8", None, id="another mark"),
        pytest.param("utf-16", b"http://h,a\n", "UTF-16-LE or UTF-16-BE", None, id="utf-16 without a mark"),
    ],
)
def test_a_named_encoding_that_cannot_be_right_is_refused(
    encoding: str, data: bytes, message: str, line: int | None
) -> None:
    """With the line of the first bad byte."""
    with pytest.raises(SourceError, match=message) as caught:
        ingest(io.BytesIO(data), io.BytesIO(), BOUNDS, ReadingOptions(encoding=encoding))
    assert caught.value.line == line
