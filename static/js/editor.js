// A field of JSON ([data-json] names where its state is said): tells whether it can be read, with line and column, and
// lays it out. Texts are only re-indented, never parsed and written again: 1.10 stays 1.10, large numbers stay whole.
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

function place(text, index) {
  const before = text.slice(0, index).split("\n");
  return `line ${before.length}, column ${before.at(-1).length + 1}`;
}

// browsers tell the place in different words
function problem(text, error) {
  const lineColumn = /line (\d+) column (\d+)/.exec(error.message), position = /position (\d+)/.exec(error.message);
  if (lineColumn) return `Not JSON: line ${lineColumn[1]}, column ${lineColumn[2]}`;
  return `Not JSON: ${place(text, position ? Number(position[1]) : text.length)}`;
}

export function check(text) {
  try {
    const value = JSON.parse(text);
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    return isObject ? "" : "Must be a JSON object, in curly brackets";
  } catch (error) {
    return problem(text, error);
  }
}

export function layOut(text) {
  const tokens = text.match(TOKEN) ?? [];
  let depth = 0, written = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, at) => {
    const isEmpty = "{[".includes(token) && "}]".includes(tokens[at + 1] ?? " ");
    if ("}]".includes(token) && !"{[".includes(tokens[at - 1] ?? " ")) {
      depth -= 1;
      written += line();
    }
    written += token === ":" ? ": " : token;
    if (token === ",") written += line();
    if ("{[".includes(token) && !isEmpty) {
      depth += 1;
      written += line();
    }
  });
  return written;
}

function say(field) {
  const text = field.value, wrong = check(text), place = document.getElementById(field.dataset.json);
  const lines = text.split("\n").length, bytes = new TextEncoder().encode(text).length;
  const count = (number) => number.toLocaleString("en");
  place.textContent = wrong || `Valid, ${count(lines)} line${lines === 1 ? "" : "s"}, ${count(bytes)} bytes`;
  place.classList.toggle("errt", Boolean(wrong));
  place.classList.toggle("okt", !wrong);
  field.setAttribute("aria-invalid", String(Boolean(wrong)));
}

function onKey(event) {
  const field = event.target.closest?.("textarea[data-json]");
  if (field && event.key === "Enter" && (event.ctrlKey || event.metaKey)) field.form.requestSubmit();
}

export function startEditor() {
  const field = document.querySelector("textarea[data-json]");
  if (!field || field.readOnly) return;
  field.addEventListener("input", () => say(field));
  document.addEventListener("keydown", onKey);
  document.querySelector("[data-act=format]")?.addEventListener("click", () => {
    if (!check(field.value)) field.value = layOut(field.value);
    say(field);
  });
  say(field);
}
