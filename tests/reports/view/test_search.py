"""Words that a reader types become a query that finds them, whatever characters they hold."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.reports.view.search import fts_query, searchable

TEXTS = {
    1: "Light energy drives photosynthesis.",
    2: "Energy of light",
    3: "这个逻辑题目很难",
    4: 'He said "stop" AND left (NOT right)',
}


@pytest.fixture(scope="module")
def texts() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:", check_same_thread=False)
    database.execute("CREATE VIRTUAL TABLE words USING fts5(body, content='', tokenize='unicode61')")
    for number, text in TEXTS.items():
        database.execute("INSERT INTO words (rowid, body) VALUES (?, ?)", (number, searchable(text)))
    return database


def found(database: sqlite3.Connection, words: str) -> list[int]:
    rows = database.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", (fts_query(words),))
    return [number for (number,) in rows]


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("light", [1, 2]),
        ("LIGHT energy", [1, 2]),
        ('"light energy"', [1]),
        ('"light energy', [1]),
        ("photo*", [1]),
        ("photo", []),
        ("逻辑", [3]),
        ("辑逻", []),
        ("题目很难", [3]),
        ("AND", [4]),
        ("NOT right", [4]),
        ('said "stop"', [4]),
        ("(left)", [4]),
        ("energy -light", [1, 2]),
        ("body: light", []),
    ],
)
def test_words_find_the_texts_that_hold_them_all(texts: sqlite3.Connection, words: str, numbers: list[int]) -> None:
    assert found(texts, words) == numbers


@pytest.mark.parametrize("words", ["", " ", "...", '"', '""', "* - +", "\x00"])
def test_without_a_letter_there_is_nothing_to_search_for(words: str) -> None:
    assert fts_query(words) == ""


@given(st.text(max_size=40))
def test_nothing_that_is_typed_is_taken_as_the_syntax_of_a_query(texts: sqlite3.Connection, words: str) -> None:
    query = fts_query(words)
    if query:
        encoded = query.encode(errors="replace").decode()
        texts.execute("SELECT rowid FROM words WHERE words MATCH ?", (encoded,)).fetchall()
