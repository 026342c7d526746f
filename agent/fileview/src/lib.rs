//! Hashes and script contents of files as the container sees them.
