"""Problems about texts and lists of words. Content only; `draw.Family` says what each field is."""

from __future__ import annotations

from harness.suite.generated import sibling

draw = sibling(__file__, "draw")

TEXTS = (
    draw.Family(
        "keep_long_words",
        1,
        "words: list[str]) -> list[str]",
        "Return the words that have more than <s> letters and contain the letter '<c>', in the same order.",
        "return [w for w in words if len(w) > <s> and '<c>' in w]",
        ("return [w for w in words if len(w) > <s> or '<c>' in w]", "return [w for w in words if len(w) > <s>]"),
        draw.words,
        (
            ([],),
            (list(draw.WORDS),),
            (["a", "e", "i", "o", "r", "s", "t", "l", "n", "extraordinarily", "rhythmically"],),
        ),
    ),
    draw.Family(
        "count_letters",
        1,
        "text: str) -> int",
        "Return how often the letters '<c>' and '<d>' occur in the text, both together. Capital letters count too.",
        "text = text.lower()\nreturn text.count('<c>') + text.count('<d>')",
        ("return text.count('<c>') + text.count('<d>')", "return text.lower().count('<c><d>')"),
        draw.text,
        (
            ("",),
            ("A Big Rabbit Eats Many Old Cucumbers In Silent Woods Under Dusty Lamps To Go On",),
            ("ABCDEFGHIJKLMNOPQRSTUVW",),
        ),
    ),
    draw.Family(
        "swap_letters",
        2,
        "text: str) -> str",
        "Return the text with every '<c>' turned into '<d>' and every '<d>' turned into '<c>'.",
        "result = ''\nfor x in text:\n    result += '<d>' if x == '<c>' else '<c>' if x == '<d>' else x\nreturn result",
        ("return text.replace('<c>', '<d>').replace('<d>', '<c>')", "return text.replace('<c>', '<d>')"),
        draw.text,
        (("",), ("abcdegilmnoprstuw",)),
    ),
    draw.Family(
        "mask_text",
        2,
        "text: str) -> str",
        "Return the text with every character after the first <t> replaced by '<mark>'.",
        "return text[:<t>] + '<mark>' * (len(text) - <t>)",
        ("return '<mark>' * len(text)", "return text[:<t>] + '<mark>'"),
        draw.text,
        (("",), ("ab",)),
    ),
    draw.Family(
        "hide_vowels",
        1,
        "text: str) -> str",
        "Return the text with every vowel (a, e, i, o, u) replaced by '<mark>' and every '<d>' doubled.",
        "result = ''\nfor x in text:\n    result += '<mark>' if x in 'aeiou' else x * 2 if x == '<d>' else x\n"
        "return result",
        (
            "result = ''\nfor x in text:\n    result += '<mark>' if x in 'aeiou' else x\nreturn result",
            "return text.replace('<d>', '<d><d>')",
        ),
        draw.text,
        (("",), ("abcdegimpuw",)),
    ),
    draw.Family(
        "join_initials",
        1,
        "text: str) -> str",
        "Return the first <s> letters of each word of the text, joined by '<sep>'.",
        "return '<sep>'.join(w[:<s>] for w in text.split())",
        ("return ''.join(w[:<s>] for w in text.split())", "return '<sep>'.join(text.split()[:<s>])"),
        draw.text,
        (("",), ("one",)),
    ),
    draw.Family(
        "repeat_words",
        2,
        "words: list[str]) -> str",
        "Repeat each word <s> times and join all of them by '<sep>', equal words side by side.",
        "return '<sep>'.join(w for w in words for _ in range(<s>))",
        ("return '<sep>'.join(words * <s>)", "return '<sep>'.join(w * <s> for w in words)"),
        draw.words,
        (([],), (["ab", "c"],)),
    ),
    draw.Family(
        "shift_letters",
        3,
        "text: str) -> str",
        "Move every lower-case letter <k> places on in the alphabet; after z comes a. Leave other characters as "
        "they are.",
        "result = ''\nfor x in text:\n    if 'a' <= x <= 'z':\n        x = chr((ord(x) - ord('a') + <k>) % 26 + "
        "ord('a'))\n    result += x\nreturn result",
        (
            "return ''.join(chr(ord(x) + <k>) for x in text)",
            "return ''.join(chr((ord(x) - ord('a') + <k>) % 26 + ord('a')) for x in text)",
        ),
        draw.text,
        (("",), ("a z!",)),
    ),
    draw.Family(
        "words_by_length",
        3,
        "words: list[str]) -> dict[int, list[str]]",
        "Group the words by their length, in a dictionary from length to list of words. Leave out words with fewer "
        "than <s> letters or with the letter '<c>'.",
        "groups = {}\nfor w in words:\n    if len(w) >= <s> and '<c>' not in w:\n        groups.setdefault(len(w), "
        "[]).append(w)\nreturn groups",
        (
            "groups = {}\nfor w in words:\n    groups.setdefault(len(w), []).append(w)\nreturn groups",
            "return {len(w): [w] for w in words if len(w) >= <s> and '<c>' not in w}",
        ),
        draw.words,
        (([],), (["a", "ox", "bed", "cup", "hymn", "gypsy", "puffy", "pygmy", "bumpy", "bubbly", "humbug", "jumbly"],)),
    ),
)
