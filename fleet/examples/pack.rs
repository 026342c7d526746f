//! Packs a directory as a release: `pack DIR VERSION OUT`. Files that their owner may execute become 0755, others 0644.

use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use linnet_fleet::package::{FileMode, ManifestHead, Packer};

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [directory, version, out] = arguments.as_slice() else { bail!("usage: pack DIR VERSION OUT") };
    let head = ManifestHead {
        kind: "release".to_owned(),
        version: version.parse()?,
        arch: std::env::consts::ARCH.to_owned(),
        minimum_kernel: "5.10".parse()?,
    };
    let mut packer = Packer::new(head);
    let top = Path::new(directory);
    let mut ahead = vec![top.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(&directory).with_context(|| format!("read {directory:?}"))? {
            let path = entry?.path();
            let meta = fs::symlink_metadata(&path)?;
            if meta.is_dir() {
                ahead.push(path);
                continue;
            }
            if !meta.is_file() {
                bail!("{path:?} is neither a file nor a directory");
            }
            let below = path.strip_prefix(top)?.to_str().with_context(|| format!("{path:?} is not UTF-8"))?;
            let mode =
                if meta.permissions().mode() & 0o100 == 0 { FileMode::Plain } else { FileMode::Executable };
            packer.add(below.to_owned().try_into().map_err(anyhow::Error::msg)?, mode, &path)?;
        }
    }
    let file = File::create(out).with_context(|| format!("create {out:?}"))?;
    packer.write(BufWriter::new(file))?;
    Ok(())
}
