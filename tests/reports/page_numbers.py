"""Compare every number on a page with the cell of the JSON output that it shows.

`page_numbers.js` reads the page: each number with the names that say what it is. A number is compared with the one cell
of JSON that has these names: with its sign, all its digits, and integers exactly. Ticks, dots and the ends of intervals
must lie where their values are, and no other text may have a number::

    Page                                                         JSON
    #table-contrasts, logic, tune: "+0.097"                      tables.contrasts[task=logic, contrast=tune].estimate
    matrix against CN, cell NN / logic: "-0.041 ●"               tables.pairs[CN, NN, logic], turned if stored as NN, CN
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.reports.page_drawings import check_drawings
from tests.reports.page_json import OVERALL, JsonOutput
from tests.reports.page_tables import (
    Page,
    check_domains,
    check_failures,
    check_matrix,
    check_sentences,
    check_tables,
)
from tests.reports.page_values import Findings

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

READ = (Path(__file__).parent / "page_numbers.js").read_text(encoding="utf-8")
CHECKS = (check_tables, check_domains, check_failures, check_matrix, check_sentences, check_drawings)
NAMED_IN_ANSWER = 4  # of a longer list; then "and 3 more"


def compare_with_json(browser: Chrome, documents: Sequence[dict[str, Any]]) -> Findings:
    """Compare the page that the browser shows with JSON.

    Args:
        browser: It shows the page.
        documents: The JSON output of the commands that have the page's numbers; the first is that of the page.
    """
    page, output, findings = browser.execute_script(READ), JsonOutput(documents), Findings()
    page["reference"] = next((one["against"].removeprefix("arm:") for one in page["changes"]), "")
    for check in CHECKS:
        check(page, output, findings)
    _check_counts(page, output, findings)
    _check_sentences_of_document(page, output, findings)
    return findings


def _check_counts(page: Page, output: JsonOutput, findings: Findings) -> None:
    """Compare the numbers of tests, items and checkpoints."""
    if page["tests"]:
        findings.equal("tests of all pairs", page["tests"], sum(row["p"] is not None for row in output.rows("pairs")))
    if page["listed"]:
        flipped = sum((row["gained"] or 0) + (row["lost"] or 0) for row in output.rows("differences"))
        findings.equal("items to show", page["listed"][0], len(page["items"]))
        findings.equal("items that flipped", page["listed"][1], flipped)
        findings.equal("items in the list", page["item_count"], f"{page['item_list']} of {len(page['items'])}")
    findings.equal("evaluations with a command line", str(_listed(page["groups"])), len(output.rows("settings")))
    if page["mixtures"]:
        stages = {row["stage"] for row in output.rows("ledger") if row["phase"]}
        members = sum(row["name"] in stages for row in output.rows("lineage"))
        findings.equal("checkpoints with a mixture", str(_listed(page["mixtures"])), members)
    for shown, count in page["folded"]:
        findings.equal("parts of a folded section", shown, f"({count})")
    if page["checkpoints"]:
        findings.equal("checkpoints", page["checkpoints"], f"({len(output.rows('lineage'))})")


def _listed(groups: Sequence[str]) -> int:
    """Return how many names some groups have; a group is ``a, b and 3 more``."""
    more = [int(words[1]) for group in groups if (words := re.search(r" and (\d+) more$", group))]
    return sum(more) + sum(len(group.split(", ")) for group in groups)


def _check_sentences_of_document(page: Page, output: JsonOutput, findings: Findings) -> None:
    """Compare sentences that JSON has too, then the numbers of the answer, and look for numbers in other texts."""
    names = sorted(_names(output), key=len, reverse=True)
    for sentence in page["prose"]:
        findings.compared += 1
        if sentence not in output.sentences:
            findings.wrong.append(f"sentence not in JSON: {sentence}")
    phrases = sorted((*_answer_phrases(output), *_answer_counts(output)), key=len, reverse=True)
    for sentence in page["answer"]:
        findings.compared += 1
        if sentence not in output.sentences:
            numbers = re.findall(r"\d+(?:\.\d+)?", _without(_without(sentence, phrases), names))
            findings.wrong += [f"answer: {one} in {sentence!r}" for one in numbers]
    for words in page["others"]:
        if re.search(r"\d", _without(words, names)):
            findings.wrong.append(f"not compared: {words!r}")


def _without(words: str, parts: Sequence[str]) -> str:
    for part in parts:
        words = words.replace(part, " ")
    return words


def _names(output: JsonOutput) -> Iterator[str]:
    """Names that may have digits, and the levels that texts explain."""
    keys = ("arm", "model", "task", "domain", "stage", "label", "contrast", "source")
    for rows in output.tables.values():
        yield from (str(row[key]) for row in rows for key in keys if row.get(key))
    yield from ("95%", "80%")


def _answer_phrases(output: JsonOutput) -> Iterator[str]:
    """Every decimal number that an answer may state, with the words around it."""
    for row in output.rows("contrasts"):
        where = "" if row["task"] == OVERALL else f"{row['task']} "
        yield f"{where}{row['contrast']} ({row['estimate']:+.3f}"
    for row in (*output.rows("differences"), *output.rows(OVERALL)):
        if row["interval"]:
            yield f"({row['difference']:+.3f}, 95% interval {row['interval'][0]:+.3f} to {row['interval'][1]:+.3f}"
        for name in (row.get("task"), row.get("arm"), f"{row.get('arm')} on {row.get('task')}"):
            yield f"{name} ({row['difference']:+.3f}"
    tested = [row["detectable"] for row in output.rows("differences") if row["p_corrected"] is not None]
    yield _power("difference", tested)
    for family in ("primary", "secondary"):
        rows = [row for row in output.rows("contrasts") if row["family"] == family]
        yield _power("effect", [row["mde"] for row in rows if (row["p_corrected"] or 0.0) > 0.05])


def _power(what: str, limits: Sequence[float | None]) -> str:
    known = [limit for limit in limits if limit is not None]
    if not known:
        return "no limit"
    least, most = f"{min(known):.3f}", f"{max(known):.3f}"
    return f"80% power needs a true {what} of {least if least == most else f'{least} to {most}'}"


def _answer_counts(output: JsonOutput) -> Iterator[str]:
    """Every integer that an answer may state, with the words around it."""
    contrasts = output.rows("contrasts")
    families = [[row for row in contrasts if row["family"] == family] for family in ("primary", "secondary")]
    overall = [row for row in output.rows(OVERALL) if row["domain"] == OVERALL]
    for rows in (*families, output.rows("differences"), overall):
        tested = [row["p_corrected"] for row in rows if row["p_corrected"] is not None]
        n, real = len(tested), sum(p <= 0.05 for p in tested)
        yield from (f"Of {n} difference", f", {real} survive", f"{real} of {n} differences", f"none of {n} ")
        yield from (f"none of the {n} ", f"the other {n - real} ", f" and {real - NAMED_IN_ANSWER} more")
    board = output.rows("leaderboard")
    leaders = set(board[0]["groups"]) if board else set()
    behind = sum(not leaders & set(row["groups"]) for row in board)
    yield from (f"Which of {len(board)} models", f"{behind} of {len(board)} models")
    yield f" and {len(output.arms) - 1 - NAMED_IN_ANSWER} more differ"
    yield " from 0"  # what an effect differs from
