"""Section: Container, with tar headers and the outer tar."""

import re

from . import Refused, within

BLOCK = 512
ZEROS = bytes(BLOCK)
BUNDLE = ("manifest.json", "manifest.json.sig", "records.tar.gz")
RECEIPT = ("receipt.json", "receipt.json.sig")
TYPES = {
    **dict.fromkeys("12", "entryLink"),
    **dict.fromkeys("34", "entryDevice"),
    "5": "entryDirectory",
    "6": "entryFifo",
    "S": "entrySparse",
    **dict.fromkeys("xg", "entryPax"),
    **dict.fromkeys("LK", "entryGnu"),
}


def padding(size):
    return -size % BLOCK


def checksum(block):
    return sum(block) - sum(block[148:156]) + 8 * 32


def spelled_checksum(block):
    return b"%06o\0 " % checksum(block)


def name_field(field):
    """A name, or nothing if it is no text or something hides behind it."""
    name, _, rest = field.partition(b"\0")
    try:
        return name.decode("utf-8") if not rest.strip(b"\0") else None
    except UnicodeDecodeError:
        return None


def octal_field(field):
    match = re.fullmatch(rb"([0-7]+)(?:[\0 ][\0 ]*)?", field)
    return int(match[1], 8) if match else None


def other_type(block):
    return Refused(TYPES.get(chr(block[156]), "entryType"), "an entry is no regular file")


def misplaced(name):
    if name.startswith("/") or ".." in name.split("/"):
        return Refused("entryPath", f"an entry's name leads elsewhere: {name!r}")
    return Refused("entryUnexpected", f"an entry does not belong there: {name!r}")


def read_container(data, names, limits):
    """The contents of the entries, which must be `names` in this order."""
    at, contents, directories = 0, [], 0
    while True:
        block = data[at : at + BLOCK]
        if len(block) < BLOCK:
            raise Refused("truncated", f"cut off {len(data)} bytes on, where a header should be")
        at += BLOCK
        if block == ZEROS:
            break
        name, size, is_directory = read_outer_header(block)
        if is_directory:
            directories += 1
            if directories > 1:
                raise Refused("entryDuplicate", "the directory ./ is there twice")
            continue
        if name in names[: len(contents)]:
            raise Refused("entryDuplicate", f"{name} is there twice")
        if name not in names[len(contents) : len(contents) + 1]:
            raise misplaced(name)
        if not contents:
            within(limits, "manifest-bytes", size)
        if len(contents) == 1 and size != 89:
            raise Refused("signatureEncoding", "the signature file has another size than 89 bytes")
        end = at + size + padding(size)
        if end > len(data):
            raise Refused("truncated", f"cut off in {name}")
        if data[at + size : end].strip(b"\0"):
            raise Refused("entryPadding", f"the padding behind {name} is not zero")
        contents.append(data[at : at + size])
        at = end
    if len(data) - at < BLOCK:
        raise Refused("truncated", "cut off in the end marker")
    if (len(data) - at) % BLOCK or data[at:].strip(b"\0"):
        raise Refused("trailingBytes", "something follows the end")
    if len(contents) < len(names):
        raise Refused("entryMissing", f"{names[len(contents)]} is missing")
    return contents


def read_outer_header(block):
    if block[148:156] != spelled_checksum(block):
        raise Refused("entryHeader", "a header checksum is wrong, or spelled otherwise")
    name = name_field(block[:100])
    if name is None:
        raise Refused("entryHeader", "a name is no text")
    name = name[2:] if name.startswith("./") else name
    if block[156] not in b"05":
        raise other_type(block)
    if block[257:265] not in (b"ustar\x0000", b"ustar  \0"):
        raise Refused("entryHeader", "a header is not ustar")
    if (block[157:257] + block[345:]).strip(b"\0"):
        raise Refused("entryHeader", "a header has a link name or a prefix")
    size = octal_field(block[124:136])
    if size is None:
        raise Refused("entryHeader", "a size is not octal")
    is_directory = block[156] == ord("5")
    if is_directory and (block[:3] != b"./\0" or size):
        raise other_type(block)
    return name, size, is_directory
