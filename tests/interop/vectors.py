#!/usr/bin/env python3
"""Runs verify.py on every test vector: prints a line of JSON for each, and fails if one has a code that it must not have.

    vectors.py [DIR]     DIR is testdata/bundles unless given
"""

import contextlib
import io
import json
import os
import sys

import verify


def options_of(row, folder, place):
    """The command line for a vector, as its index describes it."""
    keyring, options = row.get("keyring"), ["--json"]
    if row["file"].endswith(".receipt.tar"):
        options += ["--receipt"] + (["--key", os.path.join(place, "keyrings", keyring)] if keyring else [])
    elif keyring:
        options += ["--keyring", os.path.join(place, "keyrings", keyring)]
    for limit in row.get("limits", []):
        options += ["--limit", limit]
    return options + [os.path.join(place, folder, row["file"])]


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    place = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../testdata/bundles")
    wrong = 0
    for folder in ("valid", "hostile"):
        with open(os.path.join(place, folder, "expected.json"), encoding="utf-8") as file:
            rows = json.load(file)
        for row in rows:
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exit_code = verify.main(options_of(row, folder, place))
            code = json.loads(output.getvalue())["code"]
            expected_exit = {"valid": 0, "signerUnknown": 3}.get(row["code"], 1)
            is_right = (code, exit_code) == (row["code"], expected_exit)
            wrong += not is_right
            print(json.dumps({"file": f"{folder}/{row['file']}", "code": code, "exit": exit_code, "right": is_right}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
