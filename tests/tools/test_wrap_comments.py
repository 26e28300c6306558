"""tools/wrap_comments.py wraps what is too wide and leaves pictures and code alone."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from wrap_comments import wrap  # noqa: E402

WORDS = " ".join(["word"] * 25)  # 124 columns


def widths(text):
    return [len(line) for line in text.split("\n")]


def words(text):
    return text.replace("//", "").split()


def test_a_wide_line_flows_into_the_prose_that_follows():
    text = f"  // {WORDS}\n  // and then more.\nint a;"
    wrapped = wrap(text)
    assert max(widths(wrapped)) <= 100 and words(wrapped) == words(text)
    assert wrapped.split("\n")[1].endswith("word and then more.")


def test_a_picture_after_a_wide_line_stays():
    picture = "//   a  --->  b"
    assert wrap(f"// {WORDS}\n{picture}").split("\n")[-1] == picture


def test_text_after_a_label_hangs_under_its_first_word():
    first, second = wrap(f"// Threads: {WORDS}").split("\n")
    assert first.startswith("// Threads: word") and second.startswith("//          word")


def test_what_fits_and_what_is_code_stays():
    text = f"// short\nint a = f({WORDS});\n//\n// " + "x" * 120
    assert wrap(text) == text


def test_wrapping_twice_changes_nothing_more():
    once = wrap(f"// {WORDS} {WORDS}\n// tail\n// Cost:    {WORDS}\n")
    assert max(widths(once)) <= 100 and wrap(once) == once
