// <details class="menu"> opens without a script; here it also closes: on Esc, on a click outside, when focus leaves.
const openMenus = () => [...document.querySelectorAll("details.menu[open]")];

function closeOthers(target) {
  for (const menu of openMenus()) if (!menu.contains(target)) menu.open = false;
}

function onEscape(event) {
  if (event.key !== "Escape") return;
  for (const menu of openMenus()) {
    const hadFocus = menu.contains(document.activeElement);
    menu.open = false;
    if (hadFocus) menu.querySelector("summary").focus();
    event.preventDefault();
  }
}

export function startMenus() {
  document.addEventListener("keydown", onEscape);
  document.addEventListener("click", (event) => {
    closeOthers(event.target);
    event.target.closest("[data-act=dismiss]")?.closest(".toast").remove();
  });
  document.addEventListener("focusin", (event) => closeOthers(event.target));
}
