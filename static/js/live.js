// Live updates: asks /live/ whether anything on this page has changed, and htmx swaps the cells that have.
// <body data-live="/live/?t=run:48213,flow:so&v=91827" data-live-every="3">. The answer is 204 if nothing changed,
// else fragments to swap out of band; its Live-Version header is the next `v`. A server with much to do asks in
// Live-Wait for more seconds than usual.
import { age, serverNow, setServerTime } from "./times.js";

const BACK_OFF_S = [3, 6, 12, 30];
const MISSES_BEFORE_NOTICE = 2;
const body = document.body;
const control = document.getElementById("livectl");
const poller = document.getElementById("live");
const part = (name) => control.querySelector(`[data-live-${name}]`);
const everyMs = 1000 * Number(body.dataset.liveEvery);

const address = new URL(body.dataset.live, location.href);
let misses = 0, isPaused = false, isAsking = false, lastAnswer = serverNow(), nextTry = lastAnswer + everyMs;

function ask() {
  isAsking = true;
  body.dispatchEvent(new CustomEvent("live:tick"));
}

function tick() {
  if (!isPaused && !isAsking && !document.hidden && serverNow() >= nextTry) ask();
  if (misses >= MISSES_BEFORE_NOTICE) showNotice();
}

function onAnswer(event) {
  if (event.detail.elt !== poller) return;
  isAsking = false;
  const { xhr, successful } = event.detail;
  const version = successful && xhr.getResponseHeader("Live-Version");
  if (successful && (version || xhr.status === 204)) accept(xhr, version);
  else miss();
}

function accept(xhr, version) {
  setServerTime(xhr.getResponseHeader("Date"));
  if (version) address.searchParams.set("v", version);
  misses = 0;
  lastAnswer = serverNow();
  nextTry = lastAnswer + Math.max(everyMs, 1000 * Number(xhr.getResponseHeader("Live-Wait")));
  hideNotice();
}

function miss() {
  const wait = BACK_OFF_S[Math.min(misses, BACK_OFF_S.length - 1)];
  misses += 1;
  nextTry = serverNow() + wait * 1000;
  if (misses === MISSES_BEFORE_NOTICE) part("said").textContent = "Live updates stopped: no answer from the server.";
}

function showNotice() {
  part("on").hidden = true;
  part("off").hidden = false;
  const wait = Math.max(0, Math.ceil((nextTry - serverNow()) / 1000));
  part("text").textContent = `Live updates stopped ${age(lastAnswer)}, next try in ${wait} s.`;
}

function hideNotice() {
  part("on").hidden = false;
  part("off").hidden = true;
  part("said").textContent = "";
  const clock = part("on").querySelector("time[data-clock]");
  const form = { timeZone: clock.dataset.clock, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  clock.dateTime = new Date(lastAnswer).toISOString();
  clock.textContent = `${new Date(lastAnswer).toLocaleTimeString("en-GB", form)} ${clock.dataset.zoneName}`;
}

function pause(button) {
  isPaused = !isPaused;
  button.setAttribute("aria-pressed", String(isPaused));
  button.title = isPaused ? "Go on with live updates (p)" : "Pause live updates (p)";
  button.querySelector("[data-when=on]").hidden = isPaused;
  button.querySelector("[data-when=paused]").hidden = !isPaused;
  part("word").textContent = isPaused ? "Paused" : "Live";
  if (!isPaused) nextTry = serverNow();
}

// what has not changed stays as it is: no swap, no line under it
function keepIfSame(event) {
  if (event.detail.fragment.firstElementChild?.isEqualNode(event.detail.target)) event.preventDefault();
}

// a line under what has changed; the class goes again so that the next change shows too
function underline(event) {
  const changed = document.getElementById(event.detail.target.id);
  changed?.classList.add("updated");
  changed?.addEventListener("animationend", () => changed.classList.remove("updated"), { once: true });
}

body.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.elt === poller) event.detail.path = address.pathname + address.search;
});
body.addEventListener("htmx:afterRequest", onAnswer);
body.addEventListener("htmx:oobBeforeSwap", keepIfSame);
body.addEventListener("htmx:oobAfterSwap", underline);
document.addEventListener("visibilitychange", tick);
part("pause").addEventListener("click", (event) => pause(event.currentTarget));
part("now").addEventListener("click", () => { nextTry = serverNow(); tick(); });
setInterval(tick, 1000);
