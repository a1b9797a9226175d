// Airflow keeps its theme in localStorage, as light, dark or system; a change there is an event here.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let chosen = null;
    try { chosen = localStorage.getItem("theme"); } catch { /* no storage: the system's */ }
    const dark = chosen === "dark" || (chosen !== "light" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  apply();
  addEventListener("storage", apply);
  system.addEventListener("change", apply);
})();
