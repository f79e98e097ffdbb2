"""Section: Bundles that were altered on their way."""

import re

from . import MIB, Refused
from .container import BLOCK, BUNDLE, RECEIPT, ZEROS, checksum, name_field, octal_field, padding
from .keys import from_base64

MAGIC = {
    b"\x1f\x8b": "wrapped",
    b"\xfd7zXZ\0": "wrapped",
    b"\x28\xb5\x2f\xfd": "wrapped",
    b"BZh": "wrapped",
    b"PK\x03\x04": "wrapped",
    b"7z\xbc\xaf\x27\x1c": "wrapped",
    b"\xff\xfe": "textConverted",
    b"\xfe\xff": "textConverted",
    b"-----BEGIN ": "encoded",
}


def of_magic(data):
    return next((code for magic, code in MAGIC.items() if data.startswith(magic)), None)


def is_header(block):
    """Whether a block is a tar header by its checksum, however that is spelled."""
    return len(block) == BLOCK and block != ZEROS and octal_field(block[148:156].lstrip()) == checksum(block)


def of_text(data):
    mark = b"\xef\xbb\xbf"
    start = data[:4096]
    text = start[3:] if start.startswith(mark) else start
    lower = text.lower()
    if re.match(rb"\s*<(!doctype|html|head|body|script|\?xml)", lower):
        return "webPage"
    if start.startswith(mark):
        return "textConverted"
    if b"\0" in text:
        return None
    if text.startswith(b"{") and b'"format":"kubermatic-telemetry-' in text:
        return "notABundle"
    lines = [line.rstrip() for line in lower.split(b"\n")]
    fields = lines[: lines.index(b"")] if b"" in lines else lines
    begins = lower.startswith(b"from ") or re.match(rb"[a-z0-9-]+:", lower)
    words = (b"mime-version:", b"content-type:", b"content-transfer-encoding:", b"received:")
    if begins and any(field.startswith(words) for field in fields):
        return "encoded"
    if b"=00=00" in text:
        return "encoded"
    letters = re.sub(rb"\s", b"", text)[:1024]
    decoded = from_base64(letters[: len(letters) // 4 * 4]) or b""
    if is_header(decoded[:BLOCK]) or (len(decoded) > 8 and of_magic(decoded)):
        return "encoded"
    return None


def survey(data):
    """A lenient walk over a tar: its files with their places, whether there are extras, old headers, and an end."""
    files, extras, old, at = [], False, False, 0
    for _ in range(32):
        block = data[at : at + BLOCK]
        if block == ZEROS:
            return files, extras, old, True
        if not is_header(block):
            break
        name, size = name_field(block[:100]), octal_field(block[124:136].lstrip())
        prefix = name_field(block[345:500]) if block[257:263] == b"ustar\0" else ""
        if None in (name, size, prefix):
            break
        path = f"{prefix}/{name}" if prefix else name
        path = path[2:] if path.startswith("./") else path
        kind = chr(block[156])
        if kind == "5":
            extras = extras or block[:3] != b"./\0"
        elif kind in "xgLK" or (kind in "0\0" and path.split("/")[-1].startswith("._")):
            extras = True
        elif kind in "0\0":
            files.append((path, at + BLOCK, size))
        else:
            break
        old = old or kind == "\0" or not block[257:].startswith(b"ustar")
        at += BLOCK + size + padding(size)
    return files, extras, old, False


def of_tar(data, names):
    files, extras, old, is_whole = survey(data)
    if not files:
        return None
    if files[0][0].startswith("records/0"):
        return "notABundle"
    folders = {path.rpartition("/")[0] for path, _, _ in files}
    found = [path.rpartition("/")[2] for path, _, _ in files]
    for expected in (BUNDLE, RECEIPT):
        if is_whole and len(folders) == 1 and sorted(found) == sorted(expected):
            if expected != names:
                return "wrongDocument"
            if tuple(found) != expected or folders != {""} or extras or old:
                return "repacked"
    if is_whole and len(files) == 1:
        _, at, size = files[0]
        if size and (is_header(data[at : at + BLOCK]) or of_magic(data[at : at + BLOCK])):
            return "wrapped"
    if len(files) > 1 and files[1][0] in (BUNDLE[1], RECEIPT[1]) and files[1][2] == 89:
        if data[files[1][1] + 88 :][:2] == b"\r\n":
            return "textConverted"
    return None


def recognise(data, names, refused):
    """A better word for a container that was refused, if there is one."""
    code = "notABundle" if not data else of_magic(data) or of_text(data) or of_tar(data, names)
    if code is None and re.search(rb"\x1f(\xc2\x8b|\xef\xbf\xbd)\x08", data[:MIB]):
        code = "textConverted"
    if code is None:
        is_named = re.match(rb"(\./)?(manifest|receipt)\.json", data)
        if not is_named and data[257:262] != b"ustar" and data[:BLOCK] != ZEROS:
            code = "notABundle"
    return Refused(code, f"not a container as it should be ({refused})") if code else refused
