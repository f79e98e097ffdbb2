// The upload page with script: looks at a file before anything is sent, sends it as `POST v1/bundles`, and shows what
// became of it in the places that page.html has for it. Without this file the page is a plain form that does the same.
//
// It checks what a person should know early and leaves the rest to the server, so it must never refuse what the server
// would take. What comes out of files or answers is put into the page as text and never as markup.
"use strict";

(() => {
  const BLOCK = 512;
  const BUNDLE = ["manifest.json", "manifest.json.sig", "records.tar.gz"];
  const RECEIPT = ["receipt.json", "receipt.json.sig"];
  const RECEIPT_BYTES = 17 * 1024 * 1024;
  const SEND_AGAIN = "upload it again, which is harmless: what has arrived is not stored twice";
  const TOKEN_HINT = "copy the access token once more, or ask whoever runs the server for it";
  // How files begin that a bundle was wrapped into on its way; the last two are base64 of how a container begins.
  const WRAPPERS = [
    ["\x1f\x8b", "a gzip file", "unpack it with: gzip -dc FILE > bundle.tar"],
    ["\xfd7zXZ", "an xz file"],
    ["\x28\xb5\x2f\xfd", "a zstd file"],
    ["BZh", "a bzip2 file"],
    ["PK\x03\x04", "a zip file"],
    ["bWFuaWZlc3", "base64 text", "decode it with: base64 -d FILE > bundle.tar"],
    ["cmVjZWlwdC", "base64 text", "decode it with: base64 -d FILE > bundle.tar"],
  ];

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

  // Why a file is not sent, or was not taken: what is wrong, what can be done, and which heading fits.
  class Refusal extends Error {
    constructor(detail, hint, more = {}) {
      super(detail);
      Object.assign(this, { hint, heading: "unfit", ...more });
    }
  }

  // --- Looking at files: outer tars, as far as a person should know before sending one.

  async function read(file, from, to) {
    try {
      return new Uint8Array(await file.slice(from, to).arrayBuffer());
    } catch {
      throw new Refusal("it can’t be read",
        "see that the stick is still there and that this is a file and not a folder, then choose it again");
    }
  }

  // Where the entries of a container are, by name; `names` are those that it must have, in their order.
  async function container(file, names) {
    const places = new Map();
    for (let position = 0; ;) {
      const place = names[places.size] ?? "its end";
      const block = await read(file, position, position + BLOCK);
      if (position === 0 && block.length < BLOCK) throw foreign(block);
      if (block.length < BLOCK) throw truncated(place);
      position += BLOCK;
      if (block.every((byte) => byte === 0)) {
        if (file.size < position + BLOCK) throw truncated("its end marker");
        break;
      }
      if (octal(block, 148, 156) !== checksum(block)) {
        throw position === BLOCK ? foreign(block)
          : new Refusal(`the tar header of ${place} is not as it must be: its checksum does not match`);
      }
      const { name, size, type } = header(block);
      if (["x", "g", "L", "K"].includes(type)) throw repacked("it has tar extension headers");
      if (type === "5" && (name === "" || name === ".")) continue;
      const at = names.indexOf(name);
      if (at < 0) throw unexpected(name);
      if (at < places.size) throw new Refusal(`the entry ${name} is there twice`);
      if (at > places.size) throw repacked("its entries are in another order");
      const end = position + Math.ceil(size / BLOCK) * BLOCK;
      if (end > file.size) throw truncated(name);
      places.set(name, { from: position, size });
      position = end;
    }
    if (places.size < names.length) throw new Refusal(`the entry ${names[places.size]} is missing`);
    return places;
  }

  function header(block) {
    const text = (from, to) => String.fromCharCode(...block.subarray(from, to)).split("\0")[0];
    return {
      name: shown(text(0, 100).replace(/^\.\//, "")),
      size: octal(block, 124, 136),
      type: text(156, 157),
    };
  }

  function octal(block, from, to) {
    return parseInt(String.fromCharCode(...block.subarray(from, to)), 8);
  }

  function checksum(block) {
    return block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0);
  }

  // What a file is that does not begin like a container.
  function foreign(start) {
    const text = String.fromCharCode(...start);
    const wrapper = WRAPPERS.find(([magic]) => text.startsWith(magic));
    if (wrapper) {
      return new Refusal(`it was packed once more on its way: this is ${wrapper[1]}`,
        wrapper[2] ?? "unpack it first; what is inside is the bundle");
    }
    if (start.length === 0) {
      return new Refusal("it is not a bundle or receipt: it is empty", "copy the file again from where it was made");
    }
    const isPage = /^\s*<(!doctype|html)/i.test(text);
    return new Refusal("it is not a bundle or receipt: it does not begin with a tar header", isPage
      ? "this is a web page, as a download gives that was not allowed or has expired: get the file itself"
      : "choose the file that `kubermatic-telemetry export` wrote");
  }

  function truncated(place) {
    return new Refusal(`it is cut off in ${place}`,
      "copy the file again and compare its sha256 with the one that `export` printed");
  }

  function repacked(how) {
    return new Refusal(`it was unpacked and packed again: ${how}`,
      "repair it with: mkdir b && tar -xf FILE -C b && tar --format=ustar -cf bundle.tar -C b manifest.json " +
      "manifest.json.sig records.tar.gz (a receipt: receipt.json receipt.json.sig)");
  }

  function unexpected(name) {
    return new Refusal(`it has an entry that does not belong there: ${name}`, name === RECEIPT[0]
      ? "this is a receipt, not a bundle: take it to where the bundle came from, and run `kubermatic-telemetry " +
        "receipt FILE` there" : "choose the file that `kubermatic-telemetry export` wrote");
  }

  // The signed document of a container. Whether its signature holds is for others to find out.
  async function signed(file, names, format, most) {
    const { from, size } = (await container(file, names)).get(names[0]);
    if (size > most) {
      throw new Refusal(`the size of the signed document in bytes exceeds the limit: ${size} is more than ${most}`);
    }
    let document;
    try {
      document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await read(file, from, from + size)));
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Refusal("its signed document is not canonical JSON");
    }
    if (document?.format !== format) {
      throw new Refusal(`its format is "${shown(document?.format)}", which this program does not know`,
        "a newer version of this program may know it");
    }
    return document;
  }

  async function look(file) {
    if (file.size > limit) {
      throw new Refusal(`the bundle is larger than ${limit} bytes`,
        `send it in several bundles: export -o DIR/ --max-size ${limit}`);
    }
    return signed(file, BUNDLE, "kubermatic-telemetry-bundle/1", manifestLimit);
  }

  // --- Words

  // A text from outside: what could turn or hide what is around it is spelled out, and there is an end to it.
  function shown(value) {
    const text = ["string", "number"].includes(typeof value) ? String(value) : "?";
    const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
    return plain.length > 2000 ? `${plain.slice(0, 2000)}…` : plain;
  }

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
    fill("withheld", list(manifest.withheld).slice(0, 100).map(shown).join(", "));
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
      const manifest = await look(file);
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
      const receipt = await signed(receiptFile, RECEIPT, "kubermatic-telemetry-receipt/1", RECEIPT_BYTES);
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
    await read(file, Math.max(0, file.size - 1), file.size);
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
