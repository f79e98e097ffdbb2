#!/usr/bin/env python3
"""Lists, extracts and packs tars with Python's tarfile, for the tests of interoperability.

    tarball.py list FILE
    tarball.py extract FILE DIRECTORY
    tarball.py pack FILE DIRECTORY FORMAT NAME...

FORMAT is gnu, ustar or pax. Entries get another owner than their files have, and keep the files' times.
"""

import os
import sys
import tarfile

FORMATS = {"gnu": tarfile.GNU_FORMAT, "ustar": tarfile.USTAR_FORMAT, "pax": tarfile.PAX_FORMAT}


def disowned(entry):
    entry.uid, entry.gid, entry.uname, entry.gname = 1234, 5678, "operator", "staff"
    return entry


def main(verb, file, *rest):
    if verb == "list":
        with tarfile.open(file) as tar:
            print(*tar.getnames(), sep="\n")
    elif verb == "extract":
        (directory,) = rest
        with tarfile.open(file) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(directory, filter="data")
            else:
                tar.extractall(directory)
    elif verb == "pack":
        directory, form, *names = rest
        with tarfile.open(file, "w", format=FORMATS[form]) as tar:
            for name in names:
                entry = tar.gettarinfo(os.path.join(directory, name))
                # The method takes "./" off the name; this is where a packer keeps it.
                entry.name = name
                if entry.isdir():
                    tar.addfile(disowned(entry))
                    continue
                with open(os.path.join(directory, name), "rb") as contents:
                    tar.addfile(disowned(entry), contents)
    else:
        sys.exit(f"{verb} is not one of list, extract, pack")


if __name__ == "__main__":
    main(*sys.argv[1:])
