// Lists: j and k move a cursor, space selects, Shift+space selects a range, * all on the page, Esc clears.
// A panel with a form.bulk swaps its toolbar for it while something is selected; [data-selected] shows the number, and
// so does the box "all that match" (data-all: their number). r, x and a take the row of the cursor if none is selected,
// e follows its link [data-edit]; a drawer's own buttons come first while the cursor is on its row.
let anchor = null;

const rowsOf = () => [...document.querySelectorAll(".tbl tbody tr:not(.inner)")].filter((row) => row.checkVisibility());
const tickOf = (row) => row?.querySelector(".tick input[type=checkbox]");
const cursor = () => document.querySelector(".tbl tbody tr.cursor");
const ticks = (scope) => [...scope.querySelectorAll("tbody .tick input[type=checkbox]")];

function move(step) {
  const rows = rowsOf();
  if (!rows.length) return false;
  const from = rows.indexOf(cursor());
  const to = rows[Math.min(rows.length - 1, Math.max(0, from + step))];
  cursor()?.classList.remove("cursor");
  to.classList.add("cursor");
  to.scrollIntoView({ block: "nearest" });
  (to.querySelector("a.name") ?? to.querySelector("a"))?.focus({ preventScroll: true });
  return true;
}

function mark(box, checked) {
  box.checked = checked;
  box.closest("tr").setAttribute("aria-selected", String(checked));
}

function refresh(scope) {
  const all = ticks(scope), number = all.filter((box) => box.checked).length;
  const everything = scope.querySelector(".bulk input[name=all]");
  if (everything && number === 0) everything.checked = false;
  const head = scope.querySelector("thead .tick input");
  if (head) [head.checked, head.indeterminate] = [number > 0 && number === all.length, number > 0 && number < all.length];
  scope.querySelector(".bulk")?.classList.toggle("on", number > 0);
  scope.querySelector(".toolbar")?.classList.toggle("swapped", number > 0 && Boolean(scope.querySelector(".bulk")));
  const shown = everything?.checked ? everything.dataset.all || "all" : number.toLocaleString("en");
  for (const place of scope.querySelectorAll("[data-selected]")) place.textContent = shown;
}

function toggle(withRange) {
  const box = tickOf(cursor());
  if (!box) return false;
  const rows = rowsOf(), here = rows.indexOf(cursor()), there = rows.indexOf(anchor);
  if (withRange && there >= 0) {
    for (const row of rows.slice(Math.min(here, there), Math.max(here, there) + 1)) mark(tickOf(row), true);
  } else mark(box, !box.checked);
  anchor = cursor();
  refresh(box.closest(".panel") ?? document);
  return true;
}

function setAll(checked) {
  const panel = (cursor() ?? document.querySelector(".tbl .tick"))?.closest(".panel");
  const chosen = panel ? ticks(panel).filter((box) => box.checked !== checked) : [];
  for (const box of chosen) mark(box, checked);
  if (panel) refresh(panel);
  return chosen.length > 0;
}

const isInDrawer = (row) => Boolean(row.querySelector("[aria-current=true]"));

// the act itself is a key of the bulk bar, which shows up with the first selected row
function takeCursor() {
  const row = cursor(), panel = row?.closest(".panel");
  if (row && !isInDrawer(row) && !ticks(panel).some((box) => box.checked)) toggle(false);
  return false;
}

function edit() {
  const link = cursor() && !isInDrawer(cursor()) && cursor().querySelector("[data-edit]");
  if (link) link.click();
  return Boolean(link);
}

export const rowKeys = { r: takeCursor, x: takeCursor, a: takeCursor, e: edit };

function onKey(event) {
  const isPlain = !event.metaKey && !event.ctrlKey && !event.altKey && !event.defaultPrevented;
  const isField = event.target.closest("input:not([type=checkbox]), textarea, select, button, summary, dialog");
  if (!isPlain || isField || document.documentElement.dataset.shortcuts === "off") return;
  const isSpaceOnBox = event.key === " " && event.target.matches("input[type=checkbox]");
  if (isSpaceOnBox) return;
  const acts = { j: () => move(1), k: () => move(-1), " ": () => toggle(event.shiftKey), "*": () => setAll(true), Escape: onEscape };
  if (acts[event.key]?.()) event.preventDefault();
}

// the open drawer closes first (its link carries data-key="Escape", see keys.js), the selection is cleared next
const onEscape = () => !document.querySelector("[data-key=Escape]") && setAll(false);

function onChange(event) {
  const box = event.target, panel = box.closest(".panel");
  if (panel && box.matches(".bulk input[name=all]")) {
    if (box.checked) setAll(true);
    refresh(panel);
  }
  if (!panel || !box.matches(".tick input[type=checkbox]")) return;
  if (box.closest("thead")) for (const other of ticks(panel)) mark(other, box.checked);
  else mark(box, box.checked);
  refresh(panel);
}

export function startRows() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("change", onChange);
  document.addEventListener("click", (event) => { if (event.target.closest("[data-act=clear-selection]")) setAll(false); });
  for (const panel of document.querySelectorAll(".panel:has(.tick)")) refresh(panel);
}
