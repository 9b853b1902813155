// Returns every number of a page together with the names that say what it is, and every other text that has a digit.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const read = (element) => {
  element?.setAttribute("data-read", "");
  return element ? element.textContent.trim() : "";
};
const position = (element, name) => Number(element.getAttribute(name));

// The shapes of a drawing in a cell: left end, dot and right end; and the ticks in the head of its column.
const mark = (svg) => {
  const ends = svg.querySelector(".interval").getAttribute("d").match(/M([\d.]+) [\d.]+H([\d.]+)/).slice(1).map(Number);
  return { tooltip: read(svg.querySelector("title")), at: [ends[0], position(svg.querySelector("circle"), "cx"), ends[1]] };
};
const ticks = (root) => all(".axis text", root).map((tick) => [position(tick, "x"), read(tick)]);

const tables = all("table.grid[id]").map((table) => {
  const keys = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.key ?? "");
  const row = (line) => {
    const svg = line.querySelector("svg.mark");
    const cells = [...line.cells].map((cell, at) => [keys[at], cell.dataset.value ?? null, cell.querySelector("svg") ? "" : read(cell)]);
    return { cells: cells.filter(([key]) => key), mark: svg && mark(svg) };
  };
  const folded = table.closest("details")?.querySelector("summary .count");
  return {
    key: table.id.replace("table-", ""), ticks: ticks(table.tHead), rows: [...table.tBodies[0].rows].map(row),
    count: folded ? read(folded) : null,
  };
});
const failures = all("#failures tbody tr").map((row) => [...row.cells].map(read));
const domains = all("#domains figure").map((figure) => ({
  domain: read(figure.querySelector("figcaption b")), chance: read(figure.querySelector("figcaption .hint")), ticks: ticks(figure),
  rows: all("tbody tr", figure).map((row) => {
    const label = row.querySelector("th");
    read(label);
    return { model: label.title, value: read(row.querySelector(".number")), mark: mark(row.querySelector("svg")) };
  }),
}));

// The matrix as it stands, then after each choice of a baseline, with the sentence on each cell.
const buttons = all("#matrix-table .cell button");
const matrix = buttons.map((button) => ({
  arm: button.dataset.arm, task: button.dataset.task, value: read(button.querySelector("b")),
  interval: read(button.querySelector("i")), failed_and_cut: read(button.querySelector(".failed-cut")),
}));
const runs = all("#matrix-table tbody tr").map((row) => [row.dataset.arm, read(row.querySelector(".name small"))]);
const changes = [], sentences = [];
const against = document.querySelector("#against"), sentence = document.querySelector("#pair");
const note = (choice) => buttons.forEach((button) => {
  const change = button.querySelector(".change");
  changes.push({ against: choice, arm: button.dataset.arm, task: button.dataset.task, text: read(change) });
});
if (against) {
  const first = against.value;
  note(first);
  all("option", against).forEach((option) => {
    against.value = option.value;
    against.dispatchEvent(new Event("change"));
    note(option.value);
    buttons.forEach((button) => {
      button.click();
      sentences.push({ against: option.value, arm: button.dataset.arm, task: button.dataset.task, text: read(sentence) });
    });
  });
  against.value = first;
  against.dispatchEvent(new Event("change"));
}

// Drawings: every text with its place, every dot and box with its tooltip, every line with its ends.
const drawings = all("svg.effects, svg.curve, svg.graph, svg.mixture").map((svg) => ({
  kind: svg.getAttribute("class"), place: svg.closest("[id]")?.id ?? "",
  caption: svg.closest("figure")?.querySelector("figcaption b")?.textContent ?? "",
  texts: all("text", svg).map((words) => [words.getAttribute("class"), position(words, "x"), position(words, "y"), read(words)]),
  dots: all("circle", svg).map((dot) => [position(dot, "cx"), position(dot, "cy"), read(dot.querySelector("title"))]),
  boxes: all("rect", svg).map((box) => [position(box, "x"), position(box, "y"), position(box, "width"), read(box.querySelector("title"))]),
  lines: all("path", svg).map((line) => [line.getAttribute("class"), ...(line.getAttribute("d").match(/-?[\d.]+/g) ?? []).map(Number)]),
}));

const items = JSON.parse(document.querySelector("#item-data")?.textContent || "[]");
const tested = read(document.querySelector("#matrix .hint")).match(/([\d,]+) tests/);
const listed = document.querySelector("#item-list") && read(document.querySelector("#items .hint")).match(/^([\d,]+) of ([\d,]+) items/);
const itemCount = read(document.querySelector("#item-count")), itemList = all("#item-list button").length;
const checkpoints = read(document.querySelector("#lineage details:has(svg.graph) summary .count"));
// How many notes or curves a folded part says that it has, and how many it has.
const folded = all("summary .count:not([data-read])").map((count) => [read(count), all("li, figure", count.closest("details")).length]);
// A caveat begins with what it is: "Caution:".
const kind = (one) => (one.matches(".caveat") ? one.querySelector("b").textContent : "");
const prose = all(".lead, .results li, .notes li, .caveat, .agreement").filter((one) => !one.closest("#settings"))
  .map((one) => read(one).slice(kind(one).length).trim());
// Evaluations with one command line, and checkpoints with one mixture: names, "and 3 more".
const mixtures = all("figure:has(svg.mixture) figcaption b").map(read);
const groups = all("#settings details .hint").map((names) => read(names));
all("#settings .notes b").forEach(read);
const answer = all("h1, .answer p").map(read);

// All other texts with a digit, in what is not explanation, a command line or an item's own text.
const others = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  const words = node.textContent.trim();
  if (!/\d/.test(words) || element.closest("[data-read], script, style, dl, .meaning, .command, #item, #item-list, .scale")) continue;
  others.push(words);
}
return {
  tables, failures, domains, matrix, runs, changes, sentences, drawings, prose, answer, others,
  tests: tested && tested[1], listed: listed && listed.slice(1),
  items: items.map((item) => [item.answers[1].model, item.task, item.gained]), item_list: itemList, item_count: itemCount, checkpoints, groups, folded, mixtures,
};
