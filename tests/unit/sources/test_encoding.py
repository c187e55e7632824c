"""Which encoding a file is read in: what is recognised, what is named by the caller, and what is refused."""

import codecs
import io
import re
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from face_import.errors import SourceError
from face_import.sources.encoding import Utf8Chunks
from face_import.sources.sample import Sample
from tests.unit.sources.helpers import Dribble
from tests.unit.sources.names import EASTERN, HALF_WIDTH, OTHERS, WESTERN, rows

MOST = 2**30


def read(data: bytes, encoding: str = "", step: int = 2**20) -> tuple[str, str]:
    """What a file says, and the codec it was read in."""
    chunks = Utf8Chunks(Dribble(data, step), MOST, encoding)
    return b"".join(chunks).decode(), chunks.encoding


def refusal(data: bytes) -> SourceError | None:
    """The error that a file is refused with, if it is."""
    try:
        read(data)
    except SourceError as error:
        return error
    return None


@pytest.mark.parametrize("count", [2, 3, 5, 10, 50, 5000])
@pytest.mark.parametrize("language", WESTERN)
def test_western_names_are_windows_1252(language: str, count: int) -> None:
    """Two rows of names are enough, and a whole file reads as it was written."""
    text = rows(WESTERN[language], count)
    assert read(text.encode("cp1252")) == (text, "cp1252")


@pytest.mark.parametrize("count", [2, 3, 5, 10, 50, 5000])
@pytest.mark.parametrize("codec", EASTERN)
def test_eastern_names_are_read_in_their_encoding(codec: str, count: int) -> None:
    """Two rows of names are enough: GB 18030, Big5, Shift-JIS and EUC-KR share most of their bytes."""
    text = rows(EASTERN[codec], count)
    assert read(text.encode(codec)) == (text, {"big5": "cp950"}.get(codec, codec))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_half_width_katakana_is_shift_jis(count: int) -> None:
    """Katakana of one byte each, as old Japanese systems write names."""
    text = rows(HALF_WIDTH, count)
    assert read(text.encode("cp932")) == (text, "cp932")


@pytest.mark.parametrize("count", [1, 2, 3, 10, 50])
@pytest.mark.parametrize(("codec", "names"), [(codec, part) for codec in OTHERS for part in OTHERS[codec].split("|")])
def test_other_encodings_are_refused_or_read_as_they_are(codec: str, names: str, count: int) -> None:
    """What has relatives that read alike is never taken for another encoding; from three rows on it is refused."""
    text = rows(names, count)
    data = text.encode(codec)
    if error := refusal(data):
        assert error.line == 2
        assert 'save the file as "CSV UTF-8"' in str(error)
        assert "\n" not in str(error)
    else:
        assert read(data)[0] == text
        assert count < 3


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize(
    ("codec", "names"),
    [*(("cp1252", names) for names in WESTERN.values()), *EASTERN.items(), ("cp932", HALF_WIDTH)],
)
def test_no_single_row_is_read_as_something_else(codec: str, names: str, count: int) -> None:
    """Each row by itself is read as it was written, or refused."""
    for name in names.split(";"):
        text = rows(name, count)
        data = text.encode(codec)
        assert refusal(data) or read(data)[0] == text


@pytest.mark.parametrize("name", ["男", "张伟\n陶喆", "𠮷田\n女士", "A座张三\nB座李四"])
def test_few_chinese_characters_are_enough(name: str) -> None:
    """A column that says 男, a rare character, one of four bytes, letters beside characters."""
    assert read(f"a,{name}\n".encode("gb18030")) == (f"a,{name}\n", "gb18030")


@pytest.mark.parametrize("text", ["é", "José", "Ελένη", "Иван", "שרה", "a\u0301", "女", "さ", "김", "😀", "Հայ"])
def test_few_characters_of_utf8_are_enough(text: str) -> None:
    """One valid character or two are UTF-8, unless they would be a word in another encoding."""
    assert read(f"a,{text}\n".encode()) == (f"a,{text}\n", "utf-8")


@pytest.mark.parametrize(
    ("name", "codec"), [("Löffler", "mac_roman"), ("Véronique", "mac_roman"), ("György", "mac_latin2")]
)
def test_a_name_of_an_old_mac_is_not_read_as_windows_1252(name: str, codec: str) -> None:
    """A single ö of a Mac is š in Windows-1252, which Czech names have: one word does not decide that."""
    with pytest.raises(SourceError, match="cannot be told"):
        read(f"a,{name}\n".encode(codec))


def test_what_may_be_two_things_is_refused_with_both() -> None:
    """女 in GBK is Ů in UTF-8; who sent the file can tell which."""
    refused = r'line 2: .*"女" \(gb18030\) or "Ů" \(utf-8\); save the file as .*, or name its encoding'
    with pytest.raises(SourceError, match=refused):
        read("a,b\na,女\n".encode("gb18030"))


def test_a_refusal_names_the_encoding_to_give() -> None:
    """What is recognised but not chosen can be forced by the name in the message."""
    text = rows(OTHERS["cp1250"], 5)
    with pytest.raises(SourceError, match=r"\(windows-1250\)"):
        read(text.encode("cp1250"))
    assert read(text.encode("cp1250"), "windows-1250") == (text, "cp1250")


