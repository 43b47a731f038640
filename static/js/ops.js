// Operators' pages.
// [data-fill="#amount" data-value="5" data-unit="#unit"] fills in dollars.
// <output data-total="amount count uses_per_code" data-unit="unit">: the product of these fields, in dollars.
// [data-download-form] gets a file, which changes the page that stays.
(() => {
  document.addEventListener("click", (event) => {
    const fill = event.target.closest("[data-fill]");
    if (!fill) return;
    const input = document.querySelector(fill.dataset.fill);
    input.value = fill.dataset.value;
    document.querySelector(fill.dataset.unit).value = "usd";
    input.focus();
  });

  // Exact, in millionths of a dollar: a quota unit is two of them.
  const millionths = (text, unit) => {
    const [, whole, part = ""] = text.replace(/[\s$,]/g, "").match(/^(\d{1,18})(?:\.(\d{1,6}))?$/) ?? [];
    if (whole === undefined || (unit === "quota" && part)) return null;
    return unit === "quota" ? BigInt(whole) * 2n : BigInt(whole + part.padEnd(6, "0"));
  };
  const total = (output) => {
    const { elements } = output.closest("form");
    const [amount, ...counts] = output.dataset.total.split(" ").map((name) => elements[name].value.trim());
    const each = millionths(amount, elements[output.dataset.unit].value);
    if (each === null || !counts.every((count) => /^\d{1,9}$/.test(count))) return "–";
    const sum = counts.reduce((product, count) => product * BigInt(count), each);
    const cents = (sum + 5000n) / 10000n;
    const dollars = (cents / 100n).toLocaleString("en");
    return `$${dollars}.${String(cents % 100n).padStart(2, "0")}`;
  };
  const show = (root) => root.querySelectorAll?.("[data-total]").forEach((output) => { output.value = total(output); });
  for (const type of ["input", "change"]) {
    document.addEventListener(type, (event) => { if (event.target.form) show(event.target.form); });
  }
  document.addEventListener("htmx:afterSettle", (event) => show(event.target));
  show(document);

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-download-form]")) return;
    setTimeout(() => htmx.trigger(document.body, "list-changed"), 1500);
  });
})();
