//! What counts as a signature.

#[cfg(test)]
mod vectors;
