// A year as weeks by days: one cell a day, its state by colour and by shape, its rows by shade.
import { el, svg, withTip, number, plural, day as dayText, percent } from "./dom.js";

const PITCH = 15, SIZE = 12, LEFT = 30, TOP = 18;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
export const STATES = {
  complete: "Complete", empty: "Complete, nothing was written", partial: "Partly loaded", missing: "Missing",
  failed: "Failed", early: "Before the first window", future: "Not due yet",
};

// Monday is row 0.
const weekday = (iso) => (new Date(iso).getUTCDay() + 6) % 7;

export function dayLines(entry) {
  const share = entry.read ? entry.rejected / entry.read : 0;
  const lines = [`${dayText(entry.day)} · ${STATES[entry.state]}`];
  if (!entry.read) return lines;
  lines.push(`${plural(entry.objects, "object")}, ${plural(entry.read, "row")} read`);
  lines.push(`${number(entry.loaded)} loaded`);
  if (entry.duplicate) lines.push(`${number(entry.duplicate)} duplicate`);
  if (entry.rejected) lines.push(`${number(entry.rejected)} rejected (${percent(share)})`);
  if (entry.filtered) lines.push(`${number(entry.filtered)} filtered`);
  if (entry.pending) lines.push(`${number(entry.pending)} pending`);
  return lines;
}

function shades(days) {
  const loaded = days.map((entry) => entry.loaded).filter(Boolean).sort((a, b) => a - b);
  const bounds = [0.25, 0.5, 0.75].map((share) => loaded[Math.floor(share * loaded.length)] ?? 0);
  // Hardly any difference between the days is no pattern: then they look alike.
  const even = loaded.length && loaded.at(-1) < 1.3 * loaded[0];
  return (entry) => (even ? 2 : bounds.filter((bound) => entry.loaded > bound).length);
}

function mark(state, x, y) {
  const corner = 2.5;
  if (state === "partial") return svg("path", { class: "mark half", d: `M${x + corner} ${y}H${x + SIZE - 1}L${x} ${y + SIZE - 1}V${y + corner}q0-${corner} ${corner}-${corner}z` });
  if (state === "failed") return svg("path", { class: "mark cross", d: `M${x + 4} ${y + 4}l4 4m0-4l-4 4` });
  if (state === "future") return svg("circle", { class: "mark dot", cx: x + SIZE / 2, cy: y + SIZE / 2, r: 1.2 });
  return null;
}

function cell(entry, column, shade, select) {
  const x = LEFT + column * PITCH, y = TOP + weekday(entry.day) * PITCH;
  const node = svg("g", { class: `day ${entry.state} shade${shade(entry)}`, tabindex: -1, role: "button",
    "data-day": entry.day, "aria-label": dayLines(entry).join(", ") },
    svg("rect", { class: "box", x: x + 0.5, y: y + 0.5, width: SIZE - 1, height: SIZE - 1, rx: 2.5 }),
    mark(entry.state, x, y),
    entry.rejected > 0 && entry.state !== "failed" && entry.rejected / entry.read >= 0.02
      ? svg("circle", { class: "mark rejects", cx: x + SIZE - 3, cy: y + 3, r: 2.5 }) : null);
  node.addEventListener("click", () => select(entry, node));
  return withTip(node, () => dayLines(entry));
}

function move(event, grid) {
  const steps = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -7, ArrowRight: 7 };
  const cells = [...grid.querySelectorAll(".day")];
  const here = cells.indexOf(document.activeElement);
  if (event.key in steps) cells[Math.min(cells.length - 1, Math.max(0, here + steps[event.key]))]?.focus();
  else if (event.key === "Home") cells[0]?.focus();
  else if (event.key === "End") cells.at(-1)?.focus();
  else if (event.key === "Enter" || event.key === " ") document.activeElement.dispatchEvent(new Event("click"));
  else return;
  event.preventDefault();
}

export function calendar(days, select) {
  const shade = shades(days), offset = weekday(days[0].day);
  const columns = Math.ceil((days.length + offset) / 7);
  const grid = svg("svg", { class: "calendar", role: "group", "aria-label": "Coverage by day, arrow keys move",
    viewBox: `0 0 ${LEFT + columns * PITCH} ${TOP + 7 * PITCH}`, "--columns": columns });
  ["Mon", "Wed", "Fri"].forEach((name, index) =>
    grid.append(svg("text", { x: 0, y: TOP + 2 * index * PITCH + 10 }, name)));
  let month = null;
  days.forEach((entry, index) => {
    const column = Math.floor((index + offset) / 7), its = Number(entry.day.slice(5, 7)) - 1;
    if (its !== month && (Number(entry.day.slice(8)) <= 7 || index === 0) && (month !== null || columns - column > 2)) {
      if (index || Number(entry.day.slice(8)) <= 14) grid.append(svg("text", { x: LEFT + column * PITCH, y: 10 }, MONTHS[its]));
      month = its;
    }
    grid.append(cell(entry, column, shade, (chosen, node) => {
      grid.querySelector(".chosen")?.classList.remove("chosen");
      node.classList.add("chosen");
      select(chosen);
    }));
  });
  const cells = grid.querySelectorAll(".day");
  cells[cells.length - 1]?.setAttribute("tabindex", 0);
  grid.addEventListener("focusin", (event) => {
    grid.querySelector('[tabindex="0"]')?.setAttribute("tabindex", -1);
    event.target.setAttribute("tabindex", 0);
  });
  grid.addEventListener("keydown", (event) => move(event, grid));
  return el("div", { class: "calendar-frame" }, grid);
}

export function legend() {
  const swatch = (state, shade) => {
    const picture = svg("svg", { width: SIZE, height: SIZE, "aria-hidden": true },
      svg("g", { class: `day ${state} shade${shade}` },
        svg("rect", { class: "box", x: 0.5, y: 0.5, width: SIZE - 1, height: SIZE - 1, rx: 2.5 }), mark(state, 0, 0)));
    return picture;
  };
  const entry = (state, label) => el("span", null, swatch(state, 2), label);
  return el("div", { class: "legend" },
    el("span", null, "fewer rows", [0, 1, 2, 3].map((shade) => swatch("complete", shade)), "more"),
    entry("empty", "nothing written"), entry("partial", "partial"), entry("missing", "missing"),
    entry("failed", "failed"), entry("future", "not due"),
    el("span", null, svg("svg", { width: 8, height: 8, "aria-hidden": true }, svg("circle", { class: "mark rejects", cx: 4, cy: 4, r: 3 })), "2 % rejected or more"));
}

export function strip(days) {
  const state = Object.fromEntries(days);
  const count = (wanted) => days.filter((entry) => entry[1] === wanted).length;
  const label = `Last ${days.length} days: ${["complete", "empty", "partial", "missing", "failed"].filter(count).map((name) => `${count(name)} ${name}`).join(", ")}`;
  const picture = svg("svg", { class: "strip", viewBox: `0 0 ${days.length * 9} 20`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  Object.keys(state).forEach((iso, index) =>
    picture.append(withTip(svg("rect", { class: `bar ${state[iso]}`, x: index * 9, y: 0, width: 7, height: 20, rx: 1.5 }),
      () => [`${dayText(iso)} · ${STATES[state[iso]]}`])));
  return picture;
}
