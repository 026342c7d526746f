"""python-tuf: a client of a channel, and a publisher of one."""

import json
import os
from datetime import datetime, timedelta, timezone

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient import Updater


def version(path):
    with open(path, "rb") as file:
        return json.load(file)["signed"]["version"]


def put(path, content):
    """Writes a file, with a time of change that a server can tell from the one before: it counts whole seconds."""
    before = os.path.getmtime(path) if os.path.exists(path) else 0
    with open(path, "wb") as file:
        file.write(content)
    if os.path.getmtime(path) < before + 1:
        os.utime(path, (before + 1, before + 1))


class Client:
    def __init__(self, url, root, name="client"):
        self.metadata, self.downloads = f"{name}/metadata", f"{name}/downloads"
        os.makedirs(self.metadata, exist_ok=True)
        os.makedirs(self.downloads, exist_ok=True)
        self.updater = Updater(self.metadata, url, self.downloads, f"{url}/targets/", bootstrap=root)

    def refresh(self):
        self.updater.refresh()

    def get(self, path):
        target = self.updater.get_targetinfo(path)
        if target is None:
            return None
        with open(self.updater.download_target(target), "rb") as file:
            return file.read()

    def version(self, role):
        return version(os.path.join(self.metadata, f"{role}.json"))


class Channel:
    """A channel with consistent snapshots, all keys ed25519."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(f"{directory}/targets")
        expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
        self.signers = {role: CryptoSigner.generate_ed25519() for role in ["root", "targets", "snapshot", "timestamp"]}
        self.documents = {
            "root": Root(expires=expires, consistent_snapshot=True),
            "targets": Targets(expires=expires),
            "snapshot": Snapshot(expires=expires),
            "timestamp": Timestamp(expires=expires),
        }
        self.expires = expires
        for role, signer in self.signers.items():
            self.documents["root"].add_key(signer.public_key, role)
        self.write("root", [self.signers["root"]])

    def root(self, number):
        with open(f"{self.directory}/{number}.root.json", "rb") as file:
            return file.read()

    def write(self, role, signers):
        document = self.documents[role]
        metadata = Metadata(document)
        for signer in signers:
            metadata.sign(signer, append=True)
        name = f"{role}.json" if role == "timestamp" else f"{document.version}.{role}.json"
        put(f"{self.directory}/{name}", metadata.to_bytes())

    def add(self, path, content, role="targets"):
        target = TargetFile.from_data(path, content, ["sha256"])
        self.documents[role].targets[path] = target
        directory, name = os.path.split(path)
        os.makedirs(f"{self.directory}/targets/{directory}", exist_ok=True)
        with open(f"{self.directory}/targets/{directory}/{target.hashes['sha256']}.{name}", "wb") as file:
            file.write(content)

    def delegate(self, role, paths, terminating):
        targets = self.documents["targets"]
        if targets.delegations is None:
            targets.delegations = Delegations(keys={}, roles={})
        signer = self.signers[role] = CryptoSigner.generate_ed25519()
        targets.delegations.roles[role] = DelegatedRole(role, [], 1, terminating, paths)
        targets.add_key(signer.public_key, role)
        self.documents[role] = Targets(expires=self.expires)

    def publish(self, unsigned=False):
        """The next version of all but root."""
        snapshot, timestamp = self.documents["snapshot"], self.documents["timestamp"]
        for role, document in self.documents.items():
            if isinstance(document, Targets):
                document.version += 1
                self.write(role, [self.signers[role]])
                snapshot.meta[f"{role}.json"] = MetaFile(document.version)
        snapshot.version += 1
        self.write("snapshot", [self.signers["snapshot"]])
        timestamp.version += 1
        timestamp.snapshot_meta = MetaFile(snapshot.version)
        self.write("timestamp", [] if unsigned else [self.signers["timestamp"]])

    def rotate(self, role):
        root, old_root_signer, old = self.documents["root"], self.signers["root"], self.signers[role]
        root.revoke_key(old.public_key.keyid, role)
        self.signers[role] = CryptoSigner.generate_ed25519()
        root.add_key(self.signers[role].public_key, role)
        root.version += 1
        both = [old_root_signer] + ([self.signers["root"]] if role == "root" else [])
        self.write("root", both)
