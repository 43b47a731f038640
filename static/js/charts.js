// Draws <c-chart>: its labels and series stand in the canvas’s attributes, as JSON.
(() => {
  const hues = { light: ["#1c64b4", "#0f8a6a", "#b8720a", "#8a4fc0", "#c2413b", "#5b6b7c", "#0b88a6", "#7d8a12"],
    dark: ["#6fabee", "#4fc3a1", "#e5ab4b", "#bd94e8", "#ee8a83", "#a3b1bf", "#5cc3dc", "#bcc756"] };
  const charts = new Map();

  const draw = (canvas) => {
    charts.get(canvas)?.destroy();
    const [labels, series] = [canvas.dataset.labels, canvas.dataset.series].map((text) => JSON.parse(text));
    const style = getComputedStyle(document.documentElement);
    const palette = hues[document.documentElement.dataset.bsTheme] || hues.light;
    const { chart: kind, unit = "" } = canvas.dataset;
    const stacked = "stacked" in canvas.dataset || kind === "bar";
    const text = (value) => unit + Number(value).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 6 });
    const probe = document.createElement("canvas").getContext("2d"); // turns any CSS colour into one Chart.js reads
    const colour = (name) => { probe.fillStyle = style.getPropertyValue(name).trim() || "#888"; return probe.fillStyle; };
    const dark = palette === hues.dark;
    Chart.defaults.font.family = style.getPropertyValue("--tblr-font-sans-serif");
    Chart.defaults.font.size = 12;
    Chart.defaults.color = dark ? "#b3b8c0" : "#565c66";
    charts.set(canvas, new Chart(canvas, {
      type: kind,
      data: { labels, datasets: series.map((line, i) => ({
        label: line.label, data: line.values,
        backgroundColor: kind === "line" ? palette[i % 8] + "22" : palette[i % 8], borderColor: kind === "doughnut" ? colour("--tblr-bg-surface") : palette[i % 8],
        ...(kind === "doughnut" ? { backgroundColor: line.values.map((_, j) => palette[j % 8]) } : {}),
        borderWidth: kind === "bar" ? 0 : 2, borderRadius: 2, maxBarThickness: 28, fill: kind === "line" && series.length === 1, pointRadius: 0, pointHitRadius: 12, tension: .25,
      })) },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
        plugins: {
          legend: { display: series.length > 1 || kind === "doughnut", position: "bottom", labels: { boxWidth: 8, boxHeight: 8, usePointStyle: true, pointStyle: "circle", padding: 14 } },
          tooltip: { callbacks: { label: (item) => ` ${kind === "doughnut" ? item.label : item.dataset.label}: ${text(item.raw)}` } },
        },
        scales: kind === "doughnut" ? {} : {
          x: { stacked, grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 16 } },
          y: { stacked, beginAtZero: true, border: { display: false }, grid: { color: dark ? "#ffffff14" : "#0000000f" }, ticks: { maxTicksLimit: 5, callback: text } },
        },
      },
    }));
  };
  const all = () => {
    charts.forEach((chart, canvas) => { if (!canvas.isConnected) { chart.destroy(); charts.delete(canvas); } });
    document.querySelectorAll("canvas[data-chart]").forEach(draw);
  };
  all();
  document.addEventListener("htmx:afterSettle", (event) => { if (event.target.querySelector?.("canvas[data-chart]")) all(); });
  new MutationObserver(all).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
})();
