//! The tricks, each with what it must be refused for.

use linnet_fleet::package::{PackageError, Refusal};

use crate::tar::{Entry, document, gzip, listing, manifest, tar, tar_open};

/// One trick: an archive whose digest is as signed, since the signer may have been careless, too.
pub struct Case {
    pub name: String,
    pub archive: Vec<u8>,
    pub refused_for: fn(&PackageError) -> bool,
}

pub const AGENT: (&str, &[u8]) = ("bin/agent", b"the agent");
pub const NOTES: (&str, &[u8]) = ("notes", b"what is new");
/// What the signed metadata allows these packages to unpack to.
pub const UNPACKED_BYTES: u64 = 4096;

macro_rules! entry {
    ($refusal:pat) => {
        |error| matches!(error, PackageError::Entry { refusal: $refusal, .. })
    };
}
macro_rules! archive {
    ($refusal:pat) => {
        |error| matches!(error, PackageError::Archive($refusal))
    };
}
macro_rules! in_manifest {
    ($wanted:literal) => {
        |error| matches!(error, PackageError::Manifest { key, .. } if key.as_str() == $wanted)
    };
}

pub fn good_entries() -> Vec<Entry> {
    vec![
        Entry::file("manifest.json", manifest(&[AGENT, NOTES])),
        Entry::directory("bin/"),
        Entry::file(AGENT.0, AGENT.1),
        Entry::file(NOTES.0, NOTES.1),
    ]
}

/// The good archive with more at its end.
fn with(extra: impl IntoIterator<Item = Entry>) -> Vec<u8> {
    let mut entries = good_entries();
    entries.extend(extra);
    gzip(&tar(&entries))
}

/// The good archive with its agent's entry changed.
fn changed(change: impl FnOnce(&mut Entry)) -> Vec<u8> {
    let mut entries = good_entries();
    change(&mut entries[2]);
    gzip(&tar(&entries))
}

/// An archive of only a manifest.
fn with_manifest(manifest: impl AsRef<[u8]>) -> Vec<u8> {
    gzip(&tar(&[Entry::file("manifest.json", manifest)]))
}

fn with_listing(files: &str) -> Vec<u8> {
    with_manifest(document(files))
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name: &str, archive: Vec<u8>, refused_for: fn(&PackageError) -> bool| {
        cases.push(Case { name: name.to_owned(), archive, refused_for });
    };
    kinds(&mut case);
    paths(&mut case);
    headers(&mut case);
    manifests(&mut case);
    streams(&mut case);
    cases
}

type Add<'a> = &'a mut dyn FnMut(&str, Vec<u8>, fn(&PackageError) -> bool);

fn kinds(case: Add<'_>) {
    for (kind, name) in [
        (b'1', "hard link"),
        (b'2', "symbolic link"),
        (b'3', "character device"),
        (b'4', "block device"),
        (b'6', "fifo"),
        (b'7', "contiguous file"),
        (b'D', "gnu dump directory"),
        (b'M', "gnu continuation of another volume"),
        (b'N', "gnu old long name"),
        (b'S', "gnu sparse file"),
        (b'V', "gnu volume label"),
        (b'A', "solaris access list"),
        (b'X', "solaris extended header"),
        (b'Z', "unknown kind"),
        (0xff, "kind beyond ascii"),
    ] {
        case(name, with([Entry::special(kind, "extra", "/etc/passwd")]), entry!(Refusal::Type(_)));
    }
    case(
        "listed file is a symbolic link",
        changed(|e| *e = Entry::special(b'2', AGENT.0, "/bin/sh")),
        entry!(Refusal::Type('2')),
    );
    case(
        "write through a symbolic link to the parent",
        with([Entry::special(b'2', "bin2", ".."), Entry::file("bin2/outside", "gotcha")]),
        entry!(Refusal::Type('2')),
    );
    for (kind, name, content) in [
        (b'x', "pax size override", "20 size=1000000000000\n"),
        (b'x', "pax path override", "24 path=../../outside\n"),
        (b'x', "pax link path override", "21 linkpath=/outside\n"),
        (b'x', "pax sparse map", "22 GNU.sparse.major=1\n"),
        (b'g', "pax global header", "24 path=../../outside\n"),
        (b'L', "gnu long name", "../../outside\0"),
        (b'K', "gnu long link name", "/etc/passwd\0"),
    ] {
        let extension = Entry { kind, ..Entry::file("././@LongLink", content) };
        let mut entries = good_entries();
        entries.insert(2, extension.clone());
        case(name, gzip(&tar(&entries)), entry!(Refusal::Type(_)));
        // Before the manifest, where it would change what the manifest's own header says.
        entries.rotate_left(2);
        entries.truncate(1);
        entries.extend(good_entries());
        case(&format!("{name}, before the manifest"), gzip(&tar(&entries)), entry!(Refusal::Type(_)));
    }
    case(
        "a directory where a file is listed",
        changed(|e| *e = Entry::directory(AGENT.0)),
        entry!(Refusal::NotListed),
    );
    let mut no_directory = good_entries();
    no_directory[1] = Entry::file("bin", "");
    case("a file where a directory is listed", gzip(&tar(&no_directory)), entry!(Refusal::NotListed));
    case("a directory of nothing", with([Entry::directory("share/")]), entry!(Refusal::NotListed));
}

