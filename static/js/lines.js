// The editor of a definition ([data-lines]): numbers beside its lines, links that go to a line, Ctrl+Enter saves.
function numbersFor(field) {
  const gutter = document.createElement("div");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  field.before(gutter);
  const write = () => {
    const count = field.value.split("\n").length;
    if (gutter.childElementCount === count) return;
    gutter.replaceChildren(...Array.from({ length: count }, (_, at) => {
      const line = document.createElement("span");
      line.textContent = at + 1;
      return line;
    }));
  };
  field.addEventListener("input", write);
  field.addEventListener("scroll", () => { gutter.scrollTop = field.scrollTop; });
  write();
}

function goTo(field, number) {
  const lines = field.value.split("\n");
  const start = lines.slice(0, number - 1).reduce((sum, line) => sum + line.length + 1, 0);
  field.focus();
  field.setSelectionRange(start, start + (lines[number - 1] ?? "").length);
  field.scrollTop = Math.max(0, (number - 4) * (field.scrollHeight / lines.length));
}

export function startLines() {
  const field = document.querySelector("textarea[data-lines]");
  if (!field) return;
  numbersFor(field);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-line]");
    if (!link) return;
    event.preventDefault();
    goTo(field, Number(link.dataset.line));
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) field.form.requestSubmit();
  });
}
