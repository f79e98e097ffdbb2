"""Sections: manifest.json, receipt.json, and the steps 2 to 4 of verifying."""

import re

from . import Refused, within
from .canonical import read_json
from .keys import KEY_ID, SHA256, UUID, from_base64, key_id, public_key, verifies

UUID_V7 = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,9})?"
    r"(Z|[-+]([01][0-9]|2[0-3]):[0-5][0-9])"
)
SIGNED_CODES = ("manifestNotUtf8", "manifestNotJson", "manifestDuplicateMember", "manifestNotCanonical")


def is_text(value):
    return isinstance(value, str)


def like(pattern):
    return lambda value: is_text(value) and re.fullmatch(pattern, value) is not None


def is_count(value):
    return type(value) is int and value >= 0


def is_sequence(value):
    return is_count(value) and value >= 1


def is_boolean(value):
    return isinstance(value, bool)


def is_public_key(value):
    return is_text(value) and public_key(value) is not None


def is_signature(value):
    return is_text(value) and len(from_base64(value) or b"") == 64


def parse_time(value):
    """Year, month, day, hour, minute, second of a time, or nothing."""
    match = TIME.fullmatch(value) if is_text(value) else None
    if not match:
        return None
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    exists = 1 <= month <= 12 and 1 <= day <= days[month - 1] and hour <= 23 and minute <= 59 and second <= 60
    return (year, month, day, hour, minute, second) if exists else None


def is_time(value):
    return parse_time(value) is not None and len(value) <= 40


def is_seconds(value):
    return parse_time(value) is not None and len(value) == 20 and value.endswith("Z")


def mtime(created):
    """A time as tar headers have it."""
    year, month, day, hour, minute, second = parse_time(created)
    # Days since 1970, with years that begin in March.
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719469
    return min(max(days * 86400 + hour * 3600 + minute * 60 + min(second, 59), 0), 8**11 - 1)


def is_withheld(value):
    if not isinstance(value, list) or not all(map(is_text, value)):
        return False
    entries = [entry.encode() for entry in value]
    return all(left < right for left, right in zip(entries, entries[1:]))


def is_counts(value):
    return isinstance(value, dict) and all(map(is_count, value.values()))


class Members:
    """Reads the members of an object in the order of the text, each by its rule; `?` marks those that may be absent."""

    def __init__(self, **rules):
        self.rules = {name.rstrip("_"): rule for name, rule in rules.items()}

    def check(self, value, path, limits):
        if not isinstance(value, dict):
            raise Refused("manifestMemberInvalid", f"{path} must be an object")
        for name, member in value.items():
            rule = self.rules.get(name)
            if isinstance(rule, (Members, Array, Text)):
                rule.check(member, f"{path}.{name}", limits)
            elif rule and not rule(member):
                raise Refused("manifestMemberInvalid", f"{path}.{name} is not what it must be")
        for name, rule in sorted(self.rules.items()):
            if name not in value and not getattr(rule, "is_optional", False):
                raise Refused("manifestMemberMissing", f"{path}.{name} is missing")


class Array:
    """An array of objects, of at most as many as a limit allows."""

    def __init__(self, limit, members, is_optional=False):
        self.limit, self.members, self.is_optional = limit, members, is_optional

    def check(self, value, path, limits):
        if not isinstance(value, list):
            raise Refused("manifestMemberInvalid", f"{path} must be an array")
        within(limits, self.limit, len(value))
        for index, member in enumerate(value):
            self.members.check(member, f"{path}[{index}]", limits)


class Text:
    """A string of limited length."""

    def __init__(self, is_optional=False):
        self.is_optional = is_optional

    def check(self, value, path, limits):
        if not is_text(value):
            raise Refused("manifestMemberInvalid", f"{path} must be a string")
        within(limits, "text-bytes", len(value.encode()))


def optional(rule):
    checked = lambda value: rule(value)
    checked.is_optional = True
    return checked


