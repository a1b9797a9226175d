// One subscription: where it stands, its calendar, its charts, its rejects, its last runs.
import { el, ask, number, compact, percent, plural, moment, ago, span, period, bytes, day as dayText, airflowLink, runPath } from "./dom.js";
import { calendar, legend, dayLines, STATES } from "./calendar.js";
import { rowsChart, rejectsChart } from "./charts.js";
import { quarantine } from "./rejects.js";
import { pill } from "./overview.js";

const DAY = 86_400_000;
const iso = (time) => new Date(time).toISOString().slice(0, 10);

function head(about) {
  return el("header", { class: "head" },
    el("div", null, el("nav", { class: "crumbs", "aria-label": "Breadcrumb" }, el("a", { href: "./" }, "Payload"), " / "),
      el("h1", null, about.id, " ", pill(about)),
      el("p", { class: "muted" }, `${about.deployment} · ${about.provider} · ${about.schedule} ${about.timezone} · all times UTC`)),
    el("div", { class: "links" }, airflowLink(`/dags/${encodeURIComponent(about.dag)}`, "DAG", { class: "button" }),
      about.training_dag ? airflowLink(`/dags/${encodeURIComponent(about.training_dag)}`, "Training data DAG", { class: "button" }) : null));
}

function tile(name, value, note, tone) {
  return el("div", { class: `tile ${tone ?? ""}` }, el("div", { class: "tile-name" }, name), el("div", { class: "tile-value" }, value), el("div", { class: "muted" }, note));
}

function watermark(about) {
  if (!about.complete_through) return tile("Complete through", "never", "it has not run yet");
  const late = about.late_objects ? `${plural(about.late_objects, "object")} came late` : "no object came late";
  const behind = about.behind ? `${span(about.behind)} behind, ` : "";
  return tile("Complete through", moment(about.complete_through), `${behind}${late}`, about.behind ? "late" : "good");
}

function trainingTile(training) {
  if (!training) return tile("Training data", "none", "not declared", "quiet");
  const tone = { passed: "good", warning: "late", error: "bad" }[training.status];
  const found = training.findings.length ? plural(training.findings.length, "finding") : training.rows === null ? "not read" : `${number(training.rows)} rows`;
  return tile("Training data", training.status, found, tone);
}

function deliveryTile(delivery) {
  const open = delivery.open ? `${compact(delivery.open)} open` : "nothing open";
  return tile("Delivered to OpenScale", compact(delivery.confirmed), delivery.failed ? `${compact(delivery.failed)} failed, ${open}` : open, delivery.failed ? "bad" : delivery.open ? "late" : "good");
}

function tiles(about, total) {
  const held = about.rejects.reduce((sum, each) => sum + each.rows, 0);
  const budget = about.budget.share === null ? "no budget by share" : `error budget ${percent(about.budget.share)} of a batch`;
  return el("div", { class: "tiles" }, watermark(about),
    tile("Rows loaded", compact(total.loaded), `${compact(about.activity.loaded)} in the last 24 h, of ${plural(total.objects, "object")} in all`),
    tile("In quarantine", compact(held), held ? `${percent(held / total.read)} of all read · ${budget}` : budget, held ? "late" : "good"),
    trainingTile(about.training),
    about.delivery ? deliveryTile(about.delivery) : null,
    about.waiting ? tile("Halves of pairs waiting", compact(about.waiting), "for the other half, in a later object") : null);
}

function alerts(about, now) {
  return about.alerts.map((alert) => el("section", { class: "banner bad", role: "alert" },
    el("strong", null, alert.cause.replaceAll("_", " ")), " ", alert.summary,
    el("span", { class: "muted" }, ` · since ${ago(alert.opened_at, now).replace(" ago", "")}${alert.times > 1 ? `, seen ${number(alert.times)} times` : ""}`)));
}

// A run that the paylog command made is not one of Airflow's.
const runLink = ({ dag, run_id: run }) => (dag ? airflowLink(runPath(dag, run), "run") : el("span", { class: "muted" }, run));

function running(about) {
  return about.running.map((run) => el("section", { class: "banner" },
    el("strong", null, `${run.active ? "Loading" : "Not finished:"} ${period(...run.window)}`), ` ${number(run.committed)} of ${plural(run.batches, "batch", "batches")}, ${percent(run.share)} of ${bytes(run.bytes)}`,
    run.seconds_left === null ? "" : `, about ${span(run.seconds_left)} left`, " · ", runLink(run),
    el("progress", { max: 1, value: run.share })));
}

