"""Small packages, as hosts take them: a plain ustar archive, gzipped, with manifest.json first."""

import gzip
import hashlib
import io
import json
import tarfile


def write(path, kind, version):
    program = f"#!/bin/sh\necho {kind} {version}\n".encode()
    file = {"path": "bin/program", "mode": "0755", "bytes": len(program), "sha256": hashlib.sha256(program).hexdigest()}
    manifest = {
        "schema_version": 1,
        "kind": kind,
        "version": version,
        "arch": "x86_64",
        "minimum_kernel": "5.10",
        "files": [file],
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode, content in [("manifest.json", 0o644, json.dumps(manifest).encode()), ("bin/program", 0o755, program)]:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    package = gzip.compress(archive.getvalue(), mtime=0)
    with open(path, "wb") as out:
        out.write(package)
    return package
