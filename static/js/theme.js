// Runs before the first paint: applies the chosen theme, and tells CSS that scripts run.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let choice = null;
    try { choice = localStorage.getItem("theme"); } catch { /* storage is off: follow the system */ }
    if (choice !== "light" && choice !== "dark") choice = "auto";
    root.dataset.themeChoice = choice;
    root.dataset.bsTheme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
  };
  root.classList.add("js");
  apply();
  dark.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("theme:choose", (event) => {
    try { localStorage.setItem("theme", event.detail); } catch { /* lasts for this page only */ }
    apply();
  });
})();