MANIFEST = Members(
    bundle=like(UUID_V7),
    client=like(UUID),
    store=like(UUID),
    key=like(KEY_ID),
    publicKey=is_public_key,
    sequence=is_sequence,
    previous=lambda value: value is None or like(KEY_ID)(value),
    rotation=Array(
        "rotation",
        Members(previousKey=is_public_key, publicKey=is_public_key, signature=is_signature),
        is_optional=True,
    ),
    replaces=optional(like(UUID)),
    created=is_seconds,
    producer=Text(),
    note=Text(is_optional=True),
    withheld=is_withheld,
    dropped=is_count,
    discarded=is_count,
    payload=Members(name=like(r"records\.tar\.gz"), size=is_count, sha256=like(SHA256)),
    records=Array(
        "records",
        Members(
            id=like(UUID_V7),
            kind=like("[a-z][a-z0-9-]{0,62}"),
            version=like("v[1-9][0-9]{0,3}"),
            time=is_time,
            complete=is_boolean,
            encoding=like("full|delta"),
            size=is_count,
            sha256=like(SHA256),
            counts=is_counts,
        ),
    ),
)
RECEIPT_DOCUMENT = Members(
    receipt=like(UUID_V7),
    client=like(UUID),
    store=like(UUID),
    bundle=like(UUID_V7),
    manifestSha256=like(SHA256),
    sequence=is_sequence,
    received=is_seconds,
    key=like(KEY_ID),
    publicKey=is_public_key,
    chain=like("ok|gap|fork"),
    highestSequence=is_sequence,
    records=Array(
        "records",
        Members(
            id=like(UUID_V7),
            sha256=like(SHA256),
            status=like("accepted|duplicate|rejected"),
            reason=Text(is_optional=True),
        ),
    ),
)


def read_signed(data, family, members, limits):
    """Step 2: a signed document."""
    document = read_json(data, limits, SIGNED_CODES)
    if not isinstance(document, dict):
        raise Refused("manifestMemberInvalid", "the document must be an object")
    if "format" not in document:
        raise Refused("manifestMemberMissing", "format is missing")
    found = document["format"]
    if not is_text(found):
        raise Refused("manifestMemberInvalid", "format must be a string")
    if found != family + "/1":
        code = "formatVersion" if found.startswith(family + "/") else "formatUnknown"
        raise Refused(code, f"the format {found[:100]!r}")
    members.check(document, "$", limits)
    return document


def check_manifest(manifest, limits):
    records = manifest["records"]
    within(limits, "record-bytes", max((record["size"] for record in records), default=0))
    within(limits, "total-bytes", sum(record["size"] for record in records))
    chain = longest = 0
    for record in records:
        chain = chain + 1 if record["encoding"] == "delta" else 0
        longest = max(longest, chain)
    within(limits, "delta-chain", longest)
    order = [tuple(record[name].encode() for name in ("kind", "version", "time", "id")) for record in records]
    if any(left >= right for left, right in zip(order, order[1:])):
        raise Refused("manifestMemberInvalid", "records are not in order")
    if len({record["id"] for record in records}) < len(records):
        raise Refused("manifestMemberInvalid", "two records have one id")


def check_signer(document, data, signature_file):
    """The key id, and step 3."""
    signer = public_key(document["publicKey"])
    if key_id(signer) != document["key"]:
        raise Refused("keyIdMismatch", "publicKey does not belong to key")
    signature = from_base64(signature_file[:-1]) if signature_file.endswith(b"\n") else None
    if signature is None or len(signature) != 64:
        raise Refused("signatureEncoding", "the signature file is not 64 bytes in base64 and a line feed")
    if not verifies(signer, data, signature):
        raise Refused("signatureMismatch", "the signature does not match")
    return signer


def check_rotation(manifest):
    """Step 4, the chain; the keys that its links begin with."""
    links = manifest.get("rotation", [])
    for index, link in enumerate(links):
        if index and links[index - 1]["publicKey"] != link["previousKey"]:
            raise Refused("rotationInvalid", f"link {index} does not begin where the one before it ends")
        text = f"kubermatic-telemetry-rotation/1 {manifest['client']} {link['previousKey']} {link['publicKey']}"
        if not verifies(public_key(link["previousKey"]), text.encode(), from_base64(link["signature"])):
            raise Refused("rotationInvalid", f"the signature of link {index} does not match")
    if links and links[-1]["publicKey"] != manifest["publicKey"]:
        raise Refused("rotationInvalid", "the last link names another key than the signer's")
    return [public_key(link["previousKey"]) for link in links]
