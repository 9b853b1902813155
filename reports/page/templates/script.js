"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, text = "", classes = "") => {
    const element = document.createElement(name);
    element.textContent = text;
    if (classes) element.className = classes;
    return element;
  };

  // Theme: follows the system until the reader switches. A local file may have no access to storage.
  const theme = $("#theme");
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const isDark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const show = () => { theme.textContent = isDark() ? "light" : "dark"; theme.setAttribute("aria-pressed", String(isDark())); };
  if (stored()) document.documentElement.dataset.theme = stored();
  show();
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* the switch works, but is not remembered */ }
    show();
  });

  // Sorting: numbers by their raw value, unknown ones last; a second click reverses the order.
  const sort = (button) => {
    const heading = button.closest("th"), table = button.closest("table"), at = Number(button.dataset.column);
    const first = heading.classList.contains("number") ? "descending" : "ascending";
    const now = heading.getAttribute("aria-sort");
    const order = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
    $$("th", table.tHead).forEach((th) => { if (th.hasAttribute("aria-sort")) th.setAttribute("aria-sort", "none"); });
    heading.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const value = (row) => {
      const cell = row.cells[at];
      if (!cell.classList.contains("number")) return cell.textContent;
      return cell.dataset.value === "" ? null : Number(cell.dataset.value);
    };
    const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
    rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * (typeof a === "number" ? a - b : a.localeCompare(b)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  $$(".sort").forEach((button) => button.addEventListener("click", () => sort(button)));

  // Filtering: a row is shown if it contains every word.
  $$("[data-filter]").forEach((input) => input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...$("#" + input.dataset.filter).tBodies[0].rows];
    rows.forEach((row) => { const text = row.textContent.toLowerCase(); row.hidden = !words.every((word) => text.includes(word)); });
    $(`[data-count="${input.dataset.filter}"]`).textContent = words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "";
  }));

  // Copying a command line.
  $$(".copy").forEach((button) => button.addEventListener("click", async () => {
    const code = $("code", button.parentElement);
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = "selected"; }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }));

  // Printing opens everything that is folded.
  addEventListener("beforeprint", () => $$("details").forEach((part) => { part.open = true; }));

  // Items that flipped.
  const items = JSON.parse($("#item-data").textContent);
  const list = $("#item-list");
  if (!list) return;
  const fields = { task: $("#item-task"), arm: $("#item-arm"), way: $("#item-way"), words: $("#item-words") };
  const fill = (select, values) => [...new Set(values)].forEach((value) => select.append(new Option(value, value)));
  fill(fields.task, items.map((item) => item.task));
  fill(fields.arm, items.map((item) => item.answers[1].model));
  const choose = (button, item) => {
    $$("[aria-current]", list).forEach((other) => other.removeAttribute("aria-current"));
    button.setAttribute("aria-current", "true");
    open(item);
  };
  const refresh = () => {
    const words = fields.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = items.filter((item) =>
      (!fields.task.value || item.task === fields.task.value) &&
      (!fields.arm.value || item.answers[1].model === fields.arm.value) &&
      (!fields.way.value || (fields.way.value === "gained") === item.gained) &&
      words.every((word) => JSON.stringify(item).toLowerCase().includes(word)));
    list.replaceChildren(...matches.map((item) => {
      const line = make("li"), button = make("button");
      button.type = "button";
      button.append(make("span", item.gained ? "gained " : "lost ", item.gained ? "gained" : "lost"), item.task, make("small", item.prompt.trim().split("\n").slice(-2).join(" ")));
      button.addEventListener("click", () => choose(button, item));
      line.append(button);
      return line;
    }));
    $("#item-count").textContent = `${matches.length} of ${items.length}`;
  };
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const buttons = $$("button", list), next = buttons[buttons.indexOf(document.activeElement) + step];
    if (next) { next.focus(); next.click(); }
  });
  Object.values(fields).forEach((field) => ["input", "change"].forEach((event) => field.addEventListener(event, refresh)));

  const block = (title, text) => [make("h4", title), make("pre", text)];
  const choiceTable = (item) => {
    const table = make("table"), head = table.createTHead().insertRow(), body = table.createTBody();
    ["choice", ...item.answers.map((answer) => answer.model)].forEach((text, at) => head.append(make("th", text, at ? "number" : "")));
    item.choices.forEach((choice, at) => {
      const row = body.insertRow();
      if (at === item.key) row.className = "key-row";
      row.append(make("td", (at === item.key ? "✓ " : "") + choice));
      item.answers.forEach((answer) => {
        const cell = make("td", "", "number");
        cell.append(make("span", Number.isFinite(answer.scores[at]) ? answer.scores[at].toFixed(2) : "–", at === answer.chosen ? "chosen" : ""));
        row.append(cell);
      });
    });
    return table;
  };
  const open = (item) => {
    const article = $("#item"), [base, arm] = item.answers;
    const parts = [make("h3", `${item.task} ${item.id}: ${item.gained ? "gained" : "lost"} by ${arm.model} (${base.value} → ${arm.value})`), ...block("prompt", item.prompt)];
    if (item.choices.length) {
      parts.push(make("h4", "log-likelihood of each choice, nats; ✓ correct, underlined: most likely"), choiceTable(item));
    } else {
      item.answers.forEach((answer) => parts.push(...block(`${answer.model} (extracted answer: ${answer.answer || "none"}${answer.readFrom && ", from " + answer.readFrom})`, answer.text || "(empty)")));
      parts.push(...block("expected", item.target));
    }
    if (item.rationale) parts.push(...block("rationale", item.rationale));
    article.replaceChildren(...parts);
  };
  $$(".cell button").forEach((button) => button.addEventListener("click", () => {
    const { task, arm } = button.dataset;
    $("#items").scrollIntoView();
    if (!items.some((item) => item.task === task && item.answers[1].model === arm)) {
      const known = items.some((item) => item.answers[1].model === arm);
      const why = known ? `no item of ${task} on which ${arm} differs` : `no items of ${arm}: compare it alone with the baseline to see them`;
      $("#item").replaceChildren(make("p", `This page has ${why}.`, "hint"));
      return;
    }
    fields.task.value = task;
    fields.arm.value = arm;
    fields.way.value = fields.words.value = "";
    refresh();
    const first = $("button", list);
    first.click();
    first.focus({ preventScroll: true });
  }));
  refresh();
})();
