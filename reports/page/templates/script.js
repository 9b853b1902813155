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
  const data = (id) => { const element = $("#" + id); return element ? JSON.parse(element.textContent) : null; };

  // The address names all that is shown, whatever was changed last: "#items?against=arm:b&task=a&way=lost".
  const address = () => {
    const [section, rest] = location.hash.slice(1).split("?");
    return [section, new URLSearchParams(rest || "")];
  };
  const state = { against: "", task: "", arm: "", way: "", words: "", item: "" };
  const remember = (section, values = {}) => {
    Object.assign(state, values);
    const kept = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
    try { history.replaceState(null, "", `#${section}${kept.size ? "?" + kept : ""}`); } catch { /* a page without an address */ }
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

  // Sorting: numbers by their raw value, unknown ones last, names by the numbers in them; a second click reverses the order.
  const compareNames = new Intl.Collator("en", { numeric: true }).compare;
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
    rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * (typeof a === "number" ? a - b : compareNames(a, b)));
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

  // A meaning opens below its question mark, or above it where there is no room.
  $$(".ask").forEach((button) => {
    const meaning = document.getElementById(button.getAttribute("popovertarget"));
    meaning.addEventListener("toggle", (event) => {
      if (event.newState !== "open" || opener !== button) return;
      const place = button.getBoundingClientRect(), box = meaning.getBoundingClientRect();
      const below = place.bottom + 6 + box.height < innerHeight;
      meaning.style.left = `${Math.max(8, Math.min(place.left, innerWidth - box.width - 8))}px`;
      meaning.style.top = `${below ? place.bottom + 6 : Math.max(8, place.top - box.height - 6)}px`;
    });
    button.addEventListener("click", () => { opener = button; });
  });
  let opener = null;

  // Each column that names the row stays in view, to the right of the one before it.
  const place = (table) => {
    let left = 0;
    $$("thead .name", table).forEach((cell, at) => {
      table.style.setProperty(`--left-${at}`, `${left}px`);
      left += cell.getBoundingClientRect().width;
    });
  };
  const ofNames = new ResizeObserver((entries) => new Set(entries.map(({ target }) => target.closest("table"))).forEach(place));
  $$("table:has(.name.at-1) thead .name").forEach((cell) => ofNames.observe(cell));

  // Copying a command line.
  $$(".copy").forEach((button) => button.addEventListener("click", async () => {
    const code = $("code", button.parentElement);
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = "selected"; }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }));

  // Printing: folded tables open unless they are long. Names of more than 26 letters lose their middle, and a list at the
  // end has them whole. A matrix wider than the page gets upright headings; a table that is still wider is split into groups
  // of columns, each with the columns that name the rows, such as model and task.
  const PAGE = 945;  // CSS pixels of 250 mm, which A4 and letter paper both have in landscape
  const split = (table) => {
    const cells = [...table.rows[0].cells], naming = cells.map((cell) => cell.matches(".name, .names"));
    const widths = cells.map((cell) => cell.getBoundingClientRect().width);
    const ofNames = widths.filter((_, at) => naming[at]).reduce((sum, width) => sum + width, 0);
    const groups = [[]];
    let used = ofNames;
    cells.forEach((_, at) => {
      if (naming[at]) return;
      if (used + widths[at] > PAGE && groups.at(-1).length) { groups.push([]); used = ofNames; }
      groups.at(-1).push(at);
      used += widths[at];
    });
    groups.forEach((group) => {
      const copy = table.cloneNode(true);
      copy.removeAttribute("id");
      copy.classList.add("copy-for-print");
      [...copy.rows].forEach((row) => [...row.cells].forEach((cell, at) => { if (!naming[at] && !group.includes(at)) cell.remove(); }));
      $$("[id]", copy).forEach((element) => element.removeAttribute("id"));
      table.before(copy);
    });
    table.classList.add("split-for-print");
  };
  const LONGEST = 26;
  const withoutMiddle = (name, length) => name.length <= length ? name : `${name.slice(0, Math.ceil(length / 2) - 1)}…${name.slice(-Math.floor(length / 2))}`;
  const shortNames = (names) => {
    const short = new Map(), taken = new Set();
    names.forEach((name) => {
      let length = LONGEST;
      while (taken.has(withoutMiddle(name, length)) && length < name.length) length += 1;
      short.set(name, withoutMiddle(name, length));
      taken.add(short.get(name));
    });
    return short;
  };
  let whole = [];  // texts that were shortened, as [node, text]
  const shorten = () => {
    const nodes = $$(".grid tbody .name, .matrix tbody .name, .matrix thead th").map((cell) => cell.firstChild).filter((node) => node?.nodeType === Node.TEXT_NODE && node.data.length > LONGEST);
    const short = shortNames(new Set(nodes.map((node) => node.data)));
    whole = nodes.map((node) => [node, node.data]);
    nodes.forEach((node) => { node.data = short.get(node.data); });
    if (!short.size) return;
    const key = make("section", "", "print-key"), list = make("ul");
    short.forEach((label, name) => list.append(make("li", `${label} = ${name}`)));
    key.append(make("h2", "Which names are shortened above?"), list);
    $("#words").before(key);
  };
  addEventListener("beforeprint", () => {
    $$("details:not(.long):not([open])").forEach((part) => { part.open = true; part.dataset.opened = ""; });
    document.documentElement.classList.add("printing");
    shorten();
    const tooWide = (table) => table.scrollWidth > PAGE;
    $$(".matrix").filter(tooWide).forEach((table) => table.classList.add("upright"));
    $$(".wide > table").filter(tooWide).forEach(split);
  });
  addEventListener("afterprint", () => {
    $$(".copy-for-print, .print-key").forEach((copy) => copy.remove());
    $$(".split-for-print, .upright").forEach((table) => table.classList.remove("split-for-print", "upright"));
    whole.forEach(([node, text]) => { node.data = text; });
    $$("details[data-opened]").forEach((part) => { part.open = false; delete part.dataset.opened; });
    document.documentElement.classList.remove("printing");
  });

  // The matrix: differences from the arm that the reader chooses, or of each stage from its parent.
  const matrix = data("matrix-data");
  const signed = (value) => (value < 0 || Object.is(value, -0) ? "" : "+") + value.toFixed(3);
  const plain = (value) => (Number(value.toFixed(3)) === 0 ? 0 : value).toFixed(3);
  const p = (value) => value < 0.001 ? "<0.001" : value.toFixed(3);
  const NAMES = ["baseline", "arm", "task", "difference", "low", "high", "p", "corrected", "detectable", "relative", "real", "gained", "lost"];
  const pair = (row) => Object.fromEntries(NAMES.map((name, at) => [name, row[at]]));
  const turned = (one) => ({
    ...one, baseline: one.arm, arm: one.baseline, difference: one.difference === null ? null : -one.difference, low: one.high === null ? null : -one.high,
    high: one.low === null ? null : -one.low, gained: one.lost, lost: one.gained,
  });
  const pairs = new Map();
  const key = (baseline, arm, task) => `${baseline} ${arm} ${task}`;
  if (matrix) {
    matrix.pairs.map(pair).forEach((one) => {
      pairs.set(key(one.baseline, one.arm, one.task), one);
      pairs.set(key(one.arm, one.baseline, one.task), turned(one));
    });
    matrix.against.map(pair).forEach((one) => pairs.set(key(one.baseline, one.arm, one.task), one));
  }
  const against = $("#against");
  const baselineOf = (arm) => against.value === "parent" ? matrix.parents[arm] : matrix.arms.indexOf(against.value.slice(4));
  const side = (one) => one.difference === null || one.difference === 0 ? "even" : (one.difference > 0) !== matrix.lower.includes(one.task) ? "better" : "worse";
  const paint = () => $$("#matrix-table tbody tr").forEach((row) => {
    const arm = matrix.arms.indexOf(row.dataset.arm), baseline = baselineOf(arm);
    $$(".cell button", row).forEach((button) => {
      const cell = button.parentElement, one = pairs.get(key(baseline, arm, matrix.tasks.indexOf(button.dataset.task)));
      cell.className = "cell " + (one ? side(one) : "none") + (one?.real ? " real" : "");
      cell.style.setProperty("--strength", `${one ? 5 * Math.abs(one.relative) : 0}%`);
      $(".change", button).textContent = one ? (one.difference === null ? "?" : signed(one.difference)) + (one.real ? " ●" : "") : "";
    });
  });
  const describe = (button) => {
    const arm = matrix.arms.indexOf(button.dataset.arm), baseline = baselineOf(arm), task = matrix.tasks.indexOf(button.dataset.task);
    const one = pairs.get(key(baseline, arm, task));
    const value = `${button.dataset.arm} on ${button.dataset.task}: ${$("b", button).textContent}${$("i", button).textContent && `, 95% interval ${$("i", button).textContent}`}.`;
    if (!one) return value;
    const words = [`Difference from ${matrix.arms[baseline]}: ${one.difference === null ? "unknown" : signed(one.difference)}`];
    if (one.low !== null) words.push(`95% interval ${plain(one.low)} to ${plain(one.high)}`);
    if (one.p !== null) words.push(`p ${p(one.p)}`);
    if (one.corrected !== null) words.push(`corrected p ${p(one.corrected)}`);
    words.push(one.detectable === null ? (one.p === null ? "not tested" : "no possible difference has 80% power") : `detectable ${plain(one.detectable)}`);
    if (one.gained !== null) words.push(`${one.gained} gained`, `${one.lost} lost`);
    return `${value} ${words.join(", ")}.`;
  };
  const usual = against?.value, instruction = $("#pair")?.textContent;
  const restoreAgainst = (value) => {
    against.value = value || usual;
    const known = against.selectedIndex >= 0;
    if (!known) against.value = usual;
    state.against = known ? value : "";
    paint();
    $("#pair").textContent = known ? instruction : `This link compares with ${value.replace(/^arm:/, "")}, which cannot be chosen on this page; differences are from ${usual.slice(4)}.`;
  };
  if (against) {
    against.addEventListener("change", () => { paint(); remember("matrix", { against: against.value === usual ? "" : against.value }); });
    $$(".cell button").forEach((button) => button.addEventListener("click", () => {
      $("#pair").replaceChildren(describe(button) + " ");
      openItems(button.dataset.task, button.dataset.arm);
    }));
  }

  // Items that flipped.
  const items = data("item-data") || [];
  const list = $("#item-list");
  let openItems = () => {};
  let restoreItems = () => {};
  if (list) {
    const fields = { task: $("#item-task"), arm: $("#item-arm"), way: $("#item-way"), words: $("#item-words") };
    const fill = (select, values) => [...new Set(values)].sort(compareNames).forEach((value) => select.append(new Option(value, value)));
    const tasks = matrix.tasks.filter((task) => task !== "overall");
    fill(fields.task, tasks);
    fill(fields.arm, matrix.arms);
    let shown = null;
    const save = () => remember("items", {
      ...Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value])),
      item: shown ? `${shown.task}/${shown.id}/${shown.answers[1].model}` : "",
    });
    const isItem = (item, name) => `${item.task}/${item.id}/${item.answers[1].model}` === name;
    const choose = (button, item) => {
      $$("[aria-current]", list).forEach((other) => other.removeAttribute("aria-current"));
      button.setAttribute("aria-current", "true");
      shown = item;
      open(item);
      save();
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
      return matches;
    };
    list.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const buttons = $$("button", list), next = buttons[buttons.indexOf(document.activeElement) + step];
      if (next) { next.focus(); next.click(); }
    });
    Object.values(fields).forEach((field) => ["input", "change"].forEach((event) => field.addEventListener(event, () => { refresh(); save(); })));

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
    const empty = (why) => { shown = null; $("#item").replaceChildren(make("p", why, "hint")); };
    const missing = (task, arm) => {
      if (arm === matrix.arms[matrix.reference]) return `no items of ${arm}: it is the baseline`;
      const known = items.some((item) => item.answers[1].model === arm);
      return known ? `no item of ${task} on which ${arm} differs` : `no items of ${arm}: compare it alone with the baseline to see them`;
    };
    openItems = (task, arm) => {
      fields.task.value = tasks.includes(task) ? task : "";  // overall has the items of all tasks
      fields.arm.value = arm;
      fields.way.value = fields.words.value = "";
      const matches = refresh();
      if (matches.length) {
        $("button", list).click();
        const link = make("a", `See ${matches.length} of the items on which it differs from ${matrix.arms[matrix.reference]}`);
        link.href = "#items";
        link.addEventListener("click", (event) => { event.preventDefault(); $("#items").scrollIntoView(); });
        $("#pair").append(link);
      } else {
        empty(`This page has ${missing(task, arm)}.`);
        save();
      }
    };
    restoreItems = (values) => {
      const unknown = [];
      Object.entries(fields).forEach(([name, field]) => {
        field.value = values.get(name) || "";
        if (field.selectedIndex === -1) { unknown.push(values.get(name)); field.value = ""; }
      });
      const item = values.get("item"), at = refresh().findIndex((one) => isItem(one, item));
      if (item && at < 0) unknown.push(item);
      empty(unknown.length ? `This link names ${unknown.join(" and ")}, which is not on this page.` : "Select an item.");
      if (at < 0) save(); else $$("button", list)[at].click();
    };
    refresh();
  }

  // Show what the address names.
  const restore = () => {
    const [section, values] = address();
    if (section && values.size) {
      if (against) restoreAgainst(values.get("against"));
      restoreItems(values);
      document.getElementById(section)?.scrollIntoView();
    }
    if (section) remember(section);  // the link to a section leaves the rest as it is
  };
  addEventListener("hashchange", restore);
  restore();
})();
