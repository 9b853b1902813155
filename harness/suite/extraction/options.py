"""How a text mentions options: "B", "(b)", "options A and C", "C项", and which letters are no options.

[match["group"] for match in re.finditer(GROUP, "Not (A), but options B or C.")]    # ["(A)", "options B or C"]
"""

from __future__ import annotations

import re

# One letter: B, (B), "B", b. or a run: ABD. A word, a name or a grade is none: A-level, Bob, C++, B's.
_UPPER = r"(?<![A-Za-z0-9_])[A-Z](?![A-Za-z0-9_#]|'[a-z]|-[A-Za-z0-9]|\+\+)"
_LOWER = (
    r"(?<=[(\[\"'])[a-j](?=[)\]\"'])|(?:(?<=[Oo]ption )|(?<=[Cc]hoice ))[a-j](?![A-Za-z0-9])"
    r"|(?<![A-Za-z])(?:[b-hj](?=[ \t]*(?:[.,;!。)\n]|$))|[ai](?=[ \t]*[.!。]\s*(?:\n|$))|(?<=: )[ai](?=\s*(?:\n|$)))"
)
_RUN = r"(?<![A-Za-z0-9_])[A-J]{2,10}(?![A-Za-z0-9_])"
_NOUN = r"(?:(?i:the )?(?i:options?|choices?|letters?|answers?|statements?|items?)[\s:]*|选项\s*|答案\s*)?"
_ONE = rf"{_NOUN}[(\[\"'{{<]{{0,4}}\s?(?:{_UPPER}|{_LOWER}|{_RUN})(?:\s?[)\]\"'}}>]++)?+(?:项|选项)?"
_AND = (
    r"(?:\s*[,、/&;]\s*(?:(?i:and|or)\s+)?"
    r"|\s*(?i:and/or|and|or|nor|as well as|to)\s+|\s*(?:和|或者?|与|及|以及|还是)\s*)"
    r"(?i:possibly |maybe |perhaps |also )?"
)
GROUP = rf"(?P<group>(?>(?i:both |either |neither |all of )?{_ONE}(?:{_AND}{_ONE}){{0,9}}))"
MENTION = re.compile(GROUP)
PLACEHOLDERS = frozenset("XYN")

_LETTERS = re.compile(rf"{_UPPER}|{_LOWER}|{_RUN}")
# A bare letter before a word: "B because ..." is an answer, "A bird" and "Vitamin C tablets" are not.
_NEXT_WORD = re.compile(r"[ \t]+([A-Za-z]+)")
_MAY_FOLLOW = re.compile(
    "because|since|as|for|so|which|and|but|by|if|when|due|in|with|here|not|instead|rather|the|it|is|are|was|were"
    "|would|over|than|or|to|that|this|on|at|given|considering|while|whereas|although|though|also|then|must|can"
    "|cannot|does|do|has"
)
_NEXT_HAN = re.compile(r"[一-鿿]")
_HAN_MAY_FOLLOW = frozenset(
    "项选因由而并不故所这其它是吗呢吧啊了和或对正没才就均都也最符显错有与排可成说完为无则两三比更较能作"
)

# A bare letter after a word: "leads to B", "so B", not "Vitamin B" or "维生素B".
_STANDS_ALONE = re.compile(
    r"(?:^|[^\w \t]|\b(?:is|be|was|to|that|with|as|so|then|thus|therefore|hence|only|of|by|at|for|on|in|me|us|say"
    r"|option|choice|answer|statement|letter)|[是为选即于出以把到向的项])[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_VERB = re.compile(r"[ \t]+[a-z]+s\b")

_PREDICATE = re.compile(
    r"\s+(?:is|are|was|were|do|does|did|can|cannot|has|have|\w+s)\b|都|均|两项|错|不|[是为说才则]|属于"
)
_PRAISE = re.compile(r"\s+(?:is|are)\b[^.]{0,40}\b(?:correct|right|true)\b|都对|均正确|都正确")
_ALTERNATIVE = re.compile(
    rf"[^.;!?。\n]{{0,200}}?(?:\b(?i:or|as well as)\s+(?i:else |maybe |possibly |also |perhaps |even )*(?P<or>{_ONE})"
    rf"|\b(?i:and)\s+(?i:also )?(?P<and>{_ONE})(?=\s*(?:[.;。\n]|$|if\b))"
    rf"|(?:或者?|还是|也?可能|以及)[是为选]?\s*(?P<zh>{_ONE}))",
)
_NO_ALTERNATIVE = re.compile(
    r"\b(?:not|than|because|since|as|neither|whether|either|rules?|excludes?)\b|n't\b|因|不|非|排除", re.IGNORECASE
)


def letters_of(mention: str) -> frozenset[str]:
    """The letters of a mention, upper case; none if one is a placeholder (X) or a run is a word (BAD)."""
    if re.fullmatch("[a-j]", mention):
        return frozenset(mention.upper())
    values: set[str] = set()
    for token in _LETTERS.findall(mention):
        if list(token) != sorted(set(token)) or token in PLACEHOLDERS:
            return frozenset()
        values |= set(token.upper())
    return frozenset(values)


def own_letters(text: str, start: int, end: int) -> tuple[frozenset[str], int]:
    """Return the letters of the mention at ``start:end`` and its end; of "B" alone in "B, C and D are wrong"."""
    comma = re.search(r"[,;]", text[start:end])
    if comma and _PREDICATE.match(text, end) and not _PRAISE.match(text, end):
        end = start + comma.start()
    return letters_of(text[start:end]), end


def ends_here(text: str, end: int) -> bool:
    """Whether the letter before `end` stands for itself, and does not begin a phrase such as "A bird"."""
    letter = text[end - 1]
    if not letter.isalpha() or not letter.isascii():
        return True
    if word := _NEXT_WORD.match(text, end):
        return _MAY_FOLLOW.fullmatch(word[1]) is not None or (word[1][0].isupper() and letter not in "AI")
    return not _NEXT_HAN.match(text, end) or text[end] in _HAN_MAY_FOLLOW


def stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the mention at ``start:end`` names an option in any sentence: "(B)", "option B", "to B", "B wins"."""
    start += len(text[start:end]) - len(text[start:end].lstrip())
    if not text[start:end].isalpha() or not text[start:end].isascii():
        return True
    begins = _STANDS_ALONE.search(text, max(0, start - 20), start) is not None
    return begins and (ends_here(text, end) or (text[start:end] not in "AI" and _VERB.match(text, end) is not None))


def is_word(text: str, start: int, end: int) -> bool:
    """Whether the mention at ``start:end`` is the article A or the pronoun I."""
    return (
        text[start:end].strip() in ("A", "I") and _NEXT_WORD.match(text, end) is not None and not ends_here(text, end)
    )


def alternatives(text: str, end: int) -> frozenset[str]:
    """Letters that the rest of the sentence offers beside the one before `end`: "(A) the dog or (B) the cat"."""
    match = _ALTERNATIVE.match(text, end)
    if not match or _NO_ALTERNATIVE.search(match[0]):
        return frozenset()
    return letters_of(match["or"] or match["and"] or match["zh"])
