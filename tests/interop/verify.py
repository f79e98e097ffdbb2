#!/usr/bin/env python3
"""Verifies bundles and receipts of Kubermatic telemetry, independently of the program that makes them.

Written from docs/bundle-format.md alone, with Python's standard library and the `openssl` program. It is meant to be
read: each file of the folder `bundle` names the section of that page which it follows, and this one has the order of
the steps. It holds a whole bundle in memory, but never more than two records.

    verify.py [--json] [--keyring DIR | --key FILE] [--limit NAME=NUMBER]... [--receipt] FILE

FILE may be `-` for stdin. Exit code 0: valid and trusted; 3: valid, but no key of this client is trusted; 1: refused;
2: wrong usage. With --json, `code` says why.
"""

import argparse
import hashlib
import json
import sys

from bundle import LIMITS, Refused, within
from bundle.altered import recognise
from bundle.container import BUNDLE, RECEIPT, read_container
from bundle.documents import MANIFEST, RECEIPT_DOCUMENT, check_manifest, check_rotation, check_signer, read_signed
from bundle.keys import Keyring
from bundle.records import read_records


def verify_bundle(data, keyring, limits):
    """Verifies a bundle; whether its signer is trusted, and its manifest."""
    document, signature, payload = open_container(data, BUNDLE, limits)
    manifest = read_signed(document, "kubermatic-telemetry-bundle", MANIFEST, limits)
    check_manifest(manifest, limits)
    signer = check_signer(manifest, document, signature)
    chain = check_rotation(manifest)
    trusted = keyring.judge(manifest["client"], signer, chain)
    if len(payload) != manifest["payload"]["size"]:
        raise Refused("payloadSize", f"the payload has {len(payload)} bytes")
    if hashlib.sha256(payload).hexdigest() != manifest["payload"]["sha256"]:
        raise Refused("payloadDigest", "the payload has another digest")
    for _ in read_records(manifest, payload, limits):
        pass
    return trusted, manifest


def verify_receipt(data, keyring, limits):
    document, signature = open_container(data, RECEIPT, limits)
    receipt = read_signed(document, "kubermatic-telemetry-receipt", RECEIPT_DOCUMENT, limits)
    return check_signer(receipt, document, signature) in keyring.any, receipt


def open_container(data, names, limits):
    within(limits, "bundle-bytes", len(data))
    try:
        return read_container(data, names, limits)
    except Refused as refused:
        if refused.code == "limitExceeded":
            raise
        raise recognise(data, names, refused) from None


def read_file(path, limits):
    try:
        with sys.stdin.buffer if path == "-" else open(path, "rb") as file:
            return file.read(limits["bundle-bytes"] + 1)
    except OSError as error:
        raise Refused("unreadable", str(error)) from None


def parse_limit(text):
    name, _, number_text = text.partition("=")
    if name not in LIMITS or not number_text.isdecimal():
        raise argparse.ArgumentTypeError(f"NAME=NUMBER is expected, with one of {', '.join(LIMITS)}")
    return name, int(number_text)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Verify a bundle or receipt of Kubermatic telemetry.")
    parser.add_argument("file", metavar="FILE", help="the bundle; - is stdin")
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--keyring", metavar="DIR", help="directory of trusted keys: <client>.pem, and revoked")
    trust.add_argument("--key", metavar="FILE", help="PEM file of keys to trust for whatever client")
    parser.add_argument("--limit", metavar="NAME=NUMBER", action="append", type=parse_limit, default=[])
    parser.add_argument("--receipt", action="store_true", help="verify a receipt; --key are the receipt keys")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    limits = LIMITS | dict(options.limit)
    report = {"file": options.file}
    try:
        try:
            keyring = Keyring(options.keyring, options.key)
        except (OSError, ValueError) as error:
            raise Refused("trustUnavailable", str(error)) from None
        verify = verify_receipt if options.receipt else verify_bundle
        trusted, document = verify(read_file(options.file, limits), keyring, limits)
        report["code"] = "valid" if trusted else "signerUnknown"
        report |= {"client": document["client"], "key": document["key"]}
        exit_code = 0 if trusted else 3
    except Refused as refused:
        report |= {"code": refused.code, "error": str(refused)}
        exit_code = 1
    # ASCII alone, so that nothing in it acts on a terminal.
    text = json.dumps(report) if options.json else "\n".join(f"{name}: {value!a}" for name, value in report.items())
    print(text)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
