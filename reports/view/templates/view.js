"use strict";
// Before the page is drawn, so that it does not flash in the other theme.
const root = document.documentElement;
try { if (localStorage.getItem("theme")) root.dataset.theme = localStorage.getItem("theme"); } catch { /* storage is off */ }

addEventListener("DOMContentLoaded", () => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  const theme = $("#theme");
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const show = () => { theme.textContent = isDark() ? "light" : "dark"; theme.setAttribute("aria-pressed", String(isDark())); };
  if (theme) {
    show();
    theme.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* the switch works, but is not remembered */ }
      show();
    });
  }

  // A choice by mouse or finger shows its items at once. With keys, each step through a list is a choice: the button waits.
  let byKeys = false;
  addEventListener("keydown", () => { byKeys = true; }, true);
  addEventListener("mousedown", () => { byKeys = false; }, true);
  $$(".choose[data-at-once] select").forEach((select) => select.addEventListener("change", () => { if (!byKeys) select.form.requestSubmit(); }));
  // Empty fields do not belong into an address.
  $$("form").forEach((form) => form.addEventListener("submit", () => {
    $$("select, input", form).filter((field) => !field.value).forEach((field) => { field.disabled = true; });
  }));
  addEventListener("pageshow", () => $$("form :disabled").forEach((field) => { field.disabled = false; }));

  // Sorting: numbers by their raw value, unknown ones last; a second click reverses the order.
  const sort = (button) => {
    const heading = button.closest("th"), table = button.closest("table"), at = Number(button.dataset.column);
    const first = heading.classList.contains("number") ? "descending" : "ascending";
    const now = heading.getAttribute("aria-sort");
    const order = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
    $$("th[aria-sort]", table).forEach((th) => th.setAttribute("aria-sort", "none"));
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

  $$(".copy").forEach((button) => button.addEventListener("click", async () => {
    const code = $("code", button.parentElement);
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "copied"; }
    catch { getSelection().selectAllChildren(code); button.textContent = "selected"; }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  }));

  // Back in a list, the item that was open has the focus. The browser scrolls to it first, which takes the focus away.
  addEventListener("pageshow", () => setTimeout(() => {
    const left = location.hash.startsWith("#at-") && document.getElementById(location.hash.slice(1));
    if (left) $("a", left).focus({ preventScroll: true });
  }));

  // In a list, j and k move the focus from item to item, and from its ends to the next and the previous page.
  const step = (way) => {
    const links = $$(".items tbody a"), at = links.indexOf(document.activeElement);
    const link = at < 0 ? links[0] : links[at + (way === "next" ? 1 : -1)];
    if (!link) return false;
    link.focus();
    return true;
  };

  // j and k, or the arrows, lead to the next and the previous item or page, u up to the list, and / to the search.
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const scrolls = event.target.closest("pre, .wide");
    const way = { j: "next", k: "prev", u: "up", ...(scrolls ? {} : { ArrowRight: "next", ArrowLeft: "prev" }) }[event.key];
    if (way && !("jk".includes(event.key) && step(way))) $(`a[rel="${way}"]`)?.click();
    if (event.key === "/") { event.preventDefault(); $("input[type=search][name=words]")?.focus(); }
  });
  addEventListener("beforeprint", () => $$("details").forEach((part) => { part.open = true; }));
});
