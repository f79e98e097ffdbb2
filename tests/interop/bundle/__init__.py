"""What every part of the verifier shares: the limits, and how a file is refused. Section: Limits."""

MIB = 1 << 20
LIMITS = {
    "bundle-bytes": 256 * MIB,
    "manifest-bytes": 16 * MIB,
    "records": 20_000,
    "record-bytes": 32 * MIB,
    "total-bytes": 4096 * MIB,
    "ratio": 400,
    "delta-chain": 20_000,
    "json-depth": 64,
    "string-bytes": 64 * 1024,
    "text-bytes": 1024,
    "rotation": 16,
}


class Refused(Exception):
    """Why a file is refused: the stable code, and a text for people."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def within(limits, name, actual):
    if actual > limits[name]:
        raise Refused("limitExceeded", f"{name}: {actual} is more than {limits[name]}")
