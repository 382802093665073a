// The charts of Analytics. Their numbers stand in <data> elements, which live updates replace; uPlot draws them.
// One cursor for all charts; a drag is a link to that time; colour comes from the tokens, dashes and names repeat it.
/* global uPlot */
const board = document.getElementById("charts") ?? document.createElement("div");
const boxes = [...document.querySelectorAll("[data-chart]")];
const said = document.getElementById("charts-said");
const zone = board.dataset.zone;
const plots = new Map(); // box -> its plot
const MARGIN = { width: 12, height: 8 };
const DAY_S = 86400;
// how time is written along the axis: from this step on, its form, and what is added where a year or a day begins
const TIMES = [
  [DAY_S * 365, "{YYYY}", null, null, null, null, null, null, 1],
  [DAY_S * 28, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [DAY_S, "{D} {MMM}", null, null, null, null, null, null, 1],
  [3600, "{HH}:00", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
];
const valueOf = (id) => document.getElementById(id).value;
const count = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

// what depends on a token or on the pointer is a rule in a sheet of its own: elements carry no styles
function ownSheet() {
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  return sheet;
}
const ink = ownSheet(), tipPlace = ownSheet();
const probe = board.appendChild(document.createElement("i"));
probe.id = "chart-ink";
probe.hidden = true;
function colorOf(token) {
  ink.replaceSync(`#chart-ink { color: var(--${token}); }`);
  return getComputedStyle(probe).color;
}

// --- the numbers -----------------------------------------------------------------------------------------------------
const numbers = (text) => text.split(",").map((part) => (part === "" ? null : Number(part)));
const starts = () => numbers(valueOf("chart-starts"));
const labels = () => valueOf("chart-labels").split("|");
const dataOf = (box) => [starts(), ...valueOf(`values-${box.dataset.chart}`).split(";").map(numbers)];
const pointOf = (second, all = starts()) => Math.max(0, all.findLastIndex((start) => start <= second));

function streams() {
  return [...document.querySelectorAll("[data-stream]")].map((chip) => {
    const line = chip.querySelector("line");
    const dash = line.getAttribute("stroke-dasharray").split(" ").filter(Boolean).map(Number);
    return { name: chip.querySelector("span").textContent, isOff: "off" in chip.dataset, line, dash };
  });
}

function changes() {
  return [...document.querySelectorAll("#changes [data-at]")]
    .map((item) => ({ second: Number(item.dataset.at), text: item.dataset.mark, href: item.querySelector("a").href }));
}

// --- changes: a dashed line in every chart, with its words where they have room ----------------------------------------
const FONT = "Inter, sans-serif";
const MOST_LETTERS = 44;
const brief = (text) => (text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text);

function drawLines(plot) {
  const { ctx, bbox } = plot, ratio = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = colorOf("text-3");
  ctx.lineWidth = ratio;
  ctx.setLineDash([4 * ratio, 3 * ratio]);
  for (const { second } of changes()) {
    const x = Math.round(plot.valToPos(second, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}

function drawWords(plot) {
  const { ctx, bbox } = plot, ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11 * ratio}px ${FONT}`;
  let free = bbox.left + bbox.width; // newest first, so that what is left without words is older
  for (const { second, text } of changes()) {
    const x = Math.round(plot.valToPos(second, "x", true)), words = brief(text);
    const width = ctx.measureText(words).width + 9 * ratio;
    if (x > free || x - width < bbox.left) continue;
    ctx.fillStyle = colorOf("surface");
    ctx.fillRect(x - width, bbox.top - 2 * ratio, width - 2 * ratio, 17 * ratio);
    ctx.fillStyle = colorOf("text-2");
    ctx.textAlign = "right";
    ctx.fillText(words, x - 5 * ratio, bbox.top + 11 * ratio);
    free = x - width;
  }
  ctx.restore();
}

// --- the point under the cursor ----------------------------------------------------------------------------------------
function element(name, text = "", ...children) {
  const made = document.createElement(name);
  made.textContent = text;
  made.append(...children);
  return made;
}

function readings(box, place) {
  const [, ...values] = dataOf(box), suffix = box.dataset.suffix ? ` ${box.dataset.suffix}` : "";
  return streams()
    .map((stream, index) => ({ ...stream, value: values[index][place] }))
    .filter(({ isOff, value }) => !isOff && value !== null)
    .sort((one, other) => other.value - one.value)
    .map((stream) => ({ ...stream, text: count.format(stream.value) + suffix }));
}

function happened(place) {
  const all = starts(), until = all[place + 1] ?? Number(board.dataset.until);
  return changes().filter(({ second }) => second >= all[place] && second < until);
}

function tableOf(box, place) {
  const table = element("table");
  table.append(element("caption", `${labels()[place]}, ${board.dataset.point}`));
  for (const { line, name, text } of readings(box, place)) {
    const head = element("th");
    head.append(line.ownerSVGElement.cloneNode(true), name);
    table.append(element("tr", "", head, element("td", text)));
  }
  for (const { text } of happened(place)) {
    const cell = element("td", text);
    cell.colSpan = 2;
    table.append(element("tr", "", cell));
  }
  return table;
}

const isWatched = (box) => box.matches(":hover") || box === document.activeElement;

function showTip(plot, box, tip) {
  const { idx, left } = plot.cursor;
  tip.hidden = idx === null || idx === undefined || left < 0 || !isWatched(box);
  if (tip.hidden) return;
  tip.replaceChildren(tableOf(box, idx));
  const at = left + plot.over.offsetLeft, width = tip.offsetWidth;
  const right = at + 16, fits = right + width <= box.clientWidth;
  tipPlace.replaceSync(`.tip { left: ${fits ? right : Math.max(0, at - width - 16)}px; }`);
}

// --- a mark of a change is a link: by a click near its line, or by Enter at its point ------------------------------------
const NEAR_PX = 6;
const markAt = (plot, x) => changes().find(({ second }) => Math.abs(plot.valToPos(second, "x") - x) <= NEAR_PX);

function openMark(mark) {
  if (mark && !isLeaving) location.assign(mark.href);
}

function followMarks(plot) {
  plot.over.addEventListener("click", (event) => openMark(markAt(plot, event.offsetX)));
  plot.over.addEventListener("mousemove", ({ offsetX }) => {
    plot.over.classList.toggle("at-mark", markAt(plot, offsetX) !== undefined);
  });
}

function moveCursor(box, place) {
  const plot = plots.get(box), all = starts();
  const to = Math.min(all.length - 1, Math.max(0, place));
  plot.setCursor({ left: plot.valToPos(all[to], "x"), top: 20 });
  said.textContent = [labels()[to], ...readings(box, to).map(({ name, text }) => `${name} ${text}`)].join(", ");
}

function onKey(event) {
  const box = event.currentTarget, last = starts().length - 1, now = plots.get(box).cursor.idx ?? last + 1;
  if (event.key === "Enter" && now <= last) openMark(happened(now)[0]);
  const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  moveCursor(box, to);
}

// --- a drag is a link --------------------------------------------------------------------------------------------------
const LEAST_DRAG_PX = 8;
let isLeaving = false; // the other charts hear of the same drag

function goTo(plot) {
  const { left, width } = plot.select;
  if (isLeaving || width < LEAST_DRAG_PX) return;
  const all = starts(), [first, last] = [left, left + width].map((x) => pointOf(plot.posToVal(x, "x"), all));
  if (board.dataset.unit === "minute" && last - first < 1) return;
  isLeaving = true;
  const iso = (second) => `${new Date(second * 1000).toISOString().slice(0, 16)}Z`;
  const address = new URL(location.href);
  address.searchParams.delete("range");
  address.searchParams.set("from", iso(all[first]));
  address.searchParams.set("to", iso(all[last + 1] ?? Number(board.dataset.until)));
  address.hash = "";
  location.assign(address);
}

// --- drawing -----------------------------------------------------------------------------------------------------------
const sizeOf = (box) => ({ width: box.clientWidth - MARGIN.width, height: box.clientHeight - MARGIN.height });

function seriesOf(data) {
  return streams().map(({ name, isOff, line, dash }, index) => ({
    label: name,
    show: !isOff,
    stroke: getComputedStyle(line).stroke,
    width: 1.5,
    dash,
    spanGaps: true,
    points: { show: data[index + 1].filter((value) => value !== null).length < 2 },
  }));
}

function draw(box) {
  const data = dataOf(box), axis = colorOf("text-3"), grid = { stroke: colorOf("grid"), width: 1 };
  const tip = element("div");
  tip.className = "tip";
  tip.hidden = true;
  const common = { stroke: axis, grid, ticks: { show: false }, font: `11px ${FONT}` };
  const plot = new uPlot({
    ...sizeOf(box),
    padding: [8, 24, 0, 0],
    legend: { show: false },
    tzDate: (second) => uPlot.tzDate(new Date(second * 1000), zone),
    cursor: {
      sync: { key: "analytics" }, y: false, points: { size: 7 }, focus: { prox: 16 },
      drag: { x: true, y: false, setScale: false },
    },
    focus: { alpha: 0.25 },
    scales: { y: { range: (_, least, most) => [0, (most || 1) * 1.08] } },
    axes: [
      { ...common, space: 56, size: 36, values: TIMES },
      { ...common, size: 52, incrs: [1, 2, 5].flatMap((n) => [n, n * 10, n * 100, n * 1e3, n * 1e4, n * 1e5, n * 1e6])
        .sort((one, other) => one - other), values: (_, ticks) => ticks.map((tick) => count.format(tick)) },
    ],
    series: [{}, ...seriesOf(data)],
    hooks: {
      drawClear: [drawLines],
      draw: [drawWords],
      setCursor: [(plot) => showTip(plot, box, tip)],
      setSelect: [goTo],
    },
  }, data, box);
  box.append(tip);
  followMarks(plot);
  plots.set(box, plot);
}

function drawAll() {
  for (const box of boxes) {
    plots.get(box)?.destroy();
    box.replaceChildren();
    draw(box);
  }
}

let isDue = false;
function drawSoon() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; drawAll(); });
}

function onSwap(event) {
  if (/^(values-|chart-|changes$)/.test(event.detail.target.id)) drawSoon();
}

if (boxes.length) {
  document.fonts.ready.then(drawAll);
  document.documentElement.addEventListener("themechange", drawSoon);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawSoon);
  document.body.addEventListener("htmx:oobAfterSwap", onSwap);
  const watcher = new ResizeObserver((entries) => {
    for (const { target } of entries) plots.get(target)?.setSize(sizeOf(target));
  });
  for (const box of boxes) {
    watcher.observe(box);
    box.addEventListener("keydown", onKey);
    box.addEventListener("blur", () => { box.querySelector(".tip").hidden = true; });
  }
}
