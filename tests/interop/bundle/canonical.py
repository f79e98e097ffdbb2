"""Section: Canonical JSON."""

import json
import re

from . import Refused, within

STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*)*"')
ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
TOKENS = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"?|[\[\]{}]', re.DOTALL)
HEX = "[0-9a-fA-F]"
ESCAPE = re.compile(
    rf"\\u[dD][89abAB]{HEX}{{2}}\\u[dD][c-fC-F]{HEX}{{2}}|\\u({HEX}{{4}})|\\u.{{0,4}}|\\.", re.DOTALL
)
MAX_INTEGER = (1 << 53) - 1


class NotCanonical(Exception):
    """The first place of a text that is not canonical JSON."""

    is_duplicate = False


class Duplicate(NotCanonical):
    is_duplicate = True


def utf16(name):
    """What members are sorted by."""
    return name.encode("utf-16-be", "surrogatepass")


def number(value):
    """A number as ECMAScript prints it: Python has the same shortest digits, in another layout."""
    if isinstance(value, int):
        return str(value)
    if value == 0:
        return "0"
    sign, text = ("-", repr(-value)) if value < 0 else ("", repr(value))
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    tail = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def keyed_by(array):
    """What a record's array is keyed by, or nothing."""
    for field in ("uuid", "id"):
        if array and all(isinstance(row, dict) and isinstance(row.get(field), str) for row in array):
            keys = {row[field] for row in array}
            return field if len(keys) == len(array) else None
    return None


def canonical(value, is_record):
    """The canonical text of a value."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        escape = lambda match: ESCAPES.get(match[0], f"\\u{ord(match[0]):04x}")
        return '"' + re.sub(r'["\\\x00-\x1f]', escape, value) + '"'
    if isinstance(value, list):
        field = keyed_by(value) if is_record else None
        rows = sorted(value, key=lambda row: row[field].encode()) if field else value
        return "[" + ",".join(canonical(row, is_record) for row in rows) + "]"
    if isinstance(value, dict):
        names = sorted(value, key=utf16)
        return "{" + ",".join(canonical(name, False) + ":" + canonical(value[name], is_record) for name in names) + "}"
    return number(value)


class Reader:
    """Reads canonical JSON and nothing else. Depth was measured before."""

    def __init__(self, text, is_record):
        self.text, self.at, self.is_record = text, 0, is_record

    def document(self):
        value = self.value()
        if self.at != len(self.text):
            raise NotCanonical("something follows")
        return value

    def take(self, piece):
        if not self.text.startswith(piece, self.at):
            raise NotCanonical(f"{piece} is expected at character {self.at}")
        self.at += len(piece)

    def value(self):
        first = self.text[self.at : self.at + 1]
        if first == "{":
            return self.object()
        if first == "[":
            return self.array()
        if first == '"':
            return self.string()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        return self.number()

    def object(self):
        self.take("{")
        members, last = {}, None
        while not self.text.startswith("}", self.at):
            if members:
                self.take(",")
            name = self.string()
            if name in members:
                raise Duplicate(f"{name!r} is named twice")
            if last is not None and utf16(name) < utf16(last):
                raise NotCanonical("members are not sorted")
            self.take(":")
            members[name] = self.value()
            last = name
        self.take("}")
        return members

    def array(self):
        self.take("[")
        values = []
        while not self.text.startswith("]", self.at):
            if values:
                self.take(",")
            values.append(self.value())
        self.take("]")
        field = keyed_by(values) if self.is_record else None
        if field and values != sorted(values, key=lambda row: row[field].encode()):
            raise NotCanonical(f"rows are not sorted by {field}")
        return values

    def string(self):
        match = STRING.match(self.text, self.at)
        if not match:
            raise NotCanonical(f"a canonical string is expected at character {self.at}")
        self.at = match.end()
        return json.loads(match[0])

    def number(self):
        token = re.compile(r"[-+.0-9eE]*").match(self.text, self.at)[0]
        self.at += len(token)
        if re.fullmatch(r"0|-?[1-9][0-9]{0,15}", token) and abs(int(token)) <= MAX_INTEGER:
            return int(token)
        if re.fullmatch(r"-?[0-9]+", token) or not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?", token):
            raise NotCanonical(f"the number {token[:40]!r}")
        value = float(token)
        if value in (float("inf"), float("-inf")) or number(value) != token:
            raise NotCanonical(f"the number {token[:40]!r}")
        return value


def resolved(escape):
    """What an escape stands for, as far as its length goes."""
    if escape[1]:
        return chr(int(escape[1], 16))
    return "\U0001f600" if escape[0].startswith("\\u") and len(escape[0]) == 12 else "x"


def check_limits_of_json(text, limits):
    """Measures depth and strings, also of what is no JSON."""
    depth = deepest = longest = 0
    for match in TOKENS.finditer(text):
        if match[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in "]}":
            depth = max(depth - 1, 0)
        # A string never stands for more bytes than its spelling has.
        elif len(match[1].encode()) > limits["string-bytes"]:
            longest = max(longest, len(ESCAPE.sub(resolved, match[1]).encode("utf-8", "surrogatepass")))
    within(limits, "json-depth", deepest)
    within(limits, "string-bytes", longest)


def is_json(text):
    def refuse(word):
        raise ValueError(word)

    try:
        # Numbers stay as they are: Python reads no more than a few thousand digits.
        json.loads(text, parse_int=str, parse_float=str, parse_constant=refuse)
    except ValueError:
        return False
    return True


def read_json(data, limits, codes, is_record=False):
    """Reads a document; `codes` are those of bytes that are no UTF-8, no JSON, a member twice, and other spellings."""
    not_utf8, not_json, duplicate, spelling = codes
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(not_utf8, f"not UTF-8 at byte {error.start}") from None
    check_limits_of_json(text, limits)
    try:
        return Reader(text, is_record).document()
    except NotCanonical as error:
        if not is_json(text):
            raise Refused(not_json, "not JSON") from None
        raise Refused(duplicate if error.is_duplicate else spelling, f"not canonical JSON: {error}") from None
