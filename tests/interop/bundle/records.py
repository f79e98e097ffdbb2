"""Section: Entries and deltas, and step 6 of verifying: the payload, its records, and what deltas make of them."""

import hashlib
import zlib

from . import MIB, Refused, within
from .canonical import canonical, keyed_by, read_json
from .container import BLOCK, ZEROS, misplaced, name_field, octal_field, other_type, padding, spelled_checksum
from .documents import is_boolean, is_text, is_time, like, mtime

class Payload:
    """The inner tar as it comes out of the gzip stream."""

    def __init__(self, data, limits):
        self.data, self.most, self.done = data, limits["ratio"] * len(data), 0
        if len(data) < 10 or data[:3] != b"\x1f\x8b\x08":
            raise Refused("gzipDamaged", "the payload does not begin like a gzip stream")
        if data[3:8].strip(b"\0"):
            raise Refused("gzipHeader", "the gzip header has flags or a time")
        self.inflate, self.rest, self.crc, self.is_checked = zlib.decompressobj(-15), data[10:], 0, False

    def read(self, size):
        """As many bytes as are left, up to `size`."""
        pieces = []
        while size and not self.is_checked:
            if self.inflate.eof:
                self.check_trailer()
                break
            piece = self.piece(size)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def piece(self, size):
        try:
            piece = self.inflate.decompress(self.rest, min(size, MIB))
        except zlib.error as error:
            raise Refused("gzipDamaged", f"the gzip stream is damaged: {error}") from None
        self.rest = self.inflate.unconsumed_tail
        if not piece and not self.rest and not self.inflate.eof:
            raise Refused("gzipDamaged", "the gzip stream is cut off")
        self.crc = zlib.crc32(piece, self.crc)
        self.done += len(piece)
        if self.done > self.most:
            raise Refused("limitExceeded", "the records expand by more than ratio allows")
        return piece

    def check_trailer(self):
        expected = self.crc.to_bytes(4, "little") + (self.done % 2**32).to_bytes(4, "little")
        if self.inflate.unused_data[:8] != expected:
            raise Refused("gzipDamaged", "the gzip trailer is wrong or cut off")
        self.is_checked = True

    def block(self):
        block = self.read(BLOCK)
        if len(block) < BLOCK:
            raise Refused("truncated", "the inner tar is cut off in a header")
        return block

    def finish(self):
        if self.block() != ZEROS:
            raise Refused("recordExtra", "there are more records than the manifest lists")
        if self.block() != ZEROS:
            raise Refused("trailingBytes", "something follows the inner tar")
        total = 0
        while rest := self.read(MIB):
            total += len(rest)
            if rest.strip(b"\0"):
                raise Refused("trailingBytes", "something follows the inner tar")
        if total % BLOCK:
            raise Refused("trailingBytes", "half a block follows the inner tar")
        behind = self.inflate.unused_data[8:]
        if behind:
            is_member = behind.startswith(b"\x1f\x8b")
            raise Refused("gzipSecondMember" if is_member else "gzipTrailing", "something follows the gzip stream")


def inner_header(name, size, time, device):
    block = bytearray(BLOCK)
    block[: len(name)] = name.encode()
    block[100:124] = b"0000644\x000000000\x000000000\x00"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"%011o\0" % time
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[329:345] = device * 2
    block[148:156] = spelled_checksum(block)
    return bytes(block)


def read_entry(payload, name, names, time, entry, limits):
    """The contents of the next entry of the inner tar, which must be `name`."""
    block = payload.block()
    if block == ZEROS:
        raise Refused("recordMissing", f"{name} is missing")
    if block[148:156] != spelled_checksum(block):
        raise Refused("entryHeader", f"{name}: the header checksum is wrong")
    if block[156:157] != b"0":
        raise other_type(block)
    found = name_field(block[:100])
    if found is None:
        raise Refused("entryHeader", "a name is no text")
    if found != name:
        raise Refused("recordOrder", f"{found} instead of {name}") if found in names else misplaced(found)
    size = octal_field(block[124:136])
    spellings = [(at, device) for at in (time, 0) for device in (bytes(8), b"0000000\0")]
    if size is None or size >= 8**11 or block not in [inner_header(name, size, *spelling) for spelling in spellings]:
        raise Refused("entryHeader", f"{name}: the header is not exactly as it must be")
    within(limits, "record-bytes", size)
    if entry["encoding"] == "full" and size != entry["size"]:
        raise Refused("recordSize", f"{name} has {size} bytes")
    data = payload.read(size + padding(size))
    if len(data) < size + padding(size):
        raise Refused("truncated", f"cut off in {name}")
    if data[size:].strip(b"\0"):
        raise Refused("entryPadding", f"the padding behind {name} is not zero")
    return data[:size]


