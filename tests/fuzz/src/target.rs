//! The decoders, and what must hold of what they accept.

mod channel;
mod database;
mod document;
mod kernel;
mod spool;
mod state;
mod text;

/// A decoder, by name.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, those first that read what anybody on the host or the network can send.
pub const ALL: &[Target] = &[
    ("record", kernel::record),
    ("cgroup", kernel::cgroup),
    ("plugin", text::plugin),
    ("request", text::request),
    ("terminal", text::terminal),
    ("metadata", channel::metadata),
    ("signed", channel::signed),
    ("archive", channel::archive),
    ("bundle", channel::bundle),
    ("answer", channel::answer),
    ("backend", text::backend),
    ("fleet", document::fleet),
    ("settings", document::settings),
    ("ignore", document::ignore),
    ("manifest", document::manifest),
    ("health", document::health),
    ("btf", kernel::btf),
    ("elf", kernel::elf),
    ("dpkg", database::dpkg),
    ("rpm", database::rpm),
    ("spool", spool::spool),
    ("state", state::updater),
    ("store", state::plugins),
];
