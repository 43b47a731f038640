// Operators' pages. [data-fill="#amount" data-value="5" data-unit="#unit"] fills in dollars; [data-download="#textarea"] saves its text.
(() => {
  document.addEventListener("click", (event) => {
    const fill = event.target.closest("[data-fill]");
    if (fill) {
      const input = document.querySelector(fill.dataset.fill);
      input.value = fill.dataset.value;
      document.querySelector(fill.dataset.unit).value = "usd";
      input.focus();
    }
    const save = event.target.closest("[data-download]");
    if (save) {
      const text = document.querySelector(save.dataset.download).value.trim() + "\n";
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
      link.download = save.dataset.filename;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }
  });
})();
