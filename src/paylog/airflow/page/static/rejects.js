// Quarantine by reason, down to the object, the position and the column of each record.
import { el, ask, number, percent, plural, moment, bytes, airflowLink } from "./dom.js";

function place(record) {
  const cut = record.uri.lastIndexOf("/") + 1;
  return el("span", { class: "uri", title: record.uri }, el("span", { class: "muted" }, record.uri.slice(0, cut)), record.uri.slice(cut));
}

function rawButton(name, record) {
  const button = el("button", { type: "button", class: "small" }, "Show");
  button.addEventListener("click", async () => {
    const row = button.closest("tr");
    if (row.nextElementSibling?.classList.contains("raw")) { row.nextElementSibling.remove(); button.textContent = "Show"; return; }
    const line = el("td", { colspan: 6 });
    try {
      const found = await ask(`subscriptions/${encodeURIComponent(name)}/rejected/${record.quarantine_id}`);
      line.append(el("div", { class: "muted" }, bytes(found.bytes)), el("pre", null, found.text));
    } catch (error) { line.append(el("p", { class: "error-text" }, error.message)); }
    row.after(el("tr", { class: "raw" }, line));
    button.textContent = "Hide";
  });
  return button;
}

function line(name, record, values) {
  const row = record.row === null ? "all" : number(record.row);
  return el("tr", null, el("td", null, place(record)), el("td", { class: "num" }, number(record.position)),
    el("td", { class: "num" }, row), el("td", null, record.column ? el("code", null, record.column) : "–"),
    el("td", { class: "when" }, moment(record.created_at)), values ? el("td", null, rawButton(name, record)) : null);
}

async function more(name, reason, values, body, button) {
  const before = body.dataset.before ? `&before=${body.dataset.before}` : "";
  button.disabled = true;
  const found = await ask(`subscriptions/${encodeURIComponent(name)}/rejected?reason=${encodeURIComponent(reason)}${before}`);
  body.append(...found.map((record) => line(name, record, values)));
  if (found.length) body.dataset.before = found.at(-1).quarantine_id;
  button.disabled = false;
  button.hidden = found.length < 50;
}

function records(name, reject, values, close) {
  const body = el("tbody");
  const button = el("button", { type: "button" }, "More");
  button.addEventListener("click", () => more(name, reject.reason, values, body, button));
  const columns = Object.entries(reject.columns).sort((a, b) => b[1] - a[1]).slice(0, 8);
  const panel = el("div", { class: "detail" },
    el("div", { class: "card-head" }, el("h3", null, el("code", null, reject.reason), ` · ${plural(reject.records, "record")}, ${plural(reject.rows, "row")}`),
      el("button", { type: "button", class: "small", onclick: () => { panel.remove(); close(); } }, "Close")),
    columns.length ? el("p", { class: "chips" }, columns.map(([column, rows]) => el("span", { class: "chip" }, el("code", null, column), ` ${number(rows)}`))) : null,
    el("div", { class: "scroll" }, el("table", null, el("thead", null, el("tr", null,
      el("th", null, "Object"), el("th", { class: "num" }, "Position"), el("th", { class: "num" }, "Row"), el("th", null, "Column"), el("th", null, "Since"), values ? el("th", null, "Record") : null)), body)),
    button,
    values ? null : el("p", { class: "muted" }, "What is in the records is not shown here: ", el("code", null, "paylog quarantine show"), " does, for those who may read the data mart."));
  more(name, reject.reason, values, body, button);
  return panel;
}

export function quarantine(about) {
  const rejects = about.rejects.filter((each) => each.rows);
  const settled = about.rejects.reduce((sum, each) => sum + each.settled, 0);
  const total = rejects.reduce((sum, each) => sum + each.rows, 0);
  const box = el("section", { class: "card", id: "quarantine" },
    el("div", { class: "card-head" }, el("h2", null, "Quarantine by reason"), el("span", { class: "muted" }, total ? [`${plural(total, "row")} · `, airflowLink(`/dags/${encodeURIComponent(about.replay_dag)}`, "replay")] : "")));
  const note = settled ? el("p", { class: "muted replayed" }, `${plural(settled, "row")} left quarantine by a replay.`) : null;
  if (!total) return box.append(el("p", { class: "nothing" }, "Nothing is in quarantine."), note ?? ""), box;
  const most = Math.max(...rejects.map((each) => each.rows));
  const holder = el("div");
  const buttons = rejects.map((each) => {
    const button = el("button", { type: "button", class: "reason", "aria-expanded": "false", "--share": each.rows / most },
      el("code", null, each.reason), el("span", { class: "reason-bar", "aria-hidden": true }, el("i")),
      el("span", { class: "num" }, number(each.rows)), el("span", { class: "num muted" }, percent(each.rows / total)));
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") === "true";
      for (const other of buttons) other.setAttribute("aria-expanded", "false");
      const close = () => { button.setAttribute("aria-expanded", "false"); button.focus(); };
      holder.replaceChildren(...(open ? [] : [records(about.id, each, about.values, close)]));
      button.setAttribute("aria-expanded", String(!open));
    });
    return button;
  });
  box.append(el("div", { class: "reasons" }, buttons), note ?? "", holder);
  return box;
}
