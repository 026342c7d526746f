//! Builds the kernel programs for the BPF target and places the object where the agent includes it from.
//!
//! The pinned stable toolchain builds `core` for that target with its `rust-src`; `RUSTC_BOOTSTRAP` opens the
//! one unstable flag that this needs (`-Z build-std`), for the kernel programs alone.
//!
//! `LINNET_EBPF_OBJECT` names an object that was built before, so that a second profile of the agent need not build it again.
//! `LINNET_VERSION` is the version that the agent tells of itself, for builds that are released under another one than the
//! source's.

use std::{env, fs, path::Path};

use anyhow::Context;

/// As in `rust-toolchain.toml`.
const TOOLCHAIN: &str = "1.95.0";

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed=LINNET_EBPF_OBJECT");
    println!("cargo:rerun-if-env-changed=LINNET_VERSION");
    let version = env::var("LINNET_VERSION").or_else(|_| env::var("CARGO_PKG_VERSION"))?;
    println!("cargo:rustc-env=LINNET_AGENT_VERSION={version}");
    if let Some(object) = env::var_os("LINNET_EBPF_OBJECT") {
        println!("cargo:rerun-if-changed={}", object.display());
        let out = env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?;
        fs::copy(&object, Path::new(&out).join("linnet-programs"))
            .with_context(|| format!("LINNET_EBPF_OBJECT {}", object.display()))?;
        return Ok(());
    }
    let programs = aya_build::Package {
        name: "linnet-ebpf",
        root_dir: "../ebpf",
        no_default_features: false,
        features: &["programs"],
    };
    // SAFETY: a build script's main thread, before any other thread exists.
    unsafe { env::set_var("RUSTC_BOOTSTRAP", "1") };
    aya_build::build_ebpf([programs], aya_build::Toolchain::Custom(TOOLCHAIN))
}
