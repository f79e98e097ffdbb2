"""Section: Keys and signatures."""

import base64
import hashlib
import os
import re
import subprocess
import tempfile

from . import Refused

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
ORDER = 2**252 + 27742317777372353535851937790883648493
SPKI = bytes.fromhex("302a300506032b6570032100")
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
SHA256 = "[0-9a-f]{64}"
KEY_ID = "sha256:" + SHA256


def from_base64(text):
    """The bytes of standard padded base64, or nothing if it is spelled in any other way."""
    text = text.encode("utf-8") if isinstance(text, str) else text
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded if base64.b64encode(decoded) == text else None


def decode_point(encoded):
    """The point, or nothing if there is none."""
    number = int.from_bytes(encoded, "little")
    y, sign = number % 2**255 % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return (-x % P if x % 2 != sign else x, y)


def double(point):
    x, y = point
    product = D * x * x * y * y % P
    return (2 * x * y * pow(1 + product, -1, P) % P, (y * y + x * x) * pow(1 - product, -1, P) % P)


def is_of_small_order(point):
    return double(double(double(point))) == (0, 1)


def verifies(key, message, signature):
    """Whether a signature holds, strictly. `key` is the DER."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    points = decode_point(key[12:]), decode_point(r)
    if s >= ORDER or None in points or any(map(is_of_small_order, points)):
        return False
    with tempfile.TemporaryDirectory() as place:
        paths = [os.path.join(place, name) for name in ("key.der", "message", "signature")]
        for path, content in zip(paths, (key, message, signature)):
            with open(path, "wb") as file:
                file.write(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", paths[0], "-rawin"]
        result = subprocess.run(command + ["-in", paths[1], "-sigfile", paths[2]], capture_output=True, check=False)
    return result.returncode == 0


def key_id(key):
    return "sha256:" + hashlib.sha256(key).hexdigest()


def public_key(text):
    """The DER of a public key in base64, or nothing."""
    der = from_base64(text)
    is_key = der is not None and len(der) == 44 and der.startswith(SPKI) and decode_point(der[12:]) is not None
    return der if is_key else None


class Keyring:
    """Whom a verifier trusts."""

    def __init__(self, directory=None, file=None):
        self.clients, self.any, self.revoked = {}, [], set()
        if file:
            self.any = self.read_pem(file)
        for name in sorted(os.listdir(directory)) if directory else []:
            path = os.path.join(directory, name)
            if name.lower() == "revoked":
                self.read_revoked(path)
            elif name.lower().startswith("revoked"):
                raise ValueError(f"{path}: the file of revoked keys must be named revoked")
            elif name.endswith(".pem"):
                if not re.fullmatch(UUID, name[:-4]):
                    raise ValueError(f"{path} is not named after a client")
                self.clients[name[:-4]] = self.read_pem(path)

    def read_revoked(self, path):
        with open(path, encoding="utf-8") as file:
            lines = [line.split("#")[0].strip() for line in file]
        for line in filter(None, lines):
            if not re.fullmatch(KEY_ID, line):
                raise ValueError(f"{path}: {line!r} is no key id")
            self.revoked.add(line)

    @staticmethod
    def read_pem(path):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if "PRIVATE KEY-----" in text:
            raise ValueError(f"{path} holds a private key")
        blocks = re.findall("-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", text, re.DOTALL)
        keys = [public_key("".join(block.split())) for block in blocks]
        if not keys or None in keys:
            raise ValueError(f"{path} does not hold Ed25519 public keys")
        return keys

    def judge(self, client, signer, chain):
        """Whether the signer is trusted; `chain` are the keys that the links of its rotation begin with."""
        listed = self.clients.get(client, []) + self.any
        if key_id(signer) in self.revoked:
            raise Refused("keyRevoked", "signed by a revoked key")
        if signer in listed:
            return True
        if any(key_id(key) in self.revoked for key in chain):
            raise Refused("keyRevoked", "signed through a revoked key")
        if any(key in listed for key in chain):
            return True
        if listed:
            raise Refused("keyConflict", "the client is known with other keys")
        return False
