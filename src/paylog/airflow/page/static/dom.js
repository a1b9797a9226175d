// Elements, numbers and moments. Text is only ever set as text: nothing of the data is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const whole = new Intl.NumberFormat("en-US");
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
export const number = (value) => whole.format(value);
export const compact = (value) => (Math.abs(value) < 10_000 ? whole.format(value) : short.format(value));
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

export function percent(share) {
  if (!share) return "0 %";
  return `${share >= 0.1 ? Math.round(share * 100) : share >= 0.001 ? (share * 100).toFixed(1) : "< 0.1"} %`;
}

export function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (size >= 1000 && step < units.length - 1) { size /= 1000; step += 1; }
  return `${step && size < 100 ? size.toFixed(1) : Math.round(size)} ${units[step]}`;
}

// Moments are UTC all over the page, as the windows are.
export const moment = (iso) => (iso ? new Date(iso).toISOString().slice(0, 16).replace("T", " ") : "never");
export const day = (iso) =>
  new Date(iso).toLocaleDateString("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

export function span(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export const ago = (iso, now) => (iso ? `${span(Math.max(0, (new Date(now) - new Date(iso)) / 1000))} ago` : "never");

export function period(start, end) {
  const [from, to] = [moment(start), moment(end)];
  const midnight = from.endsWith("00:00") && to.endsWith("00:00");
  if (midnight) {
    const last = new Date(new Date(end) - 86_400_000).toISOString().slice(0, 10);
    return from.slice(0, 10) === last ? last : `${from.slice(0, 10)} to ${last}`;
  }
  return from.slice(0, 10) === to.slice(0, 10) ? `${from} to ${to.slice(11)}` : `${from} to ${to}`;
}

const tip = () => document.getElementById("tip");

export function showTip(target, lines) {
  const box = tip();
  box.replaceChildren(...lines.map((line, index) => el("div", { class: index ? null : "tip-head" }, line)));
  box.hidden = false;
  const at = target.getBoundingClientRect ? target.getBoundingClientRect() : target;
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - width / 2), innerWidth - width - 8);
  const above = at.top - height - 8;
  box.style.left = `${left + scrollX}px`;
  box.style.top = `${(above > 4 ? above : at.bottom + 8) + scrollY}px`;
}

export const hideTip = () => { tip().hidden = true; };

export function withTip(node, lines) {
  const show = () => showTip(node, lines());
  for (const name of ["mouseenter", "focus"]) node.addEventListener(name, show);
  for (const name of ["mouseleave", "blur"]) node.addEventListener(name, hideTip);
  return node;
}

// Inside Airflow's frame only the frame may move; a link of the outer page moves all of it.
export function airflowLink(path, label, attributes) {
  const href = new URL(`..${path}`, document.baseURI).pathname + new URL(`..${path}`, document.baseURI).search;
  const follow = (event) => {
    if (parent === self || event.ctrlKey || event.metaKey || event.button) return;
    event.preventDefault();
    const outer = parent.document.createElement("a");
    outer.href = href;
    parent.document.body.append(outer);
    outer.click();
    outer.remove();
  };
  return el("a", { href, onclick: follow, ...attributes }, label);
}

export const runPath = (dag, run) => `/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}`;

export async function ask(path) {
  const answer = await fetch(new URL(`api/${path}`, document.baseURI), { credentials: "same-origin" });
  if (answer.ok) return answer.json();
  let detail = answer.statusText;
  try { detail = (await answer.json()).detail ?? detail; } catch { /* not JSON */ }
  throw Object.assign(new Error(typeof detail === "string" ? detail : answer.statusText), { status: answer.status });
}
