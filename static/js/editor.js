// A field of JSON ([data-json] names where its state is said): tells whether it can be read, with line and column, and
// lays it out. Texts are only re-indented, never parsed and written again: 1.10 stays 1.10, large numbers stay whole.
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

const BLANK = /[ \t\n\r]*/y, NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y, WORD = /true|false|null/y;
const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;

// reads JSON for the place of its first mistake: what browsers say about it names no place in half of the cases
class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }
  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return Boolean(found);
  }
  sign(mark) {
    this.take(BLANK);
    const isThere = this.text[this.at] === mark;
    if (isThere) this.at += 1;
    return isThere;
  }
  need(isThere) {
    if (!isThere) throw this;
  }
  value() {
    this.take(BLANK);
    if (this.sign("{")) this.list("}", () => this.field());
    else if (this.sign("[")) this.list("]", () => this.value());
    else this.need(this.take(STRING) || this.take(NUMBER) || this.take(WORD));
  }
  field() {
    this.take(BLANK);
    this.need(this.take(STRING));
    this.need(this.sign(":"));
    this.value();
  }
  list(end, part) {
    if (this.sign(end)) return;
    do part(); while (this.sign(","));
    this.need(this.sign(end));
  }
  end() {
    this.take(BLANK);
    this.need(this.at === this.text.length);
  }
}

function place(text, index) {
  const before = text.slice(0, index).split("\n");
  return `line ${before.length}, column ${before.at(-1).length + 1}`;
}

export function check(text) {
  const reader = new Reader(text);
  try {
    reader.value();
    reader.end();
  } catch (error) {
    if (error !== reader) return "Nested too deep";
    return `Not JSON: ${place(text, reader.at)}`;
  }
  return text.trimStart().startsWith("{") ? "" : "Must be a JSON object, in curly brackets";
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
  place.classList.remove("dim");
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
