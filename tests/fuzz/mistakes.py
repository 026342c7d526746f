"""A mistake for each target of the fuzzer, of the kind that is really made, in what that target asks.

`planted` puts all of them into a copy of the tree at once, and sees that each target finds its own. So each lies in code of its own,
none is taken note of by the seeds, and what the target says then tells it from the others.
"""

from typing import NamedTuple


class Mistake(NamedTuple):
    """One mistake: `before` stands once in the file, and becomes `after`."""

    target: str
    file: str
    what: str
    says: str
    before: str
    after: str


MISTAKES = [
    Mistake(
        "record", "agent/src/record/mod.rs",
        "the length of one part of a path is taken for that of another",
        "a part of a path is not as long as the record says",
        "bind: self.take(usize::from(span.bind))?,",
        "bind: self.take(usize::from(span.above))?,",
    ),
    Mistake(
        "cgroup", "agent/container/src/component.rs",
        "nothing behind LXC's prefix is taken for an id",
        '"" is an id of',
        'name.strip_prefix("lxc.payload.").filter(|id| !id.is_empty())',
        'name.strip_prefix("lxc.payload.")',
    ),
    Mistake(
        "plugin", "agent/plugin/src/event.rs",
        "the time of an event has a bound in the future only",
        "an event of another time",
        "if !(now_ms - OLDEST_MS..=now_ms + NEWEST_MS).contains(&time_ms) {",
        "if time_ms > now_ms + NEWEST_MS {",
    ),
    Mistake(
        "request", "agent/src/metrics/request.rs",
        "the bound on a head is one on its first line",
        "a head that is too long is waited for",
        "return if head.len() >= MAX_HEAD_BYTES {",
        "return if head.split(|byte| *byte == b'\\n').next().is_some_and(|line| line.len() >= MAX_HEAD_BYTES) {",
    ),
    Mistake(
        "terminal", "agent/src/terminal.rs",
        "of the marks that turn the direction of writing, the newer ones are forgotten",
        "steers a terminal",
        r" | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')",
        r" | '\u{202a}'..='\u{202e}')",
    ),
    Mistake(
        "metadata", "keys/src/envelope.rs",
        "a signature counts by the key that it names",
        "a root that nobody signed is trusted",
        "let valid = self.valid_signers(table, role).len();",
        "let valid = self.signatures.iter().filter(|one| role.keyids.contains(&one.keyid)).count();",
    ),
    Mistake(
        "signed", "keys/src/trusted/mod.rs",
        "a root need not be the next, only no older one",
        "a root that is not the next",
        '|v| v == wanted, || format!("{wanted} is the next")',
        '|v| v >= wanted, || format!("{wanted} is the next")',
    ),
    Mistake(
        "archive", "fleet/src/package/unpack.rs",
        "the digest of a file's content is not compared with the manifest's",
        "refusal: Content",
        """    if Sha256Digest::from_bytes(hash.finalize().into()) != listed.sha256 {
        return Err(archive.refuse(Refusal::Content));
    }
""",
        "",
    ),
    Mistake(
        "bundle", "fleet/src/bundle/read.rs",
        "what follows the end is read, and not looked at",
        "something is hidden behind the end",
        """        self.fill(&mut padding)?;
        if padding.iter().any(|&b| b != 0) {
            return Err(self.damaged(Refusal::Trailing));
        }
""",
        "        self.fill(&mut padding)?;\n",
    ),
    Mistake(
        "answer", "fleet/src/channel/reply.rs",
        "a host is the same when its name ends so",
        "a redirect leaves its host",
        '(Some("http" | "https"), Some(host)) if Some(host) == from.host() => Ok(target),',
        '(Some("http" | "https"), Some(host)) if from.host().is_some_and(|own| host.ends_with(own)) => Ok(target),',
    ),
    Mistake(
        "backend", "agent/delivery/src/backend.rs",
        "of control characters only those of ASCII are left out",
        "a message steers a terminal",
        "if ch.is_control() { ' ' }",
        "if ch.is_ascii_control() { ' ' }",
    ),
    Mistake(
        "fleet", "agent/settings/src/fleet.rs",
        "the publisher's check passes over overrides whose waves may not have begun",
        "checked, and refused by a host",
        """        .overrides
        .iter()
        .filter_map(""",
        """        .overrides
        .iter()
        .filter(|one| one.of.waves.is_none())
        .filter_map(""",
    ),
    Mistake(
        "settings", "agent/settings/src/glob.rs",
        "a pattern is trimmed when it is written",
        "is not taken again, the same",
        "        pattern.0\n",
        "        pattern.0.trim().to_owned()\n",
    ),
    Mistake(
        "ignore", "agent/settings/src/glob.rs",
        "the end of a text may be what an earlier part of the pattern has matched already",
        "left: true",
        "    rest.ends_with(last)\n",
        "    text.ends_with(last)\n",
    ),
    Mistake(
        "manifest", "fleet/src/package/path.rs",
        "`..` is looked for between slashes, and not at either end",
        "does not lead down",
        '"." | ".." => return refused("has a name of dots"),',
        '_ if text.contains("/../") => return refused("has a name of dots"),',
    ),
    Mistake(
        "health", "fleet/src/health/losses.rs",
        "a difference is made before there is room for a negative one",
        "attempt to subtract with overflow",
        "i128::from(self.attempted) - i128::from(self.received) - never_there",
        "i128::from(self.attempted - self.received) - never_there",
    ),
    Mistake(
        "btf", "agent/btf/src/lookup.rs",
        "the depth is handed on as it came",
        "deadly signal",
        "self.member(&inner, name, depth + 1)?",
        "self.member(&inner, name, depth)?",
    ),
    Mistake(
        "elf", "agent/btf/src/file.rs",
        "room is made for a section before it is known that the file has so much",
        "are asked for at once",
        """        if offset.checked_add(len_bytes).is_none_or(|end| end > metadata.len()) {
            return Err(BtfError::Elf { path: path.into(), what: "its .BTF section is beyond the end" });
        }
""",
        "",
    ),
    Mistake(
        "dpkg", "plugins/packages/src/ownership.rs",
        "the rest of a line that is too long is taken for a path (it was so once)",
        "a path is owned that is in no list",
        "            None if line.len() as u64 == MAX_LINE_BYTES => reader.skip_until(b'\\n').map(drop)?,\n",
        "",
    ),
    Mistake(
        "rpm", "plugins/packages/src/rpm/sqlite.rs",
        "a frame of the log counts whatever its checksum is",
        "a log counts whose checksum is wrong",
        "if frame.get(8..16) != head.get(16..24) || stored(&frame, 16) != Some(sum) {",
        "if frame.get(8..16) != head.get(16..24) || stored(&frame, 16).is_none() {",
    ),
    Mistake(
        "spool", "agent/spool/src/reader.rs",
        "what is missing at the end of all is in no account",
        "are in no account",
        """                // All is read: what was not met on the way is gone.
                reader.arrive(&appended);
""",
        "",
    ),
    Mistake(
        "state", "updater/src/machine/failure.rs",
        "a kind of failure that a newer updater knows is read, and can't be written",
        "Encode(",
        "    #[serde(other)]\n    Unknown,",
        "    #[serde(other, skip_serializing)]\n    Unknown,",
    ),
    Mistake(
        "store", "agent/plugin/store/src/choice.rs",
        "a version runs that was remembered, and whose tree is gone",
        "what is not here is to run",
        "!known.revoked.contains(&build.sha256) && known.staged.contains(build);",
        "!known.revoked.contains(&build.sha256);",
    ),
]
