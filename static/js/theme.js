// The theme form of the user menu without loading the page again, and `t` for light or dark. The server keeps the choice.
const root = document.documentElement;
const isDark = () => getComputedStyle(root).colorScheme === "dark"
  || (root.dataset.theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);

function choose(form, theme) {
  root.dataset.theme = theme;
  root.dispatchEvent(new Event("themechange"));
  for (const button of form.querySelectorAll("button[name=theme]")) {
    button.setAttribute("aria-pressed", String(button.value === theme));
  }
  const fields = new FormData(form);
  fields.set("theme", theme);
  fetch(form.action, { method: "POST", body: fields, headers: { "X-Requested-With": "fetch" } });
}

const themeForm = () => document.querySelector("form[data-act=theme]");

export function toggleTheme() {
  if (themeForm()) choose(themeForm(), isDark() ? "light" : "dark");
}

export function startTheme() {
  themeForm()?.addEventListener("submit", (event) => {
    event.preventDefault();
    choose(event.currentTarget, event.submitter.value);
  });
}