@pytest.mark.parametrize("other", ["gb18030", "cp1252"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_file_in_two_encodings_is_passed_on_as_utf8(other: str, is_first: bool) -> None:
    """So the first line that is not UTF-8 is named, instead of other characters being stored."""
    old = "".join(f"a,{name}\n" for name in ("Müller", "Böhm", "Noël") * 3).encode("cp1252")
    if other == "gb18030":
        old = "a,张伟\nb,王芳\nc,李娜\n".encode("gb18030")
    new = "d,刘洋\ne,陈静\nf,José\n".encode()
    data = old + new if is_first else new + old
    chunks = Utf8Chunks(io.BytesIO(data), MOST)
    assert b"".join(chunks) == data
    assert chunks.encoding == "utf-8"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("utf-8", "utf-8"), ("UTF8", "utf-8"), ("gbk", "gb18030"), ("GB2312", "gb18030"), ("gb18030", "gb18030"),
        ("windows-1252", "cp1252"), ("cp1252", "cp1252"), ("Latin-1", "cp1252"), ("ISO_8859-1", "cp1252"),
        ("iso-8859-15", "iso8859_15"), ("big5", "cp950"), ("cp950", "cp950"), ("Shift_JIS", "cp932"),
        ("cp932", "cp932"), ("euc-kr", "cp949"), ("cp949", "cp949"), (" utf-16-le ", "utf-16-le"),
    ],
)  # fmt: skip
def test_an_encoding_can_be_forced_by_the_names_in_use(name: str, codec: str) -> None:
    """The caller's word holds, also where the bytes look like another encoding."""
    text = "a,b\nc,\u4e00\n" if codec in {"gb18030", "cp950", "cp932", "cp949"} else "a,b\nc,é\n"
    if codec.startswith("utf"):
        text = "a,b\nc,女é\n"
    assert read(text.encode(codec), name) == (text, codec)


@pytest.mark.parametrize("name", ["klingon", "utf-7", "base64", "rot13", "idna", "utf-32", "../etc"])
def test_an_unknown_encoding_is_refused_with_those_accepted(name: str) -> None:
    """Also what Python knows but no file of text is in."""
    with pytest.raises(SourceError, match=f"unknown encoding '{re.escape(name)}'; accepted are utf-8, .*shift-jis"):
        Utf8Chunks(io.BytesIO(b"a"), MOST, name)


@pytest.mark.parametrize(
    ("mark", "name", "marked"),
    [
        (codecs.BOM_UTF8, "gbk", "utf-8"),
        (codecs.BOM_UTF16_LE, "windows-1252", "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-le", "utf-16-be"),
        (codecs.BOM_UTF8, "utf-16", "utf-8"),
    ],
)
def test_a_mark_that_contradicts_is_refused(mark: bytes, name: str, marked: str) -> None:
    """One of the two is wrong, and either choice might give another text."""
    with pytest.raises(SourceError, match=f"mark of {marked}, but .* given as"):
        read(mark + b"a,b\n", name)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_a_mark_that_agrees_is_left_out(codec: str) -> None:
    """Naming the encoding of a file with a mark changes nothing."""
    text = "a,女\n"
    assert read(text.encode(codec), codec)[0] == text


def test_utf16_without_any_sign_has_to_name_its_order() -> None:
    """Chinese text without ASCII shows neither."""
    with pytest.raises(SourceError, match="name utf-16-le or utf-16-be"):
        read("张伟李娜".encode("utf-16-le"), "utf-16")


def test_bytes_that_the_forced_encoding_does_not_have_come_after_the_text_before() -> None:
    """The line is counted from what was passed on, and the error has the encoding's name."""
    chunks = iter(Utf8Chunks(io.BytesIO(b"a,b\nc,\xfc\nd,\x81\n"), MOST, "windows-1252"))
    passed = next(chunks)
    with pytest.raises(UnicodeDecodeError) as caught:
        next(chunks)
    assert (passed.decode(), caught.value.encoding) == ("a,b\nc,ü\nd,", "cp1252")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_read_or_refused(data: bytes, step: int) -> None:
    """Whatever is sent, the answer is text or an error, and the same however it arrives."""

    def outcome(step: int) -> object:
        try:
            return read(data, step=step)
        except (SourceError, UnicodeDecodeError) as error:
            return type(error)

    assert outcome(step) == outcome(2**20)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(list(WESTERN)), min_size=1, max_size=3), st.integers(1, 40))
def test_mixed_western_names_are_never_misread(languages: list[str], count: int) -> None:
    """A file of several languages reads as it was written, or is refused."""
    cells = [cell for language in languages for cell in WESTERN[language].split(";")]
    text = "".join(f"u,{cells[(n * 7) % len(cells)]}\n" for n in range(count))
    error = refusal(text.encode("cp1252"))
    assert not error or count < 3, error
    assert error or read(text.encode("cp1252"))[0] == text


def test_a_sample_is_small_whatever_the_file() -> None:
    """Megabytes of ASCII, a word without end and many different words leave some kilobytes."""

    def chunks() -> Iterator[bytes]:
        yield from [b"http://host/1.jpg,tag\n" * 3000] * 50
        yield from ["人".encode("gb18030") * 30_000] * 50
        for n in range(50):
            yield b"".join(b"\n%d\xfc" % (n * 1000 + k) for k in range(1000))

    sample = Sample()
    tracemalloc.start()
    try:
        for chunk in chunks():
            sample.add(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sample.is_full
    assert sum(map(len, sample.words())) < 2**14 + 2**7
    assert peak < 2**21


def test_a_word_across_chunks_is_one_word() -> None:
    """However the stream is cut, the same words are collected."""
    data = "http://x/1.jpg,Jürgen Müller,Ge".encode("cp1252") + b"\xfc" * 100 + b",x\n"
    found = set()
    for step in (1, 3, 7, 1000):
        sample = Sample()
        for at in range(0, len(data), step):
            sample.add(data[at : at + step])
        found.add(sample.words())
    assert found == {("Jürgen".encode("cp1252"), "Müller".encode("cp1252"), b"Ge" + b"\xfc" * 62)}
