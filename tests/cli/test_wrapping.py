"""Lines break between words; long names break at hyphens, and nothing is lost."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given
from rich.cells import cell_len

from harness.wrapping import wrapped


def test_lines_break_between_words_and_keep_blanks_within() -> None:
    assert wrapped("logic 0.267  legal 0.350", 12) == ["logic 0.267", "legal 0.350"]
    assert wrapped("logic  0.267 legal", 12) == ["logic  0.267", "legal"]
    assert wrapped("", 5) == [""]


def test_a_long_name_breaks_at_a_hyphen_and_a_number_never_at_its_point() -> None:
    assert wrapped("Qwen3-0.6B-Base-text", 12) == ["Qwen3-0.6B-", "Base-text"]
    assert wrapped("in /data/runs/a_b", 8) == ["in", "/data/", "runs/a_b"]
    assert wrapped("in /data/runs/a_b", 8, whole_words=True) == ["in", "/data/runs/a_b"]


@given(text=st.text("ab-_/ \u4e2d", max_size=60), width=st.integers(2, 40))
def test_no_letter_is_lost_and_no_line_is_too_long(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(cell_len(line) <= width for line in lines)
