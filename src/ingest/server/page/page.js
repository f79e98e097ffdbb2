// The upload page with script: has a file looked at before anything is sent, sends it as `POST v1/bundles`, and shows
// what became of it in the places that page.html has for it. Without script the page is a plain form that does the same.
// What comes out of files or answers is put into the page as text and never as markup.
"use strict";

(() => {
  const RECEIPT_BYTES = 17 * 1024 * 1024;
  const SEND_AGAIN = "upload it again, which is harmless: what has arrived is not stored twice";
  const TOKEN_HINT = "copy the access token once more, or ask whoever runs the server for it";

  const { shown } = look;
  const part = (name) => document.querySelector(`[data-part="${name}"]`);
  const slot = (name) => document.querySelector(`[data-slot="${name}"]`);
  const show = (name, visible = true) => { part(name).hidden = !visible; };
  const fill = (name, text) => { slot(name).textContent = text; };

  const form = part("form");
  const input = form.elements.bundle;
  const token = form.elements.token;
  const bar = document.getElementById("progress");
  const limit = Number(form.dataset.limit);
  const manifestLimit = Number(form.dataset.manifestLimit);
  // The file that was looked at and may be sent, and the request that is under way.
  let ready = null;
  let running = null;

  async function check(file) {
    if (file.size > limit) {
      throw new Refusal(`the bundle is larger than ${limit} bytes`,
        `send it in several bundles: export -o DIR/ --max-size ${limit}`);
    }
    return look.signed(file, "bundle", manifestLimit);
  }

  // --- Words

  function list(value) {
    return Array.isArray(value) ? value : [];
  }

  function bytes(count) {
    return count < 100_000 ? `${count.toLocaleString("en")} bytes` : `${(count / 1e6).toFixed(1)} MB`;
  }

  function time(value) {
    return shown(value).replace("T", " ").replace(/Z$/, " UTC");
  }

  function counted(items) {
    const counts = new Map();
    for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
    const kinds = [...counts].slice(0, 20).map(([kind, count]) => `${count} ${shown(kind)}`);
    if (counts.size > 20) kinds.push(`${counts.size - 20} more kinds`);
    return kinds.join(", ");
  }

  function say(text) {
    fill("status", text);
  }

  // --- What the page shows

  function summarize(file, manifest) {
    const records = list(manifest.records);
    const times = records.map((record) => time(record?.time)).sort();
    const lost = [manifest.dropped, manifest.discarded].filter(Number.isFinite).reduce((sum, count) => sum + count, 0);
    fill("file", `${shown(file.name)}, ${bytes(file.size)}`);
    fill("summary-client", shown(manifest.client));
    fill("summary-sequence", shown(manifest.sequence));
    fill("created", time(manifest.created));
    fill("records", records.length ? `${records.length} (${counted(records.map((record) => record?.kind))})` : "none");
    fill("span", [...new Set([times[0], times.at(-1)])].join(" to "));
    show("span-row", times.length > 0);
    fill("note", shown(manifest.note));
    fill("withheld", list(manifest.withheld).slice(0, 100).map((item) => shown(item)).join(", "));
    fill("lost", lost);
    show("note", manifest.note !== undefined);
    show("withheld", list(manifest.withheld).length > 0);
    show("lost", lost > 0);
    show("summary");
    say(`This is a bundle of client ${shown(manifest.client)}, with ${records.length} records. Nothing was sent yet.`);
  }

  function clear() {
    for (const name of ["accepted", "refused", "summary", "progress"]) show(name, false);
    say("");
  }

  function present(section) {
    show(section);
    part(section).focus();
  }

  function refuse(refusal) {
    if (refusal.heading === "unfit" || refusal.final) {
      // What is chosen once more under the same name is looked at once more.
      ready = null;
      input.value = "";
      show("upload", false);
    }
    for (const heading of ["unfit", "denied", "delayed", "broken", "cancelled"]) show(heading, heading === refusal.heading);
    fill("which", shown(refusal.which ?? ""));
    fill("detail", refusal.message);
    fill("hint", refusal.hint ?? "");
    fill("wait", refusal.wait ?? "");
    fill("code", refusal.code ?? "");
    fill("request", refusal.request ?? "");
    show("which-file", refusal.which !== undefined);
    show("advice", Boolean(refusal.hint));
    show("retry", Boolean(refusal.wait));
    show("kept-nothing", refusal.heading === "denied" || refusal.heading === "delayed");
    show("reference", Boolean(refusal.code));
    show("request-part", Boolean(refusal.request));
    present("refused");
  }

  function accept(file, receipt, again) {
    const name = [receipt.client, receipt.store, receipt.sequence, String(receipt.manifestSha256).slice(0, 12)]
      .map((piece) => String(piece).replace(/[^\w-]/g, "")).join("-") + ".receipt.tar";
    const became = (status) => list(receipt.records).filter((record) => record?.status === status).length;
    const link = part("receipt");
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(file);
    link.download = name;
    fill("receipt-file", name);
    fill("client", shown(receipt.client));
    fill("sequence", shown(receipt.sequence));
    fill("received", time(receipt.received));
    fill("taken", became("accepted"));
    fill("known", became("duplicate"));
    fill("refused-records", became("rejected"));
    for (const name of ["new", "new-text"]) show(name, !again);
    for (const name of ["again", "again-text"]) show(name, again);
    show("receipt");
    show("receipt-by-hand", false);
    show("rejected", became("rejected") > 0);
    show("gap", receipt.chain === "gap");
    show("fork", receipt.chain === "fork");
    // A link carries no token.
    part("later-link").href = `v1/receipts/${encodeURIComponent(receipt.manifestSha256)}`;
    show("later", !token);
    present("accepted");
  }

  // --- Choosing

  async function chosen() {
    clear();
    ready = null;
    show("upload", false);
    const file = input.files[0];
    if (!file) return;
    say("Looking at the file.");
    try {
      const manifest = await check(file);
      // Another file may have been chosen meanwhile.
      if (file !== input.files[0]) return;
      ready = { file, manifest };
      summarize(file, manifest);
      show("upload");
    } catch (error) {
      if (file !== input.files[0]) return;
      if (!(error instanceof Refusal)) throw error;
      clear();
      refuse(Object.assign(error, { which: file.name }));
    }
  }

  function dropped(event) {
    event.preventDefault();
    document.body.classList.remove("over");
    if (running || event.dataTransfer.files.length === 0) return;
    if (event.dataTransfer.files.length > 1) {
      clear();
      refuse(new Refusal("these are several files", "drop one file after the other"));
      return;
    }
    input.files = event.dataTransfer.files;
    chosen();
  }

  // --- Sending

  function send() {
    const { file, manifest } = ready;
    if (token && !/^[\w.~+/=-]+$/.test(token.value.trim())) {
      clear();
      refuse(new Refusal("the access token has characters that no token has", TOKEN_HINT, { heading: "denied" }));
      return;
    }
    const request = new XMLHttpRequest();
    let sent = 0;
    let told = 0;
    clear();
    working(request);
    tell(0, file.size);
    request.upload.onprogress = (event) => {
      sent = Math.min(event.loaded, file.size);
      tell(sent, file.size);
      // Not with each step: whoever listens hears four.
      const quarter = Math.floor((4 * sent) / file.size);
      if (quarter > told && quarter < 4) say(`${25 * quarter} percent uploaded`);
      told = quarter;
    };
    request.upload.onload = () => {
      sent = file.size;
      bar.removeAttribute("value");
      fill("progress-text", "Everything is sent. The server is checking the bundle.");
      say("Everything is sent. The server is checking the bundle.");
    };
    request.onload = () => settle(file, () => judge(request, manifest));
    request.onerror = () => settle(file, () => lost(file, sent));
    request.onabort = () => settle(file, () => { throw stopped("cancelled", "you cancelled it", file, sent); });
    request.open("POST", "v1/bundles");
    request.responseType = "blob";
    request.setRequestHeader("Content-Type", "application/x-tar");
    request.setRequestHeader("Accept", "application/x-tar");
    if (token) request.setRequestHeader("Authorization", `Bearer ${token.value.trim()}`);
    request.send(file);
  }

  function working(request) {
    running = request;
    for (const field of [input, token]) if (field) field.disabled = Boolean(request);
    show("upload", !request && Boolean(ready));
    show("cancel", Boolean(request));
    show("progress", Boolean(request));
    if (request) part("cancel").focus();
  }

  function tell(done, all) {
    bar.value = done / all;
    fill("progress-text", `${Math.floor((100 * done) / all)} %: ${bytes(done)} of ${bytes(all)}`);
  }

  async function settle(file, outcome) {
    try {
      const { receiptFile, receipt, again } = await outcome();
      input.value = "";
      ready = null;
      working(null);
      say("");
      accept(receiptFile, receipt, again);
    } catch (error) {
      working(null);
      say("");
      if (!(error instanceof Refusal)) throw error;
      refuse(Object.assign(error, { which: file.name }));
    }
  }

  // The receipt in an answer, or why there is none.
  async function judge(request, manifest) {
    if (request.status !== 200 && request.status !== 201) throw await problem(request);
    const receiptFile = request.response;
    try {
      const receipt = await look.signed(receiptFile, "receipt", RECEIPT_BYTES);
      if (receipt.bundle === manifest.bundle) return { receiptFile, receipt, again: request.status === 200 };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
    throw new Refusal("the answer is not a receipt of this bundle, so something else than the server has answered",
      "if this network asks to log in first, do that, then upload again", { heading: "broken" });
  }

  async function problem(request) {
    const later = request.status >= 500 || [408, 429].includes(request.status);
    const heading = later ? "delayed" : "denied";
    // Sending the same bytes once more leads to the same answer.
    const final = [400, 413, 415, 422].includes(request.status);
    const seconds = Number(request.getResponseHeader("Retry-After"));
    const wait = seconds > 0 ? (seconds < 100 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`) : undefined;
    let told = null;
    try {
      told = JSON.parse(await request.response.text());
    } catch {
      // Not the server's own answer.
    }
    if (typeof told?.detail !== "string") {
      return new Refusal(`the answer was “${request.status} ${shown(request.statusText)}” and not the server’s own`,
        "something between here and the server may have refused; tell whoever runs the server", { heading, final, wait });
    }
    const hint = told.code === "unauthorized" ? TOKEN_HINT : told.hint;
    return new Refusal(shown(told.detail), hint ? shown(hint) : undefined,
      { heading, final, wait, code: shown(told.code), request: shown(told.instance).replace("urn:uuid:", "") });
  }

  async function lost(file, sent) {
    // A file that can't be read any more ends a request in the same way.
    await look.bytes(file, Math.max(0, file.size - 1), file.size);
    throw stopped("broken", "the server could not be reached, or went away", file, sent);
  }

  function stopped(heading, what, file, sent) {
    return sent < file.size
      ? new Refusal(`${what} after ${bytes(sent)} of ${bytes(file.size)}; a bundle that did not arrive whole is not kept`,
        SEND_AGAIN, { heading })
      : new Refusal(`${what} when everything was sent but no receipt had come; the server may have the bundle or not`,
        `${SEND_AGAIN}, and the receipt comes then`, { heading });
  }

  // --- Beginning

  input.addEventListener("change", chosen);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (ready && !running) send();
  });
  part("cancel").addEventListener("click", () => running?.abort());
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  document.addEventListener("drop", dropped);
  window.addEventListener("beforeunload", (event) => {
    if (running) event.preventDefault();
  });
  show("drop-help");
  // After a reload the browser may still have the file; after a plain upload its outcome stands there.
  if (input.files.length) chosen();
  else show("upload", false);
})();