fn paths(case: Add<'_>) {
    for (name, path) in [
        ("absolute path", &b"/etc/cron.d/linnet"[..]),
        ("path of two slashes", b"//etc/passwd"),
        ("path to the parent", b"../outside"),
        ("path through the parent", b"bin/../../outside"),
        ("path that ends in the parent", b"bin/.."),
        ("path that is the parent", b".."),
        ("path that is the directory itself", b"."),
        ("a duplicate spelt with ./", b"./bin/agent"),
        ("a duplicate spelt with two slashes", b"bin//agent"),
        ("a duplicate spelt with a dot inside", b"bin/./agent"),
        ("a file with a slash at its end", b"bin/agent/"),
        ("empty path", b""),
        ("backslashes", b"bin\\agent"),
        ("a terminal's escape", b"bin/\x1b[2J"),
        ("a line feed", b"bin/agent\nbin/x"),
        ("a space", b"bin/agent "),
        ("latin-1", b"bin/ag\xe9nt"),
        ("broken utf-8", b"bin/\xc3\x28"),
        ("overlong utf-8 slash", b"..\xc0\xafoutside"),
        ("unicode look-alike", "bin/аgent".as_bytes()),
        ("a tilde", b"~root/.ssh/authorized_keys"),
        ("a variable", b"$HOME/x"),
        ("seventeen names deep", b"a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"),
    ] {
        case(name, with([Entry::file(path, "x")]), entry!(Refusal::Path { .. }));
    }
    case(
        "a name of 256 bytes",
        with([Entry { prefix: vec![b'p'; 155], ..Entry::file([b'n'; 100], "x") }]),
        entry!(Refusal::Path { .. }),
    );
    case(
        "a prefix to the parent",
        with([Entry { prefix: b"..".to_vec(), ..Entry::file("outside", "x") }]),
        entry!(Refusal::Path { .. }),
    );
    case(
        "an absolute prefix",
        with([Entry { prefix: b"/etc".to_vec(), ..Entry::file("outside", "x") }]),
        entry!(Refusal::Path { .. }),
    );
    case(
        "a nul in the name",
        with([Entry::file(b"notes2\0/../../outside", "x")]),
        entry!(Refusal::Header(_)),
    );
    case(
        "a nul in the prefix",
        with([Entry { prefix: b"bin\0/..".to_vec(), ..Entry::file("agent", "x") }]),
        entry!(Refusal::Header(_)),
    );
    case("a duplicate", with([Entry::file(AGENT.0, AGENT.1)]), entry!(Refusal::Duplicate));
    case(
        "a duplicate by prefix",
        with([Entry { prefix: b"bin".to_vec(), ..Entry::file("agent", AGENT.1) }]),
        entry!(Refusal::Duplicate),
    );
    case("a duplicate directory", with([Entry::directory("bin")]), entry!(Refusal::Duplicate));
    case("another name by case", with([Entry::file("bin/Agent", AGENT.1)]), entry!(Refusal::NotListed));
    case("a file that is not listed", with([Entry::file("bin/backdoor", "x")]), entry!(Refusal::NotListed));
}

