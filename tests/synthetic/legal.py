"""JEC-QA as AGIEval prints it: a list of right letters, which may be empty or end in a stray full stop."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

SEVERAL = ["".join(letters) for size in (2, 3, 4) for letters in combinations("ABCD", size)]
COUNT = 144
NO_KEY, KEYED_TWICE = 7, 21  # odd, as every item with several right options
STRAY_FULL_STOP = 5


def jec_qa(part: str) -> list[dict[str, Any]]:
    """Every second item has one right option, the others go through all sets of two, three and four."""
    rows = [_row(part, n, "ABCD"[n // 2 % 4] if n % 2 == 0 else SEVERAL[n // 2 % len(SEVERAL)]) for n in range(COUNT)]
    if part == "kd":
        rows[NO_KEY]["label"] = []
        options, keyed = rows[KEYED_TWICE]["options"], "ABCD".index(rows[KEYED_TWICE]["label"][0])
        options[(keyed + 1) % 4] = options[(keyed + 1) % 4][:3] + options[keyed][3:]
    else:
        rows[STRAY_FULL_STOP]["label"].append("。")
    return rows


def _row(part: str, number: int, key: str) -> dict[str, Any]:
    goats = 20 + number
    rule = {"kd": "村规只看只数", "ca": f"第{number}号案件查明属实"}[part]
    claims = [goats - 1 - k if letter in key else goats + 1 + k for k, letter in enumerate("ABCD")]
    return {
        "passage": None,
        "question": f"张某养了{goats}只山羊，{rule}。下列说法正确的是？",
        "options": [f"({letter})张某的山羊多于{claim}只" for letter, claim in zip("ABCD", claims, strict=True)],
        "label": list(key),
        "answer": None,
        "other": None,
    }


FILES = {"jec_qa_kd": partial(jec_qa, "kd"), "jec_qa_ca": partial(jec_qa, "ca")}
RESERVED, NONE, TWICE = "reserved for few-shot prompts", "no key", "the keyed option is worded like another"
MORE = "more than one right option (see the subset variant)"
COUNTS = {
    "jec_qa_kd": (137, {NONE: 1, TWICE: 1, RESERVED: 5}),
    "jec_qa_ca": (139, {RESERVED: 5}),
    "jec_qa_kd_single": (67, {NONE: 1, TWICE: 1, MORE: 70, RESERVED: 5}),
    "jec_qa_ca_single": (67, {MORE: 72, RESERVED: 5}),
    "jec_qa_single": (144, {NONE: 1, TWICE: 1, MORE: 142}),
}
