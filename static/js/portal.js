// Codes as they are typed: what redemption/code_format.py reads and checks, once more.
(() => {
  const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const SYMBOLS = 17, IMPORTED = 32; // of codes made here, and of codes of One API, which are hexadecimal
  const symbolsOf = (text) => [...text.normalize("NFKC")].filter((sign) => /[\p{L}\p{N}]/u.test(sign)).join("")
    .toUpperCase().replace(/O/g, "0").replace(/[IL]/g, "1");
  const isHex = (text) => /^[0-9A-F]+$/.test(text);

  // Over the field of 32 elements: x⁵ + x² + 1 is zero.
  const checkSymbol = (symbols) => {
    let check = 0;
    for (const symbol of symbols) {
      check = (check ^ ALPHABET.indexOf(symbol)) << 1;
      if (check & 32) check ^= 0b100101;
    }
    return ALPHABET[check];
  };

  // What is to be said of a text: missing (n), over (n), unknown (symbol), wrong, complete; nothing of no text.
  const judge = (text) => {
    const symbols = symbolsOf(text), count = symbols.length;
    if (!count) return {};
    if (count > SYMBOLS && count <= IMPORTED && isHex(symbols)) {
      return count === IMPORTED ? { verdict: "complete" } : { verdict: "missing", n: IMPORTED - count };
    }
    const symbol = [...symbols].find((sign) => !ALPHABET.includes(sign));
    if (symbol) return { verdict: "unknown", symbol };
    if (count < SYMBOLS) return { verdict: "missing", n: SYMBOLS - count };
    if (count > SYMBOLS) return { verdict: "over", n: count - SYMBOLS };
    return { verdict: checkSymbol(symbols.slice(0, -1)) === symbols.at(-1) ? "complete" : "wrong" };
  };

  const say = (input) => {
    const place = input.form.querySelector("[data-code-check]");
    if (!place) return;
    const { verdict, n, symbol } = judge(input.value), words = place.dataset;
    const text = n ? words[n === 1 ? `${verdict}-1` : `${verdict}N`] : words[verdict];
    place.dataset.state = ["missing", "complete"].includes(verdict) ? verdict : "wrong";
    place.textContent = verdict ? text.replace("{n}", n).replace("{symbol}", symbol) : "";
  };

  // Groups of four, and the caret behind the symbol that it was behind.
  const before = new WeakMap();
  const format = (input, kind) => {
    const text = input.value, at = input.selectionStart ?? text.length;
    let symbols = symbolsOf(text), behind = symbolsOf(text.slice(0, at)).length;
    if (symbols.length > SYMBOLS && isHex(symbols)) return before.set(input, symbols);
    if (symbols && symbols === before.get(input) && /^deleteContent(Back|For)ward$/.test(kind)) {
      behind -= kind === "deleteContentBackward"; // it was a dash that went
      symbols = symbols.slice(0, Math.max(behind, 0)) + symbols.slice(behind + 1);
    }
    before.set(input, symbols);
    const shown = symbols.match(/.{1,4}/gu)?.join("-") ?? "";
    if (shown === text) return undefined;
    input.value = shown;
    const dashes = behind && behind < symbols.length ? Math.floor(behind / 4) : Math.floor(Math.max(behind - 1, 0) / 4);
    input.setSelectionRange(behind + dashes, behind + dashes);
    return undefined;
  };

  const isCode = (target) => target.matches?.(".code-input");
  const follow = (input, kind = "") => { format(input, kind); say(input); };
  document.addEventListener("input", (event) => {
    if (!isCode(event.target) || event.isComposing) return;
    event.target.removeAttribute("aria-invalid");
    event.target.classList.remove("is-invalid");
    event.target.form.querySelector(".invalid-feedback")?.remove();
    follow(event.target, event.inputType);
  });
  document.addEventListener("compositionend", (event) => { if (isCode(event.target)) follow(event.target); });

  // What can be no code is not sent; the server would refuse it, too.
  document.addEventListener("submit", (event) => {
    const input = event.target.querySelector(".code-input");
    const { verdict } = input ? judge(input.value) : {};
    if (!verdict || verdict === "complete") return;
    event.preventDefault();
    event.stopImmediatePropagation();
    say(input);
    input.classList.add("is-invalid");
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }, true);

  const start = (root) => root.querySelectorAll?.(".code-input").forEach((input) => {
    if (input.value && !input.matches("[aria-invalid=true]")) follow(input);
  });
  document.addEventListener("htmx:afterSettle", (event) => start(event.target));
  start(document);

  // A code that a link brought does not stay in the address, nor in the history.
  if (new URLSearchParams(location.search).has("code")) history.replaceState(history.state, "", location.pathname);
})();