fn headers(case: Add<'_>) {
    for (name, mode) in [("set-uid", "0004755"), ("set-gid", "0002755"), ("sticky", "0001755")] {
        case(name, changed(|e| e.mode = mode.into()), entry!(Refusal::Mode(_)));
    }
    case("a mode beyond all bits", changed(|e| e.mode = b"7777777".to_vec()), entry!(Refusal::Mode(_)));
    for (name, size) in [
        ("a binary size", &b"\x80\0\0\0\0\0\0\0\0\0\0\x09"[..]),
        ("a negative binary size", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("a signed size", b"-0000000011\0"),
        ("a decimal size", b"00000000009\0"),
        ("a size with a tail", b"11\0\0\0\0\0\0\x0077\0"),
        ("an empty size", b"\0\0\0\0\0\0\0\0\0\0\0\0"),
    ] {
        case(name, changed(|e| e.size = Some(size.to_vec())), entry!(Refusal::Header(_)));
    }
    for (name, size) in [
        ("a size that swallows the next header", &b"00000002000"[..]),
        ("a size of 8 GiB", b"77777777777\0"),
        ("a size of twelve digits", b"777777777777"),
        ("a size that cuts the content", b"00000000001"),
        ("a size of nothing", b"00000000000"),
    ] {
        case(name, changed(|e| e.size = Some(size.to_vec())), entry!(Refusal::Size { .. }));
    }
    case("a wrong checksum", changed(|e| e.bad_checksum = true), entry!(Refusal::Header(_)));
    case("no magic", changed(|e| e.magic = [0; 8]), entry!(Refusal::Header(_)));
    case("another magic", changed(|e| e.magic = *b"ustar\x0001"), entry!(Refusal::Header(_)));
    case(
        "gnu's magic with a prefix",
        changed(|e| (e.magic, e.prefix) = (*b"ustar  \0", b"..".to_vec())),
        entry!(Refusal::Header(_)),
    );
    case(
        "a file with a link name",
        changed(|e| e.link = b"/etc/passwd".to_vec()),
        entry!(Refusal::Header(_)),
    );
    case(
        "a directory with a content",
        changed(|e| *e = Entry { content: vec![0; 512], ..Entry::directory("bin2/") }),
        entry!(Refusal::Header(_)),
    );
    case("something hidden in the padding", changed(|e| e.padding = b'x'), entry!(Refusal::Header(_)));
    case("another content", changed(|e| e.content = b"the aGent".to_vec()), entry!(Refusal::Content));
}

fn manifests(case: Add<'_>) {
    let mut without = good_entries();
    let first = without.remove(0);
    case("no manifest", gzip(&tar(&without)), entry!(Refusal::ManifestNotFirst));
    without.insert(1, first);
    case("the manifest not first", gzip(&tar(&without)), entry!(Refusal::ManifestNotFirst));
    case(
        "a directory as manifest",
        gzip(&tar(&[Entry::directory("manifest.json")])),
        entry!(Refusal::ManifestNotFirst),
    );
    case(
        "a second manifest",
        with([Entry::file("manifest.json", manifest(&[]))]),
        entry!(Refusal::Duplicate),
    );
    case("no entries", gzip(&tar(&[])), archive!(Refusal::Empty));
    let mut lacking = good_entries();
    lacking.pop();
    case("a listed file is absent", gzip(&tar(&lacking)), |e| {
        matches!(e, PackageError::Tree { refusal: Refusal::Missing, .. })
    });
    case("a manifest of nonsense", with_manifest("<html>"), in_manifest!("the document"));
    case("an empty manifest", with_manifest(""), in_manifest!("the document"));
    case("a manifest of deep brackets", with_manifest("[".repeat(100_000)), in_manifest!("the document"));
    case(
        "a manifest of a later schema",
        with_manifest(r#"{"schema_version":2}"#),
        in_manifest!("schema_version"),
    );
    case("a manifest beyond its cap", with_manifest(" ".repeat((1 << 20) + 1)), |e| {
        matches!(e, PackageError::Cap { what: "bytes of manifest.json", .. })
    });
    let good = listing(AGENT.0, 9, AGENT.1);
    case("a file listed twice", with_listing(&format!("{good},{good}")), in_manifest!("files[1].path"));
    case(
        "a listed path to the parent",
        with_listing(&good.replace("bin/agent", "../outside")),
        in_manifest!("files[0].path"),
    );
    case(
        "an absolute listed path",
        with_listing(&good.replace("bin/agent", "/outside")),
        in_manifest!("files[0].path"),
    );
    case(
        "the manifest lists itself",
        with_listing(&good.replace("bin/agent", "manifest.json")),
        in_manifest!("files[0].path"),
    );
    case(
        "a listed file below the manifest",
        with_listing(&good.replace("bin/agent", "manifest.json/x")),
        in_manifest!("files"),
    );
    case(
        "a listed file is a directory, too",
        with_listing(&format!("{good},{}", good.replace("bin/agent", "bin/agent/x"))),
        in_manifest!("files"),
    );
    case("a listed set-uid mode", with_listing(&good.replace("0755", "4755")), in_manifest!("files[0].mode"));
    case(
        "a listed world-writable mode",
        with_listing(&good.replace("0755", "0777")),
        in_manifest!("files[0].mode"),
    );
    case("a negative listed size", with_listing(&good.replace(":9", ":-9")), in_manifest!("files[0].bytes"));
    case(
        "a fractional listed size",
        with_listing(&good.replace(":9", ":9.5")),
        in_manifest!("files[0].bytes"),
    );
    case(
        "a short listed digest",
        with_listing(&good.replace("\"sha256\":\"", "\"sha256\":\"00")),
        in_manifest!("files[0].sha256"),
    );
    case(
        "a terminal's escape as version",
        with_manifest(document("").replace("0.2.0", "\\u001b[2J")),
        in_manifest!("version"),
    );
    let huge = listing(AGENT.0, UNPACKED_BYTES + 1, AGENT.1);
    case("more bytes listed than signed", with_listing(&huge), |e| {
        matches!(e, PackageError::Cap { what: "bytes unpacked", .. })
    });
    let most = u64::MAX;
    let overflow = format!("{},{}", listing("a", most, b""), listing("b", most, b""));
    case("listed bytes that overflow", with_listing(&overflow), |e| {
        matches!(e, PackageError::Cap { what: "bytes unpacked", .. })
    });
    let many: Vec<_> = (0..4096).map(|n| listing(&format!("f{n}"), 0, b"")).collect();
    case("too many files", with_listing(&many.join(",")), |e| {
        matches!(e, PackageError::Cap { what: "files", .. })
    });
    let nested: Vec<_> = (0..2100).map(|n| format!("d{n}/f")).collect();
    let listed: Vec<_> = nested.iter().map(|path| listing(path, 0, b"")).collect();
    let mut entries = vec![Entry::file("manifest.json", document(&listed.join(",")))];
    entries.extend(
        nested.iter().flat_map(|path| [Entry::directory(&path[..path.len() - 2]), Entry::file(path, "")]),
    );
    case("too many entries", gzip(&tar(&entries)), |e| {
        matches!(e, PackageError::Cap { what: "entries", .. })
    });
}

fn streams(case: Add<'_>) {
    let plain = tar(&good_entries());
    let good = gzip(&plain);
    for cut in [1, 9, 10, 20, good.len() / 2, good.len() - 9, good.len() - 8, good.len() - 1] {
        case(&format!("gzip cut after {cut} bytes"), good[..cut].to_vec(), |e| {
            matches!(
                e,
                PackageError::Entry { refusal: Refusal::Truncated, .. }
                    | PackageError::Archive(Refusal::Truncated)
            )
        });
    }
    case("an empty file", Vec::new(), archive!(Refusal::Truncated));
    case("tar without gzip", plain.clone(), archive!(Refusal::Gzip(_)));
    case("html", b"<!doctype html><title>captive portal</title>".to_vec(), archive!(Refusal::Gzip(_)));
    case("gzip of nothing", gzip(b""), archive!(Refusal::Truncated));
    case("garbage behind gzip", [&good[..], b"x"].concat(), archive!(Refusal::Trailing));
    case("a zero behind gzip", [&good[..], &[0]].concat(), archive!(Refusal::Trailing));
    case("a second gzip member", [&good[..], &good].concat(), archive!(Refusal::Trailing));
    case("a second, empty gzip member", [&good[..], &gzip(b"")].concat(), archive!(Refusal::Trailing));
    let middle = plain.len() / 2;
    case("tar split over two gzip members", [gzip(&plain[..middle]), gzip(&plain[middle..])].concat(), |e| {
        matches!(
            e,
            PackageError::Entry { refusal: Refusal::Truncated, .. }
                | PackageError::Archive(Refusal::Truncated)
        )
    });
    let mut spoilt = good.clone();
    let at = spoilt.len() - 8;
    spoilt[at] ^= 1;
    case("a wrong gzip checksum", spoilt.clone(), archive!(Refusal::Gzip(_)));
    spoilt[at] ^= 1;
    spoilt[at + 4] ^= 1;
    case("a wrong gzip length", spoilt, archive!(Refusal::Gzip(_)));
    let open = tar_open(&good_entries());
    case("no end mark", gzip(&open), archive!(Refusal::Truncated));
    case("half an end mark", gzip(&[&open[..], &[0; 512]].concat()), archive!(Refusal::Truncated));
    case(
        "entries behind half an end mark",
        gzip(&[&open[..], &[0; 512], &tar(&[Entry::file("hidden", "x")])].concat()),
        archive!(Refusal::Trailing),
    );
    case(
        "a second archive behind the end mark",
        gzip(&[&plain[..], &plain].concat()),
        archive!(Refusal::Trailing),
    );
    case(
        "one byte far behind the end mark",
        gzip(&[&plain[..], &[0; 5000], b"x"].concat()),
        archive!(Refusal::Trailing),
    );
    case(
        "a bomb of zeros behind the end mark",
        gzip(&[&plain[..], &vec![0; 8 << 20]].concat()),
        archive!(Refusal::Trailing),
    );
    let bomb = vec![0; 8 << 20];
    case("a bomb as a listed file", changed(|e| e.content.clone_from(&bomb)), entry!(Refusal::Size { .. }));
    case("a bomb as the manifest", gzip(&tar(&[Entry::file("manifest.json", &bomb)])), |e| {
        matches!(e, PackageError::Cap { what: "bytes of manifest.json", .. })
    });
}
