// Which page this is, and what to say when it cannot be shown.
import { el, ask } from "./dom.js";
import { overview } from "./overview.js";
import { subscription } from "./subscription.js";

const main = document.getElementById("main");
const REFRESH = 30_000;

function trouble(error) {
  const signedOut = error.status === 401;
  const title = signedOut ? "Nobody is signed in" : error.status === 404 ? "Nothing to see here" : error.status === 409 ? "Nothing yet" : "This cannot be shown now";
  const hint = signedOut ? "Sign in to Airflow, then open this page again." : error.message;
  return el("section", { class: "card trouble", role: "alert" }, el("h2", null, title), el("p", null, hint),
    el("p", null, el("a", { href: "./" }, "All subscriptions")));
}

async function content() {
  const path = location.pathname.slice(new URL(document.baseURI).pathname.length);
  const [kind, name] = path.split("/").map(decodeURIComponent);
  if (kind === "subscription" && name) return subscription(name);
  if (kind === "dag" && name) {
    try {
      return await subscription((await ask(`dags/${encodeURIComponent(name)}`)).id);
    } catch (error) {
      if (error.status !== 404) throw error;
      return el("section", { class: "card trouble" }, el("h2", null, "Not one of paylog's DAGs"),
        el("p", null, "This tab shows the payload records of a subscription, on the DAGs that load them."),
        el("p", null, el("a", { href: "./" }, "All subscriptions")));
    }
  }
  return overview();
}

async function show() {
  main.setAttribute("aria-busy", "true");
  try {
    main.replaceChildren(await content());
  } catch (error) {
    main.replaceChildren(trouble(error));
  }
  main.setAttribute("aria-busy", "false");
}

await show();
// Nothing is redrawn under somebody who is reading a detail, or while nobody looks.
setInterval(() => {
  if (!document.hidden && !document.querySelector(".detail, :focus-visible, .moved")) show();
}, REFRESH);
