// What htmx and Bootstrap leave to do. Every page also works without this file.
(() => {
  const $ = (selector, from = document) => from.querySelector(selector);
  const on = (type, handler, capture = false) => document.addEventListener(type, handler, capture);

  // Theme: [data-theme-choose="light|dark|auto"]
  const markTheme = () => {
    const choice = document.documentElement.dataset.themeChoice;
    document.querySelectorAll("[data-theme-choose]").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoose === choice));
    });
  };
  on("click", (event) => {
    const button = event.target.closest("[data-theme-choose]");
    if (!button) return;
    dispatchEvent(new CustomEvent("theme:choose", { detail: button.dataset.themeChoose }));
    markTheme();
  });
  markTheme();

  // Toasts: HX-Trigger: {"toast": {"level": "success|info|warning|error", "message": "…"}}
  const toast = ({ level = "info", message = "" }) => {
    const node = $("#toast-template").content.firstElementChild.cloneNode(true);
    node.dataset.level = level;
    $("[data-toast-text]", node).textContent = message;
    $("#toasts").append(node);
    node.addEventListener("hidden.bs.toast", () => node.remove());
    tabler.Toast.getOrCreateInstance(node, { autohide: level !== "error", delay: 5000 }).show();
  };
  on("toast", (event) => toast(event.detail));

  // Copy: [data-copy="#id"] copies that element, any other value is the text itself.
  const copy = async (text, near) => {
    if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // plain http on a local network
    area.value = text;
    area.className = "visually-hidden";
    near.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) throw new Error("copy refused");
  };
  on("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const value = button.dataset.copy;
    const source = value.startsWith("#") ? $(value) : null;
    try {
      await copy(source ? (source.value ?? source.textContent.trim()) : value, button.parentElement);
      button.classList.add("is-copied");
      $("#announce").textContent = button.dataset.copied || "";
      setTimeout(() => { button.classList.remove("is-copied"); $("#announce").textContent = ""; }, 2000);
    } catch {
      source?.select?.();
    }
  });
  on("focusin", (event) => { if (event.target.matches?.("[data-select]")) event.target.select(); });

  // Filters without htmx: [data-autosubmit] controls submit their form.
  on("change", (event) => { if (event.target.matches("[data-autosubmit]")) event.target.form.requestSubmit(); });

  // Confirmation: <form data-confirm="…" data-confirm-label="…">, and hx-confirm.
  const ask = (question, label, danger) => new Promise((resolve) => {
    const dialog = $("#confirm"), yes = $("#confirm-yes");
    $("#confirm-text").textContent = question;
    yes.textContent = label || yes.dataset.label;
    yes.className = `btn ${danger ? "btn-danger" : "btn-primary"}`;
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    dialog.showModal();
  });
  const confirmed = new WeakSet();
  on("submit", (event) => {
    const form = event.target, question = form.dataset.confirm;
    if (!question || confirmed.delete(form)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(question, form.dataset.confirmLabel, form.dataset.confirmKind === "danger").then((yes) => {
      if (!yes) return;
      confirmed.add(form);
      form.requestSubmit(event.submitter);
    });
  }, true);
  on("htmx:confirm", (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    ask(event.detail.question).then((yes) => { if (yes) event.detail.issueRequest(true); });
  });

  // The slide-over opens when something is asked for into #slideover-body, and closes on "slideover:close".
  const panel = $("#slideover"), body = $("#slideover-body");
  let opener, field; // what the focus goes back to; where in the panel somebody is
  const slideover = () => tabler.Offcanvas.getOrCreateInstance(panel);
  on("htmx:beforeRequest", (event) => {
    if (event.detail.target !== body || body.contains(event.detail.elt)) return;
    opener = event.detail.elt;
    body.replaceChildren($("#slideover-loading").content.cloneNode(true));
    slideover().show();
  });
  const enter = () => {
    const found = $("[aria-invalid=true]", body) ?? $("[autofocus]", body);
    (found ?? $(".offcanvas-body :is(input:not([type=hidden]), select, textarea)", body))?.focus();
  };
  on("htmx:afterSettle", (event) => { if (event.detail.target === body) enter(); });
  on("focusin", (event) => { if (body?.contains(event.target)) field = event.target; });
  // Bootstrap takes the focus when the panel has slid in: whoever types already keeps their field.
  panel?.addEventListener("shown.bs.offcanvas", () => field?.isConnected ? field.focus() : enter());
  on("slideover:close", () => slideover().hide());
  panel?.addEventListener("hidden.bs.offcanvas", () => {
    body.replaceChildren();
    if (opener?.isConnected) opener.focus();
  });

  // A request that failed without an answer of its own.
  const failed = (event) => {
    if (event.detail.xhr?.status === 422) return;
    if (event.detail.target === body && !$("form", body)) slideover().hide();
    toast({ level: "error", message: $("#toasts").dataset.failed });
  };
  on("htmx:responseError", failed);
  on("htmx:sendError", failed);
})();