function failureLine(failure) {
  const reasons = Object.entries(failure.reasons).sort((a, b) => b[1] - a[1]).map(([reason, rows]) => `${reason} ${number(rows)}`).join(", ");
  const what = { over_budget: "A batch was over its error budget", refused: "A batch was unlike the training data" }[failure.state] ?? "A run failed";
  return el("li", null, el("strong", null, what), reasons ? `: ${reasons}` : "", " · ", period(failure.start, failure.end), " · ",
    runLink(failure));
}

function failuresOf(entry, failures) {
  if (entry.state !== "failed") return [];
  const begin = new Date(entry.day), end = new Date(begin.getTime() + DAY);
  return failures.filter((failure) => new Date(failure.start) < end && new Date(failure.end) > begin).slice(0, 5);
}

function dayDetail(entry, failures, holder) {
  const lines = dayLines(entry), failed = failuresOf(entry, failures);
  const parts = ["loaded", "duplicate", "filtered", "pending", "rejected"].filter((fate) => entry[fate]);
  holder.replaceChildren(el("div", { class: "detail day-detail" },
    el("div", { class: "card-head" }, el("h3", null, dayText(entry.day), " ", el("span", { class: `pill ${{ complete: "good", empty: "good", failed: "bad", partial: "late", missing: "late" }[entry.state] ?? "quiet"}` }, STATES[entry.state])),
      el("button", { type: "button", class: "small", onclick: () => holder.replaceChildren() }, "Close")),
    entry.read ? el("div", { class: "split", "aria-hidden": true }, parts.map((fate) => el("i", { class: fate, "--part": entry[fate] / entry.read }))) : null,
    failed.length ? el("ul", { class: "findings" }, failed.map(failureLine)) : null,
    el("p", { class: failed.length ? "muted" : null }, entry.read ? lines.slice(1).join(" · ") : { missing: "No run has loaded this day: a backfill over it does.", failed: "Nothing of this day was loaded.", partial: "Only a part of this day was loaded." }[entry.state] ?? "Nothing was read.")));
}

function ranges(calendarOf, about) {
  const today = iso(Date.now()), first = Number(about.earliest.slice(0, 4)), years = [];
  for (let year = Number(today.slice(0, 4)); year >= first && years.length < 8; year -= 1) years.push(year);
  const last = `${about.first}..${about.last}`;
  const choice = el("select", { "aria-label": "Which year" },
    el("option", { value: `${iso(Date.now() - 370 * DAY)}..${today}` }, "Last 12 months"),
    years.map((year) => el("option", { value: `${year}-01-01..${year}-12-31` }, year)));
  choice.value = last;
  choice.addEventListener("change", () => calendarOf(...choice.value.split("..")));
  return choice;
}

function charts(about, days, box) {
  const draw = () => {
    const width = Math.max(320, box.clientWidth || 900);
    const end = days.findLastIndex((entry) => entry.state !== "future"), begin = days.findIndex((entry) => entry.state !== "early");
    const shown = days.slice(Math.max(0, begin), end + 1);
    if (!shown.some((entry) => entry.read)) return box.replaceChildren(el("p", { class: "nothing" }, "Nothing was read in these days."));
    box.replaceChildren(rowsChart(shown, width), el("h3", null, "Share of rejected rows"), rejectsChart(shown, about.budget.share, width));
  };
  new ResizeObserver(draw).observe(box);
  draw();
}

async function coverage(about, place) {
  const load = async (first, last) => {
    const found = await ask(`subscriptions/${encodeURIComponent(about.id)}/days${first ? `?first=${first}&last=${last}` : ""}`);
    const days = found.days.map((row) => Object.fromEntries(found.columns.map((name, index) => [name, row[index]])));
    const detail = el("div"), box = el("div", { class: "charts" });
    place.replaceChildren(
      el("section", { class: `card ${first ? "moved" : ""}` },
        el("div", { class: "card-head" }, el("h2", null, "Coverage"), ranges(load, found)),
        calendar(days, (entry) => dayDetail(entry, found.failures, detail)), legend(), detail),
      el("section", { class: "card" }, el("div", { class: "card-head" }, el("h2", null, "Rows by day")), box));
    charts(about, days, box);
    // Where the calendar is wider than its place, the newest weeks are what one sees first.
    requestAnimationFrame(() => place.querySelector(".calendar-frame")?.scrollTo({ left: 9999 }));
    return found;
  };
  const found = await load();
  const old = found.latest && found.latest < found.first;
  return old ? load(`${found.latest.slice(0, 4)}-01-01`, `${found.latest.slice(0, 4)}-12-31`) : found;
}