def read_records(manifest, data, limits):
    """Step 6; hands each full record on, with its line of the manifest."""
    payload, time, base = Payload(data, limits), mtime(manifest["created"]), None
    lines = manifest["records"]
    names = [f"records/{index:06}-{line['kind']}.json" for index, line in enumerate(lines)]
    listed = set(names)
    for index, (line, name) in enumerate(zip(lines, names)):
        content = read_entry(payload, name, listed, time, line, limits)
        is_delta = line["encoding"] == "delta"
        if is_delta:
            before = lines[index - 1] if index else {}
            if (before.get("kind"), before.get("version")) != (line["kind"], line["version"]):
                raise Refused("deltaWithoutBase", f"{name} is a delta without a base")
            codes = ("deltaNotCanonical",) * 4
            record = apply_delta(base, read_json(content, limits, codes), name)
            content = canonical(record, True).encode()
        else:
            record = read_json(content, limits, ("recordNotCanonical",) * 4, is_record=True)
            if not isinstance(record, dict):
                raise Refused("recordNotCanonical", f"{name} is no object")
        if len(content) != line["size"]:
            raise Refused("deltaResult" if is_delta else "recordSize", f"{name} has {len(content)} bytes")
        if hashlib.sha256(content).hexdigest() != line["sha256"]:
            raise Refused("deltaResult" if is_delta else "recordDigest", f"{name} has another digest")
        check_envelope(record, line, name)
        yield line, content
        base = record
    payload.finish()


def check_envelope(record, line, name):
    rules = {"kind": like("[a-z][a-z0-9-]{0,62}"), "version": like("v[1-9][0-9]{0,3}"), "time": is_time}
    is_sound = all(rule(record.get(member)) for member, rule in rules.items())
    if not is_sound or not is_boolean(record.get("complete", True)):
        raise Refused("recordEnvelope", f"{name} lacks what every record has")
    own = {member: record[member] for member in rules} | {"complete": record.get("complete", True)}
    for member, value in own.items():
        if value != line[member]:
            raise Refused("recordMismatch", f"{name} has another {member} than the manifest says")


def apply_delta(base, delta, name):
    """The record that a delta makes of its base."""

    def insist(holds, what):
        if not holds:
            raise Refused("deltaInvalid", f"{name}: {what}")

    insist(isinstance(delta, dict) and delta.keys() <= {"set", "unset", "rows"}, "a delta has another shape")
    insist(all(delta.values()), "a part is empty, or no part")
    set_, unset, rows = delta.get("set", {}), delta.get("unset", []), delta.get("rows", {})
    insist(isinstance(set_, dict) and isinstance(unset, list) and isinstance(rows, dict), "a part has another shape")
    insist(all(map(is_text, unset)), "unset is a list of names")
    named = list(set_) + unset + list(rows)
    insist(len(set(named)) == len(named), "a member is named twice")
    insist(all(member in base for member in unset), "a member is unset that is not there")
    result = {member: value for member, value in base.items() if member not in unset} | set_
    for member, changes in rows.items():
        insist(member in base, "rows are changed of what is not there")
        result[member] = apply_rows(base[member], changes, insist)
    return result


def apply_rows(base, changes, insist):
    field = keyed_by(base) if isinstance(base, list) else None
    insist(field, "rows are changed of what is not keyed")
    insist(isinstance(changes, dict) and changes and changes.keys() <= {"put", "delete"}, "changes have another shape")
    insist(all(changes.values()), "put or delete is empty")
    put, delete = changes.get("put", []), changes.get("delete", [])
    insist(isinstance(put, list) and isinstance(delete, list), "put and delete are lists")
    insist(all(map(is_text, delete)), "delete is a list of keys")
    insist(all(isinstance(row, dict) and is_text(row.get(field)) for row in put), "a row lacks its key")
    for keys in ([row[field].encode() for row in put], [key.encode() for key in delete]):
        insist(all(left < right for left, right in zip(keys, keys[1:])), "put and delete are sorted, each key once")
    rows = {row[field]: row for row in base}
    for key in delete:
        insist(key in rows, "a row is deleted that is not there")
    for row in put:
        insist(row[field] not in delete, "a row is put and deleted")
        old = rows.get(row[field])
        insist(old is None or canonical(old, True) != canonical(row, False), "a row is put that the base has")
    rows = {key: row for key, row in rows.items() if key not in delete} | {row[field]: row for row in put}
    result = list(rows.values())
    insist(keyed_by(result) == field, "the array is not keyed by the same field afterwards")
    return result
