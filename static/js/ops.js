// Operators' pages. [data-fill="#input" data-value="5"] fills a field; [data-download="#textarea"] saves its text.
(() => {
  document.addEventListener("click", (event) => {
    const fill = event.target.closest("[data-fill]");
    if (fill) {
      const input = document.querySelector(fill.dataset.fill);
      input.value = fill.dataset.value;
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