function trainingCard(about) {
  const { training } = about;
  if (!training) return null;
  return el("section", { class: "card" }, el("div", { class: "card-head" }, el("h2", null, "Training data"),
    el("span", { class: "muted" }, training.checked_at ? `checked ${moment(training.checked_at)}` : "never checked")),
    training.findings.length
      ? el("ul", { class: "findings" }, training.findings.map((each) => el("li", null, el("span", { class: `pill ${each.severity === "error" ? "bad" : "late"}` }, each.severity), " ", el("code", null, each.code), each.column ? el("span", null, " ", el("code", null, each.column)) : "")))
      : el("p", { class: "nothing" }, training.status === "passed" ? "Every check passed." : "Not checked against this model schema yet."));
}

const runState = { success: "good", failed: "bad", running: "late", queued: "quiet" };

function runsCard(about) {
  if (!about.runs.length) return null;
  return el("section", { class: "card" }, el("div", { class: "card-head" }, el("h2", null, "DAG runs"), airflowLink(`/dags/${encodeURIComponent(about.dag)}/runs`, "all runs")),
    el("ul", { class: "runs" }, about.runs.slice(0, 8).map((run) => el("li", null, el("span", { class: `pill ${runState[run.state] ?? "quiet"}` }, run.state), " ",
      airflowLink(runPath(about.dag, run.run_id), run.period ? period(...run.period) : moment(run.run_after)), el("span", { class: "muted" }, ` · ${run.kind}${run.ended && run.started ? ` · ${span((new Date(run.ended) - new Date(run.started)) / 1000)}` : ""}`)))));
}

function receiptLine(about, receipt, chosen) {
  const { counts } = receipt, failed = receipt.state !== "committed";
  const reasons = Object.entries(receipt.reasons).map(([reason, rows]) => `${reason} ${number(rows)}`).join(", ");
  const run = receipt.dag ? airflowLink(runPath(receipt.dag, receipt.run_id), receipt.dag === about.dag ? "run" : "replay") : el("span", { class: "muted", title: receipt.run_id }, "command");
  return el("tr", { class: chosen === receipt.run_id ? "chosen" : null }, el("td", { class: "when" }, moment(receipt.finished_at)), el("td", { class: "when" }, period(...receipt.window)),
    el("td", null, el("span", { class: `pill ${failed ? "bad" : "good"}` }, receipt.state.replaceAll("_", " "))),
    ["objects"].map((name) => el("td", { class: "num" }, number(receipt[name]))),
    ["read", "loaded", "duplicate"].map((name) => el("td", { class: "num" }, number(counts[name]))),
    el("td", { class: `num ${counts.rejected >= 0.02 * counts.read && counts.rejected ? "warn" : ""}`, title: reasons }, number(counts.rejected)),
    el("td", { class: "num" }, span(receipt.seconds)), el("td", { class: "num" }, receipt.seconds ? compact(Math.round(counts.read / receipt.seconds)) : "–"), el("td", null, run));
}

function receiptsCard(about, found, chosen) {
  const body = el("tbody", null, found.map((receipt) => receiptLine(about, receipt, chosen)));
  const older = el("button", { type: "button" }, "Older");
  older.hidden = found.length < 12;
  let last = found.at(-1)?.receipt_id;
  older.addEventListener("click", async () => {
    const next = await ask(`subscriptions/${encodeURIComponent(about.id)}/receipts?before=${last}`);
    body.append(...next.map((receipt) => receiptLine(about, receipt, chosen)));
    last = next.at(-1)?.receipt_id ?? last;
    older.hidden = next.length < 12;
    body.closest("section").classList.add("moved");
  });
  const titles = [["Finished"], ["Window"], ["State"], ["Objects", 1], ["Read", 1], ["Loaded", 1], ["Duplicate", 1], ["Rejected", 1], ["Took", 1], ["Rows/s", 1], ["Run"]];
  return el("section", { class: "card wide" }, el("div", { class: "card-head" }, el("h2", null, "Receipts"), el("span", { class: "muted" }, "read = loaded + duplicate + rejected + filtered + pending")),
    found.length ? el("div", { class: "scroll" }, el("table", null, el("thead", null, el("tr", null, titles.map(([title, numeric]) => el("th", { class: numeric ? "num" : null }, title)))), body)) : el("p", { class: "nothing" }, "No batch has run yet."), older);
}

export async function subscription(name) {
  const path = `subscriptions/${encodeURIComponent(name)}`, chosen = new URLSearchParams(location.search).get("run");
  const place = el("div", { class: "stack" });
  const [about, newest] = await Promise.all([ask(path), ask(`${path}/receipts`)]);
  const { total } = await coverage(about, place);
  document.title = `${about.id} · paylog`;
  return el("div", { class: "page" }, head(about), alerts(about, about.now), running(about), tiles(about, total), place,
    el("div", { class: "two" }, quarantine(about), el("div", { class: "stack" }, trainingCard(about), runsCard(about))), receiptsCard(about, newest, chosen));
}
