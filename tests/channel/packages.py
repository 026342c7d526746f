"""Small packages, as hosts take them: a plain ustar archive, gzipped, with manifest.json first."""

import gzip
import hashlib
import io
import json
import tarfile


def write(path, kind, version):
    program = f"#!/bin/sh\necho {kind} {version}\n".encode()
    files = [("bin/program", 0o755, program)]
    if kind == "plugin":
        plugin = {"schema_version": 1, "kind": "plugin", "name": "yara", "version": version, "protocol": 1,
                  "arch": "x86_64", "executable": "bin/program", "events": [2004]}  # fmt: skip
        files.append(("plugin.json", 0o644, json.dumps(plugin).encode()))
    manifest = {
        "schema_version": 1,
        "kind": kind,
        "version": version,
        "arch": "x86_64",
        "minimum_kernel": "5.10",
        "files": [
            {"path": name, "mode": f"{mode:04o}", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, mode, content in files
        ],
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, mode, content in [("manifest.json", 0o644, json.dumps(manifest).encode()), *files]:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    package = gzip.compress(archive.getvalue(), mtime=0)
    with open(path, "wb") as out:
        out.write(package)
    return package
