// Keyboard shortcuts. Markup declares them: <button data-key="r">, <a data-key="g d">. Pressing one clicks the first
// visible element that carries it; a field is focused instead, and so is an element with data-key-focus, which is
// clicked only when pressed again: no mass action by accident.
const PREFIX_WAIT_MS = 1200;
let prefix = "", prefixTimer = 0, own = {};

const isTyping = (target) => Boolean(target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]"));
const isOff = () => document.documentElement.dataset.shortcuts === "off";

export function shown(key) {
  const found = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)];
  // what is on the page itself comes before what stands around every page: `/` is the search of the list
  found.sort((one, other) => Boolean(other.closest("#main")) - Boolean(one.closest("#main")));
  return found.find((element) => element.checkVisibility() && element.getAttribute("aria-disabled") !== "true");
}

function press(element) {
  const isField = element.matches("input, textarea, select");
  const asksTwice = element.hasAttribute("data-key-focus") && document.activeElement !== element;
  if (isField || asksTwice || element.matches("summary")) element.focus();
  if (!isField && !asksTwice) element.click();
}

function remember(key) {
  prefix = key;
  clearTimeout(prefixTimer);
  prefixTimer = setTimeout(() => { prefix = ""; }, PREFIX_WAIT_MS);
}

function openList() {
  document.getElementById("keys")?.showModal();
}

function onKey(event) {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  if (isOff() || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const key = prefix ? `${prefix} ${event.key}` : event.key;
  remember("");
  if (key === "g") {
    remember("g");
    return;
  }
  const isDone = Boolean(own[key]) && own[key]() !== false;
  const element = isDone ? null : shown(key);
  if (element) press(element);
  if (isDone || element) event.preventDefault();
}

// `functions`: what a key does before the element that carries it is looked for; anything but false: it was all
export function startKeys(functions) {
  own = { ...functions, "?": openList };
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => { if (event.target.closest("[data-act=keys]")) openList(); });
}
