// Times that grow old on the screen: ages ("4 min ago") and countdowns ("0:48"), by the server's clock.
// The words are those of apps/console/wording.py.
let offsetMs = 0;

export const serverNow = () => Date.now() + offsetMs;

// `Date` headers have whole seconds, so only an offset of more than a second means a clock that is really off
export function setServerTime(header) {
  const measured = Date.parse(header) - Date.now();
  if (Number.isFinite(measured)) offsetMs = Math.abs(measured) > 1500 ? measured : 0;
}

function span(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size).toLocaleString("en")} ${unit}`;
  }
  return `${seconds} s`;
}

export function age(moment) {
  const seconds = Math.round((serverNow() - moment) / 1000);
  if (seconds === 0) return "now";
  return seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
}

export function countdown(moment) {
  const left = Math.max(0, Math.round((moment - serverNow()) / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(left / 3600), minutes = Math.floor(left / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
}

function write(selector, words) {
  for (const element of document.querySelectorAll(selector)) {
    const text = words(Date.parse(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
}

export function startTimes() {
  setInterval(() => {
    if (document.hidden) return;
    write("time[data-at]", countdown);
    write("time[data-age]", age);
  }, 1000);
}
