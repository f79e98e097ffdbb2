// What a chosen file is, found out in the browser before anything is sent: the containers of bundles and receipts, and
// what becomes of them on their way. It follows src/bundle/container.rs and src/bundle/recognise.rs and has their words,
// so that the page, the server and `verify` say the same of a file. Signatures and records are for the server to check,
// and whatever is not sure here is let pass.
"use strict";

// Why a file is not sent, or was not taken: what is wrong, what can be done, and which heading of the page fits.
class Refusal extends Error {
  constructor(detail, hint, more = {}) {
    super(detail);
    Object.assign(this, { hint, heading: "unfit", ...more });
  }
}

const look = (() => {
  const BLOCK = 512;
  const HEAD = 1 << 20;
  const MOST_HEADERS = 32;
  const SIGNATURE_BYTES = 89;
  const SHAPES = {
    bundle: ["manifest.json", "manifest.json.sig", "records.tar.gz"],
    receipt: ["receipt.json", "receipt.json.sig"],
  };
  const COPY_AGAIN = "copy the file again and compare its sha256 with the one that `export` printed";
  const DO_NOT_USE = "compare the file's sha256 with the one that `export` printed; do not use this copy";
  // What something begins with that a bundle was made into, what that is called, and what undoes it.
  const MAGIC = [
    ["\x1f\x8b", "a gzip file", "gzip -dc < FILE > repaired.tar"],
    ["\xfd7zXZ\0", "an xz file", "xz -dc < FILE > repaired.tar"],
    ["\x28\xb5\x2f\xfd", "a zstd file", "zstd -dc < FILE > repaired.tar"],
    ["BZh", "a bzip2 file", "bzip2 -dc < FILE > repaired.tar"],
    ["PK\x03\x04", "a zip file", "unzip -p FILE > repaired.tar"],
    ["7z\xbc\xaf\x27\x1c", "a 7z file", "7z x -so FILE > repaired.tar"],
    ["\xff\xfe", "UTF-16 text", "iconv -f UTF-16 -t ISO-8859-1 FILE > repaired.tar"],
    ["\xfe\xff", "UTF-16 text", "iconv -f UTF-16 -t ISO-8859-1 FILE > repaired.tar"],
    ["-----BEGIN ", "base64 text between lines of dashes", "grep -v ^- FILE | base64 -di > repaired.tar"],
  ];
  const KINDS = {
    1: "a hard link", 2: "a symbolic link", 3: "a device", 4: "a device", 5: "a directory", 6: "a FIFO",
    S: "a sparse file", x: "a pax extension header", g: "a pax extension header", L: "a GNU extension header",
    K: "a GNU extension header",
  };

  const altered = (what, repair) => new Refusal(`it was altered on its way: this is ${what}`, `repair it with: ${repair}`);
  const notABundle = (why) => new Refusal(`it is not a bundle or receipt: ${why}`,
    "a bundle is the file that `export` wrote; see what this is with: file FILE");
  const damaged = (entry, what) => new Refusal(`the tar header of ${entry} is not as it must be: ${what}`, DO_NOT_USE);

  // --- Bytes. Each character of a binary string stands for one of them.

  async function bytes(file, from, to) {
    try {
      return new Uint8Array(await file.slice(from, to).arrayBuffer());
    } catch {
      throw new Refusal("it can’t be read",
        "see that the stick is still there and that this is a file and not a folder, then choose it again",
        { isSure: true });
    }
  }

  async function binary(file, from, to) {
    const read = await bytes(file, from, to);
    let text = "";
    for (let at = 0; at < read.length; at += 8192) text += String.fromCharCode(...read.subarray(at, at + 8192));
    return text;
  }

  // A text from outside: what could turn or hide what is around it is spelled out, and there is an end to it.
  function shown(value, most = 2000) {
    const text = ["string", "number"].includes(typeof value) ? String(value) : "?";
    const characters = [...text];
    const plain = characters.slice(0, most).join("")
      .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
    return characters.length > most ? `${plain}... (${new TextEncoder().encode(text).length} bytes)` : plain;
  }

  // --- Headers of tars

  const isZero = (text) => /^\0*$/.test(text);

  // A field of text: up to the first NUL, behind which there is nothing else.
  function text(field) {
    const [name, ...rest] = field.split("\0");
    if (!isZero(rest.join("\0"))) return null;
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(name, (c) => c.charCodeAt(0)));
    } catch {
      return null;
    }
  }

  function octal(field) {
    return /^[0-7]+[\0 ]*$/.test(field) ? parseInt(field, 8) : null;
  }

  function checksum(block) {
    let sum = 0;
    for (let at = 0; at < BLOCK; at++) sum += at >= 148 && at < 156 ? 32 : block.charCodeAt(at);
    return sum;
  }

  // Whether a block is a tar header by its checksum, however that is spelled.
  function hasChecksum(block) {
    return block.length === BLOCK && !isZero(block)
      && octal(block.slice(148, 156).replace(/^[\t\n\f\r ]+/, "")) === checksum(block);
  }

  // --- What a file is instead

  function ofMagic(head) {
    const found = MAGIC.find(([magic]) => head.startsWith(magic));
    if (!found) return null;
    if (found[0] === "PK\x03\x04") {
      const name = head.slice(30, 30 + (head.charCodeAt(26) | head.charCodeAt(27) << 8));
      if (name.endsWith("/") || SHAPES.bundle.some((entry) => name.endsWith(entry))) {
        return altered("a zip file of an unpacked bundle", "mkdir b && unzip -j FILE -d b && tar --format=ustar -cf "
          + `repaired.tar -C b ${SHAPES.bundle.join(" ")}`);
      }
    }
    return altered(found[1], found[2]);
  }

  // What a text is. Bundles are none: they have NUL bytes from the first header on.
  function ofText(head) {
    const marked = head.startsWith("\xef\xbb\xbf");
    const start = head.slice(marked ? 3 : 0, 4096);
    const lower = start.replace(/^[\t\n\f\r ]+/, "").toLowerCase();
    if (["<!doctype", "<html", "<head", "<body", "<script", "<?xml"].some((tag) => lower.startsWith(tag))) {
      return new Refusal("it is a web page, perhaps a login page, that was saved instead of the file",
        "download the file again, where need be after logging in; see what this is with: head -c 500 FILE");
    }
    if (marked) return altered("something behind a byte order mark", "tail -c +4 FILE > repaired.tar");
    if (start.includes("\0")) return null;
    if (start.startsWith("{") && start.includes('"format":"kubermatic-telemetry-')) {
      return notABundle("it is the signed document alone, without its container");
    }
    if (isMail(lower)) {
      return altered("a mail message, perhaps with the bundle attached",
        "python3 -c 'import email,sys; parts=[part.get_payload(decode=True) or b\"\" for part in "
        + "email.message_from_binary_file(open(sys.argv[1],\"rb\")).walk()]; "
        + "open(\"repaired.tar\",\"wb\").write(max(parts,key=len))' FILE");
    }
    if (start.includes("=00=00")) {
      return altered("quoted-printable text", "python3 -c 'import quopri,sys; "
        + "quopri.decode(open(sys.argv[1],\"rb\"),open(\"repaired.tar\",\"wb\"))' FILE");
    }
    return isBase64(start) ? altered("base64 text", "base64 -di FILE > repaired.tar") : null;
  }

  function isMail(lower) {
    const lines = lower.split("\n").map((line) => line.replace(/[\t\n\f\r ]+$/, ""));
    const end = lines.indexOf("");
    const fields = end < 0 ? lines : lines.slice(0, end);
    return (lower.startsWith("from ") || /^[a-z0-9-]+:/.test(lines[0]))
      && fields.some((line) => /^(mime-version|content-type|content-transfer-encoding|received):/.test(line));
  }

  function isBase64(start) {
    const letters = start.replace(/[\t\n\f\r ]/g, "").slice(0, 1024);
    try {
      const decoded = atob(letters.slice(0, letters.length - letters.length % 4));
      return hasChecksum(decoded.slice(0, BLOCK)) || (decoded.length > 8 && ofMagic(decoded) !== null);
    } catch {
      return false;
    }
  }

  // A lenient walk over the headers of a tar.
  async function survey(file) {
    const found = { entries: [], extras: false, isOld: false, isWhole: false };
    for (let position = 0, headers = 0; headers < MOST_HEADERS; headers++) {
      const block = await binary(file, position, position + BLOCK);
      if (block.length < BLOCK) break;
      found.isWhole = isZero(block);
      if (found.isWhole || !hasChecksum(block)) break;
      const size = octal(block.slice(124, 136).replace(/^[\t\n\f\r ]+/, ""));
      const prefix = block.startsWith("ustar\0", 257) ? text(block.slice(345, 500)) : "";
      const name = text(block.slice(0, 100));
      if (size === null || prefix === null || name === null) break;
      const path = (prefix ? `${prefix}/${name}` : name).replace(/^\.\//, "");
      const type = block[156];
      if (type === "5") found.extras ||= !block.startsWith("./\0");
      else if ("xgLK".includes(type)) found.extras = true;
      else if (!"0\0".includes(type)) break;
      else if (path.split("/").pop().startsWith("._")) found.extras = true;
      else found.entries.push({ path, from: position + BLOCK, size });
      found.isOld ||= type === "\0" || !block.startsWith("ustar", 257);
      position += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    }
    return found;
  }

  // What the names tell: the right files in another arrangement, those of the other document, or a payload alone.
  function arrangement(found, shape) {
    const [first] = found.entries;
    if (!first) return null;
    if (first.path.startsWith("records/0")) {
      return notABundle("it is the payload of a bundle, without manifest and signature");
    }
    const folderOf = (entry) => entry.path.slice(0, Math.max(0, entry.path.lastIndexOf("/")));
    const names = found.entries.map((entry) => entry.path.split("/").pop());
    const is = Object.keys(SHAPES).find((shape) => found.isWhole && names.length === SHAPES[shape].length
      && SHAPES[shape].every((name) => names.includes(name))
      && found.entries.every((entry) => folderOf(entry) === folderOf(first)));
    if (!is) return null;
    if (is !== shape) {
      return new Refusal(`it is a ${is}, where a ${shape} is expected`, shape === "bundle"
        ? "`inspect` shows receipts, and `receipt` imports them"
        : "`verify` checks bundles, and `inspect` shows them");
    }
    let how;
    if (folderOf(first)) how = "its entries are in a folder";
    else if (SHAPES[shape].some((name, at) => names[at] !== name)) how = "its entries are in another order";
    else if (found.extras) how = "it has directories or extension headers";
    else if (found.isOld) how = "its headers are not ustar";
    else return null;
    return new Refusal(`it was unpacked and packed again: ${how}`, "repair it with: mkdir b && tar -xf FILE -C b && tar "
      + `--format=ustar -cf ${shape}.tar -C "$(dirname "$(find b -name ${SHAPES[shape][0]})")" ${SHAPES[shape].join(" ")}`);
  }

  // A better word for a container that was refused with `error`, if there is one.
  async function recognise(file, shape, error) {
    const head = await binary(file, 0, HEAD);
    const better = head === "" ? notABundle("it is empty") : ofMagic(head) ?? ofText(head);
    if (better) return better;
    const found = await survey(file);
    const arranged = arrangement(found, shape);
    if (arranged) return arranged;
    const [only, second] = found.entries;
    if (found.isWhole && found.entries.length === 1 && only.size > 0) {
      const inside = await binary(file, only.from, only.from + BLOCK);
      if (inside.length === BLOCK && (hasChecksum(inside) || ofMagic(inside))) {
        return altered("a tar file with the bundle in it", "tar -xOf FILE > repaired.tar");
      }
    }
    if (second && [SHAPES.bundle[1], SHAPES.receipt[1]].includes(second.path) && second.size === SIGNATURE_BYTES
      && await binary(file, second.from + 88, second.from + 90) === "\r\n") {
      return altered("a bundle whose line feeds became CR LF", "LC_ALL=C sed 's/\\r$//' FILE > repaired.tar");
    }
    if (head.includes("\x1f\xc2\x8b\x08")) {
      return altered("a bundle whose bytes were taken for Latin-1 and written as UTF-8",
        "iconv -f UTF-8 -t ISO-8859-1 FILE > repaired.tar");
    }
    if (head.includes("\x1f\xef\xbf\xbd\x08")) {
      return new Refusal("it was altered on its way: bytes that are no text were replaced by U+FFFD, and are lost",
        "copy the file again, as binary and not as text; this copy can't be repaired");
    }
    const isLikeTar = /^(\.\/)?(manifest|receipt)\.json/.test(head) || head.startsWith("ustar", 257)
      || (head.length >= BLOCK && isZero(head.slice(0, BLOCK)));
    return isLikeTar ? error : notABundle("it does not begin with a tar header");
  }

  // --- What a file should be

  // Where the entries of a container are, by name.
  async function strictly(file, names, most) {
    const places = new Map();
    let position = 0;
    let directory = false;
    const need = (size, place) => {
      const missing = size - (file.size - position);
      if (missing > 0) throw new Refusal(`it is cut off in ${place}: at least ${missing} bytes are missing`, COPY_AGAIN);
    };
    const next = async (place) => {
      need(BLOCK, place);
      position += BLOCK;
      return binary(file, position - BLOCK, position);
    };
    for (;;) {
      const expected = names[places.size];
      const block = await next(expected ?? "its end marker");
      if (isZero(block)) break;
      const entry = header(block, expected ?? "its end marker");
      if (entry.directory) {
        if (directory) throw new Refusal("the entry ./ is there twice");
        directory = true;
        continue;
      }
      if (places.has(entry.name)) throw new Refusal(`the entry ${entry.name} is there twice`);
      if (entry.name !== expected) throw misplaced(entry.name, expected ?? "the end");
      if (places.size === 0 && entry.size > most) {
        throw new Refusal("the size of the signed document exceeds the limit `manifest-bytes`: "
          + `${entry.size} is more than ${most}`, undefined, { isSure: true });
      }
      if (places.size === 1 && entry.size !== SIGNATURE_BYTES) {
        throw new Refusal("its signature file is not 64 bytes in base64 and a line feed: it has another size", DO_NOT_USE);
      }
      const padded = Math.ceil(entry.size / BLOCK) * BLOCK;
      need(padded, entry.name);
      places.set(entry.name, { from: position, size: entry.size });
      const padding = await binary(file, position + entry.size, position + padded);
      if (!isZero(padding)) throw new Refusal(`the padding behind the entry ${entry.name} is not zero`, DO_NOT_USE);
      position += padded;
    }
    if (!isZero(await next("its end marker"))) throw new Refusal("something follows the end of the file");
    if (places.size < names.length) throw new Refusal(`the entry ${names[places.size]} is missing`);
    return places;
  }

  // What counts of a header of the outer tar: owner, mode and time do not.
  function header(block, place) {
    if (block.slice(148, 156) !== `${checksum(block).toString(8).padStart(6, "0")}\0 `) {
      throw damaged(place, hasChecksum(block) ? "its checksum is spelled otherwise" : "its checksum does not match");
    }
    const path = text(block.slice(0, 100));
    if (path === null) throw damaged(place, "its name is not text, or something stands behind it");
    const name = path.replace(/^\.\//, "");
    const type = block[156];
    const mistyped = () => new Refusal(
      `the entry ${shown(name, 100)} is ${KINDS[type] ?? "of an unknown type"}, where only regular files may be`);
    if (!"05".includes(type)) throw mistyped();
    if (!["ustar\x0000", "ustar  \0"].includes(block.slice(257, 265))) throw damaged(shown(name, 100), "it is not ustar");
    if (!isZero(block.slice(157, 257) + block.slice(345))) {
      throw damaged(shown(name, 100), "it has a link target or a long name");
    }
    const size = octal(block.slice(124, 136));
    if (size === null) throw damaged(shown(name, 100), "its size is not an octal number");
    const directory = type === "5";
    if (directory && (!block.startsWith("./\0") || size !== 0)) throw mistyped();
    return { name, size, directory };
  }

  function misplaced(name, expected) {
    const found = shown(name, 100);
    return name.startsWith("/") || name.split("/").includes("..")
      ? new Refusal(`it has an entry whose name leads elsewhere: ${found}`)
      : new Refusal(`it has an entry that does not belong there: ${found}, where ${expected} is expected`);
  }

  // The signed document of a container. Whether its signature holds is for others to find out.
  async function signed(file, shape, most) {
    let places;
    try {
      places = await strictly(file, SHAPES[shape], most);
    } catch (error) {
      if (!(error instanceof Refusal) || error.isSure) throw error;
      throw await recognise(file, shape, error);
    }
    const { from, size } = places.get(SHAPES[shape][0]);
    let document;
    try {
      document = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await bytes(file, from, from + size)));
    } catch (error) {
      throw error instanceof Refusal ? error : new Refusal("its signed document is refused");
    }
    const family = `kubermatic-telemetry-${shape}/`;
    const format = document?.format;
    if (typeof format === "string" && format !== `${family}1`) {
      throw format.startsWith(family)
        ? new Refusal(`its format is "${shown(format, 100)}", a version that this program does not know`,
          "a newer version of this program may know it")
        : new Refusal(`its format is "${shown(format, 100)}", which is none of this program's`);
    }
    return document ?? {};
  }

  return { bytes, shown, signed };
})();
