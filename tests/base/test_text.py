"""Text in columns of a terminal, shortened, counted; names that tell paths apart."""

import pytest

from mlp_tf.base.text import columns, plural, printable, short_names, shorten


@pytest.mark.parametrize(
    "text", ["", "a b", "東京\u3000駅", "\u0645\u200c\u062e", "👩\u200d🔬", "10\u00a0000", "é\u0301\ufeff"]
)
def test_text_of_any_language_is_printed_as_it_is(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"), ("\x9b\x7f\0", r"\x9b\x7f\x00"), ("a\r\n\tb", r"a\r\n\tb"), ("\udcff", r"\udcff"),
        ("\u202eevil", r"\u202eevil"), ("\u2066\u200f", r"\u2066\u200f"), ("a\u2028b", r"a\u2028b"),
    ],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_escaped(text, escaped):
    assert printable(text) == escaped
    assert printable(text, keep=text) == text


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("数字", 4), ("é", 1), ("e\u0301", 1), ("\uff41", 2)])
def test_wide_characters_take_two_columns_and_accents_none(text, width):
    assert columns(text) == width


@pytest.mark.parametrize(
    ("text", "most", "shortened"),
    [
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghij", 9, "abc...hij"),
        ("abcdefghij", 4, "a..."),
        ("abcdefghij", 3, "..."),
        ("三百四十五", 10, "三百四十五"),
        ("三百四十五", 9, "三...五"),
    ],
)
def test_a_long_text_keeps_its_beginning_and_its_end(text, most, shortened):
    assert shorten(text, most) == shortened
    assert columns(shortened) <= most


def test_a_count_has_its_noun():
    assert [plural(n, "run") for n in (0, 1, 2, 10_000)] == ["0 runs", "1 run", "2 runs", "10,000 runs"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/a", "/y/b"], ["a", "b"]),
        (["/x/a", "/x/a"], ["a", "a"]),
        (["/x/a/run", "/x/b/run", "/x/c"], ["a/run", "b/run", "c"]),
        (["/x/run", "/x/run/run"], ["run", "run/run"]),
        (["."], ["here"]),
    ],
)
def test_paths_have_short_names_that_tell_them_apart(paths, names, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert short_names(paths) == names
