"""Compare the tables and the matrix of a page, as `page_numbers.js` reads them, with JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.reports.page_json import OVERALL, JsonOutput
from tests.reports.page_values import NUMBER, Findings, Row, matches, sentence_parts, tick_value

# Columns that name a row.
NAMES = (
    "family", "arm", "model", "time", "stage", "kind", "seed", "phase", "source", "curve", "line", "tokens", "domain",
    "task", "contrast",
)  # fmt: skip
OF_ALL_ARMS = ("primary", "secondary")  # families of contrasts
FAILED_AND_CUT = ("failed", "cut")

Page = Mapping[str, Any]
Points = list[tuple[float, float]]


def check_tables(page: Page, output: JsonOutput, findings: Findings) -> None:
    """Compare every cell of every table, what it is sorted by, and the drawing in its row."""
    for table in page["tables"]:
        key = table["key"]
        if key not in output.tables:
            findings.wrong.append(f"table {key}: not in JSON")
            continue
        findings.equal(f"rows of {key}", str(len(table["rows"])), len(output.rows(key)))
        if table["count"] is not None:
            findings.equal(f"number of rows of {key}", table["count"], f"({len(output.rows(key))} rows)")
        points: Points = [(tick_value(words), x) for x, words in table["ticks"]]
        for shown in table["rows"]:
            points += _check_row(key, shown, page["reference"], output, findings)
        findings.in_place(f"drawings of table {key}", points)


def _check_row(key: str, shown: Mapping[str, Any], reference: str, output: JsonOutput, findings: Findings) -> Points:
    texts = {column: text for column, _, text in shown["cells"]}
    named = [(column, texts[column]) for column in NAMES if column in texts]
    found = [row for row in output.rows(key) if all(matches(text, row.get(column)) for column, text in named)]
    where = f"table {key}, {' / '.join(text for _, text in named)}"
    if len(found) != 1:
        findings.wrong.append(f"{where}: {len(found)} rows of JSON")
        return []
    for column, raw, text in shown["cells"]:
        if (key, column) == ("contrasts", "failed_and_cut") and found[0]["family"] not in OF_ALL_ARMS:
            continue  # JSON does not name the arms of the others
        value = _value(key, column, found[0], reference, output)
        findings.equal(f"{where}, {column}", text, value)
        if raw is not None:
            first = value[0] if isinstance(value, list) else value
            findings.equal(f"{where}, {column} to sort by", raw, first if first is None else repr(first))
    if shown["mark"] is None:
        return []
    drawn = found[0]
    if key == "leaderboard":
        drawn = next(
            row for row in output.rows("domains") if (row["model"], row["domain"]) == (drawn["model"], OVERALL)
        )
    return check_mark(where, shown["mark"], drawn.get("difference", drawn.get("value")), drawn["interval"], findings)


def _value(key: str, column: str, row: Row, reference: str, output: JsonOutput) -> Any:
    """Return the value of a cell; failed and truncated requests are sums over rows of JSON."""
    if column == "failed_and_cut" and key in ("contrasts", "arms"):
        return _of_arms(row, output)
    if column == "failed_and_cut" and key == OVERALL:
        return _of_domain(row, reference, output)
    if column == "failed_and_cut":
        arms = (row["baseline"], row.get("arm") or output.other_arm(reference))
        cut = sum(output.cell(arm, row["task"])["cut"] for arm in arms)
        return counts_in_words({"failed": row["failed_baseline"] + row["failed_arm"], "cut": cut})
    return row.get(column, f"no column {column}")


def _of_domain(row: Row, reference: str, output: JsonOutput) -> str:
    """Return the failed and truncated requests of both arms on the tasks of a domain, or of all domains."""
    tasks = {one["task"] for one in output.rows("differences") if one["domain"] == row["domain"]} or {OVERALL}
    arms = (reference, row.get("arm") or output.other_arm(reference))
    cells = [output.cell(arm, task) for arm in arms for task in tasks]
    return counts_in_words({key: sum(one[key] for one in cells) for key in FAILED_AND_CUT})


def _of_arms(row: Row, output: JsonOutput) -> str:
    """Return the failed and truncated requests of an arm of a study, or of all arms, as main effects have them."""
    arms = {row["arm"]} if "arm" in row else {one["arm"] for one in output.rows("arms")}
    task = row.get("task", OVERALL)
    cells = [one for one in output.rows("matrix") if one["arm"] in arms and one["task"] == task]
    return counts_in_words({key: sum(one[key] for one in cells) for key in FAILED_AND_CUT})


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Return failed and truncated requests as the page writes them: ``2 failed, 7 cut``."""
    return ", ".join(f"{counts[key]:,} {key}" for key in FAILED_AND_CUT if counts[key])


