// Rows by day, stacked by what became of them; and the share of rejects with the error budget.
import { el, svg, compact, percent, showTip, hideTip } from "./dom.js";
import { dayLines } from "./calendar.js";

const FATES = ["loaded", "duplicate", "filtered", "pending", "rejected"];
const LABELS = { loaded: "loaded", duplicate: "duplicate", filtered: "filtered", pending: "pending", rejected: "rejected" };
const HEIGHT = 190, SHARE = 96, LEFT = 46, BOTTOM = 20, TOP = 8;

function nice(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((top) => top >= most);
}

function axis(chart, width, height, top, text) {
  for (const part of [0, 0.5, 1]) {
    const y = TOP + (1 - part) * (height - BOTTOM - TOP);
    chart.append(svg("line", { class: "grid", x1: LEFT, x2: width, y1: y, y2: y }),
      svg("text", { class: "tick", x: LEFT - 8, y: y + 4, "text-anchor": "end" }, text(top * part)));
  }
}

function dates(chart, days, width, height) {
  const step = (width - LEFT) / days.length, every = Math.max(1, Math.ceil(70 / step));
  const long = days.length > 120;
  let last = -Infinity;
  days.forEach((entry, index) => {
    const first = entry.day.slice(8) === "01";
    const due = long ? first : index % every === 0;
    const x = LEFT + index * step;
    if (!due || x - last < 44 || x > width - 30) return;
    last = x;
    const text = new Date(entry.day).toLocaleDateString("en-GB", long ? { month: "short", timeZone: "UTC" } : { day: "numeric", month: "short", timeZone: "UTC" });
    chart.append(svg("text", { class: "tick", x, y: height - 4 }, text));
  });
}

function cursor(chart, days, width, height) {
  const step = (width - LEFT) / days.length;
  const line = svg("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
  chart.append(line);
  let here = days.length - 1;
  const show = (index) => {
    here = Math.max(0, Math.min(days.length - 1, index));
    const x = LEFT + (here + 0.5) * step, box = chart.getBoundingClientRect();
    line.setAttribute("x1", x); line.setAttribute("x2", x); line.setAttribute("visibility", "visible");
    const left = box.left + (x / width) * box.width;
    showTip({ getBoundingClientRect: () => ({ left, width: 0, top: box.top + 14, bottom: box.bottom }) }, dayLines(days[here]));
  };
  const hide = () => { line.setAttribute("visibility", "hidden"); hideTip(); };
  chart.addEventListener("mousemove", (event) => {
    const box = chart.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * width;
    if (x < LEFT) hide(); else show(Math.floor((x - LEFT) / step));
  });
  chart.addEventListener("mouseleave", hide);
  chart.addEventListener("focus", () => show(here));
  chart.addEventListener("blur", hide);
  chart.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -7, PageDown: 7 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    show(here + by);
  });
}

function frame(width, height, label) {
  return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": label });
}

// A bar a day as one path a fate: a year is five elements, not two thousand.
function bars(days, width, height, top, heights, classes) {
  const step = (width - LEFT) / days.length, gap = step > 5 ? Math.min(4, step * 0.22) : step > 2.4 ? 0.6 : 0;
  const unit = (height - BOTTOM - TOP) / top;
  const floor = days.map(() => height - BOTTOM);
  return classes.map((name, layer) => {
    const parts = [];
    days.forEach((entry, index) => {
      const value = heights(entry)[layer];
      if (!value) return;
      const size = Math.max(value * unit, 0.7);
      floor[index] -= size;
      parts.push(`M${(LEFT + index * step + gap / 2).toFixed(1)} ${floor[index].toFixed(1)}h${(step - gap).toFixed(2)}v${size.toFixed(1)}h-${(step - gap).toFixed(2)}z`);
    });
    return parts.length ? svg("path", { class: `fate ${name}`, d: parts.join("") }) : null;
  }).filter(Boolean);
}

export function rowsChart(days, width) {
  const most = Math.max(...days.map((entry) => entry.read));
  if (!most) return el("p", { class: "nothing" }, "Nothing was read in these days.");
  const top = nice(most), chart = frame(width, HEIGHT, `Rows read by day, up to ${compact(most)} a day`);
  axis(chart, width, HEIGHT, top, compact);
  chart.append(...bars(days, width, HEIGHT, top, (entry) => FATES.map((fate) => entry[fate]), FATES));
  dates(chart, days, width, HEIGHT);
  cursor(chart, days, width, HEIGHT);
  const shown = FATES.filter((fate) => days.some((entry) => entry[fate]));
  return el("div", null, el("div", { class: "legend" }, shown.map((fate) => el("span", null, el("i", { class: `swatch ${fate}` }), LABELS[fate]))), chart);
}

export function rejectsChart(days, budget, width) {
  const share = (entry) => (entry.read ? entry.rejected / entry.read : 0);
  const most = Math.max(...days.map(share));
  if (!most) return el("p", { class: "nothing" }, "No row was rejected in these days.");
  const shown = budget !== null && budget < 4 * most;
  const top = nice(Math.max(most, shown ? budget * 1.05 : 0)), height = SHARE;
  const chart = frame(width, height, `Share of rejected rows by day, up to ${percent(most)}`);
  axis(chart, width, height, top, percent);
  chart.append(...bars(days, width, height, top, (entry) => [share(entry)], ["rejected"]));
  if (shown) {
    const y = TOP + (1 - budget / top) * (height - BOTTOM - TOP);
    chart.append(svg("line", { class: "budget", x1: LEFT, x2: width, y1: y, y2: y }),
      svg("text", { class: "tick budget-text", x: width - 4, y: y - 4, "text-anchor": "end" }, `error budget ${percent(budget)}`));
  }
  dates(chart, days, width, height);
  cursor(chart, days, width, height);
  return chart;
}
