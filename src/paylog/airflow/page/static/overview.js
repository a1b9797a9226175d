// All subscriptions that the user may see, a card each.
import { el, ask, number, compact, moment, ago, span, plural } from "./dom.js";
import { strip } from "./calendar.js";

export function pill(about) {
  if (about.state === "new") return el("span", { class: "pill quiet" }, "never ran");
  if (about.state === "unreadable") return el("span", { class: "pill bad" }, "data mart not reachable");
  if (about.state === "complete") return el("span", { class: "pill good" }, "complete");
  return el("span", { class: "pill late" }, `${span(about.behind)} behind`);
}

function facts(card, now) {
  const { activity } = card;
  const line = (name, value, className) => el("div", null, el("dt", null, name), el("dd", { class: className }, value));
  return el("dl", { class: "facts" },
    line("Complete through", card.complete_through ? moment(card.complete_through) : "never"),
    line("Loaded in 24 h", compact(activity.loaded)),
    line("Rejected in 24 h", compact(activity.rejected), activity.rejected ? "warn" : null),
    line("Last batch", ago(activity.last_finished, now)));
}

function badges(card) {
  const found = [];
  if (card.alerts) found.push(el("span", { class: "pill bad" }, plural(card.alerts, "alert")));
  if (card.activity.failed_batches) found.push(el("span", { class: "pill bad" }, `${plural(card.activity.failed_batches, "batch", "batches")} rolled back`));
  if (card.late_objects) found.push(el("span", { class: "pill quiet" }, `${plural(card.late_objects, "object")} came late`));
  if (card.training && card.training !== "passed") found.push(el("span", { class: `pill ${card.training === "error" ? "bad" : "late"}` }, `training data: ${card.training}`));
  return found.length ? el("div", { class: "badges" }, found) : null;
}

function cardOf(card, now) {
  const head = el("div", { class: "card-head" },
    el("h2", null, el("a", { class: "stretched", href: `subscription/${encodeURIComponent(card.id)}` }, card.id)), pill(card));
  const about = el("p", { class: "muted" }, `${card.deployment} · ${card.provider}`);
  if (card.state === "unreadable") return el("article", { class: "card" }, head, about, el("p", { class: "error-text" }, card.error));
  if (!card.strip) return el("article", { class: "card" }, head, about, el("p", { class: "muted" }, "Its first run makes the data mart."));
  return el("article", { class: "card" }, head, about, strip(card.strip),
    el("div", { class: "strip-ends muted" }, el("span", null, `${card.strip.length} days ago`), el("span", null, "today")),
    facts(card, now), badges(card));
}

export async function overview() {
  const { now, subscriptions } = await ask("subscriptions");
  document.title = "Payload · paylog";
  const needy = subscriptions.filter((card) => card.state !== "complete" || card.alerts);
  const sum = subscriptions.length - needy.length;
  return el("div", { class: "page" },
    el("header", { class: "head" }, el("div", null, el("h1", null, "Payload"),
      el("p", { class: "muted" }, subscriptions.length
        ? `${number(sum)} of ${plural(subscriptions.length, "subscription")} complete · all times UTC`
        : "No subscription that you may see."))),
    el("div", { class: "cards" }, subscriptions.map((card) => cardOf(card, now))));
}
