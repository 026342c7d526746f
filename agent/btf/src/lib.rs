//! Field offsets from the running kernel's BTF, scanned in place.