def check_mark(where: str, mark: Mapping[str, Any], value: float, ends: Sequence[float], findings: Findings) -> Points:
    """Compare the tooltip of a dot with its interval, and return its values with their places."""
    parts = re.fullmatch(rf"({NUMBER}), 95% interval ({NUMBER}) to ({NUMBER})", mark["tooltip"])
    for text, number in zip(parts.groups() if parts else (mark["tooltip"],) * 3, (value, *ends), strict=True):
        findings.equal(f"{where}, tooltip", text, number)
    low, middle, high = mark["at"]
    return [(ends[0], low), (value, middle), (ends[1], high)]


def check_domains(page: Page, output: JsonOutput, findings: Findings) -> None:
    """Compare the figures of the domains: value, interval, guessing."""
    rows = {(row["domain"], row["model"]): row for row in output.rows("domains")}
    for domain in page["domains"]:
        points: Points = [(tick_value(words), x) for x, words in domain["ticks"]]
        for one in domain["rows"]:
            where, row = f"domain {domain['domain']}, {one['model']}", rows.pop((domain["domain"], one["model"]))
            findings.equal(where, one["value"], row["value"])
            findings.equal(f"{where}, guessing", domain["chance"].rpartition("guessing ")[2], row["chance"])
            points += check_mark(where, one["mark"], row["value"], row["interval"], findings)
        findings.in_place(f"drawings of {domain['domain']}", points)
    if page["domains"]:
        findings.none_left("domains", [name for name in rows if name[0] != OVERALL])


def check_failures(page: Page, output: JsonOutput, findings: Findings) -> None:
    """Compare failed requests by model and task; where JSON has no tasks, their sum with that of the model."""
    by_task = {(row["model"], row["task"]): row["failed"] for row in output.rows("tasks") if row["failed"]}
    of_model = {row["model"]: row["failed"] for row in output.rows("settings") if row["failed"]}
    sums: dict[str, int] = {}
    for model, task, failed, _ in page["failures"]:
        sums[model] = sums.get(model, 0) + int(failed.replace(",", ""))
        if output.rows("tasks"):
            findings.equal(f"failures of {model} on {task}", failed, by_task.pop((model, task), 0))
    findings.none_left("failures", by_task)
    if "settings" in output.tables and "tasks" not in output.tables:
        for model in sums | of_model:
            findings.equal(f"failures of {model}", f"{sums.get(model, 0):,}", of_model.get(model, 0))


def check_matrix(page: Page, output: JsonOutput, findings: Findings) -> None:
    """Compare every cell of the matrix, and its differences from every arm that the reader can choose."""
    findings.equal("cells of the matrix", str(len(page["matrix"])), len(output.rows("matrix")))
    for cell in page["matrix"]:
        where, row = f"matrix, {cell['arm']} / {cell['task']}", output.cell(cell["arm"], cell["task"])
        findings.equal(where, cell["value"], row["value"])
        findings.equal(f"{where}, interval", cell["interval"], row["interval"])
        findings.equal(f"{where}, failed and cut", cell["failed_and_cut"], counts_in_words(row))
    for arm, runs in page["runs"]:
        (count,) = {row["runs"] for row in output.rows("matrix") if row["arm"] == arm}
        findings.equal(f"matrix, runs of {arm}", runs, f"{count} runs" if count > 1 else "")
    for one in page["changes"]:
        where = f"matrix against {one['against']}, {one['arm']} / {one['task']}"
        pair = output.pair(page["reference"], one["against"], (one["arm"], one["task"]))
        shown, _, dot = one["text"].partition(" ")
        real = pair is not None and pair["p_corrected"] is not None and pair["p_corrected"] <= 0.05
        difference = None if pair is None else "?" if pair["difference"] is None else pair["difference"]
        findings.equal(where, shown, difference)
        findings.equal(f"{where}, significant", dot, "●" if real else "")


def check_sentences(page: Page, output: JsonOutput, findings: Findings) -> None:
    """Compare the sentence on each cell that the reader clicks, against every arm that the reader can choose."""
    for one in page["sentences"]:
        arm, task = one["arm"], one["task"]
        where, cell = f"sentence against {one['against']}, {arm} / {task}", output.cell(arm, task)
        pair = output.pair(page["reference"], one["against"], (arm, task))
        parts = sentence_parts(one["text"], f"{arm} on {task}: ", pair["baseline"] if pair else "")
        expected = {"value": cell["value"], "own_interval": cell["interval"], "rest": None}
        if task != OVERALL or "items" in parts:  # the page may list the items of all tasks together
            expected["items"] = sum(arm == item[0] and task in (item[1], OVERALL) for item in page["items"]) or None
        keys = ("difference", "interval", "p", "p_corrected", "detectable", "gained", "lost")
        expected |= {key: pair[key] if pair else None for key in keys}
        for key, value in expected.items():
            findings.equal(f"{where}, {key}", parts.get(key, ""), value)
