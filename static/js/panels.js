// A panel that htmx reloads: busy while it waits, and when the answer fails it says so itself; the page stays usable.
function failureBox(status, requestId) {
  const box = document.createElement("div");
  box.className = "hintbox warn panel-failure";
  box.setAttribute("role", "alert");
  const why = status ? `The server answered ${status}` : "The server did not answer";
  box.textContent = `${why}${requestId ? ` (request ${requestId})` : ""}. What you see is from before. Try again.`;
  return box;
}

const isLive = (event) => event.detail.elt?.id === "live";

function onStart(event) {
  if (!isLive(event)) event.detail.target?.setAttribute("aria-busy", "true");
}

function onEnd(event) {
  if (isLive(event)) return;
  const { target, xhr, successful } = event.detail;
  target?.removeAttribute("aria-busy");
  target?.querySelector(":scope > .panel-failure")?.remove();
  if (!successful) target?.prepend(failureBox(xhr.status, xhr.getResponseHeader("X-Request-Id")));
}

export function startPanels() {
  document.body.addEventListener("htmx:beforeRequest", onStart);
  document.body.addEventListener("htmx:afterRequest", onEnd);
}
