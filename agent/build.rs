//! Builds the kernel programs for the BPF target and places the object where the agent includes it from.
//!
//! The pinned stable toolchain builds `core` for that target with its `rust-src`; `RUSTC_BOOTSTRAP` opens the
//! one unstable flag that this needs (`-Z build-std`), for the kernel programs alone.

/// As in `rust-toolchain.toml`.
const TOOLCHAIN: &str = "1.95.0";

fn main() -> anyhow::Result<()> {
    let programs = aya_build::Package {
        name: "linnet-ebpf",
        root_dir: "../ebpf",
        no_default_features: false,
        features: &["programs"],
    };
    // SAFETY: a build script's main thread, before any other thread exists.
    unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "1") };
    aya_build::build_ebpf([programs], aya_build::Toolchain::Custom(TOOLCHAIN))
}
