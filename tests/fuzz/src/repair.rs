//! Checksums put right: a fuzzer that changes a byte breaks the checksum over it, and would never come behind it. Each format
//! is fuzzed both ways.

/// A tar's: every block that calls itself ustar gets the sum of its header.
pub fn tar(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

/// A spool segment's: of its preface, its head, and of each record's header and payload.
pub fn segment(bytes: &mut [u8]) {
    put_crc(bytes, 0, 12);
    put_crc(bytes, 16, 96);
    let mut at = 100;
    while at + 92 <= bytes.len() {
        if bytes[at..at + 4] != *b"LREC" {
            at += 1;
            continue;
        }
        let len = u32::from_le_bytes([bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]]) as usize;
        if let Some(payload) = at.checked_add(92 + len).and_then(|end| bytes.get(at + 92..end)) {
            let sum = crc32fast::hash(payload);
            bytes[at + 12..at + 16].copy_from_slice(&sum.to_le_bytes());
        }
        put_crc(bytes, at, at + 88);
        at += 92;
    }
}

fn put_crc(bytes: &mut [u8], from: usize, to: usize) {
    if to + 4 <= bytes.len() {
        let sum = crc32fast::hash(&bytes[from..to]);
        bytes[to..to + 4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// The write-ahead log of SQLite, for this size of pages: of its header and, one upon the other, of its frames.
pub fn write_ahead_log(bytes: &mut [u8], page_bytes: usize) {
    if bytes.len() < 32 {
        return;
    }
    let is_big_endian = bytes[3] & 1 == 1;
    let mut sum = add((0, 0), &bytes[..24], is_big_endian);
    let (head, frames) = bytes.split_at_mut(32);
    put(head, 24, sum);
    for frame in frames.chunks_exact_mut(24 + page_bytes) {
        sum = add(sum, &frame[..8], is_big_endian);
        sum = add(sum, &frame[24..], is_big_endian);
        frame[8..16].copy_from_slice(&head[16..24]);
        put(frame, 16, sum);
    }
}

fn put(bytes: &mut [u8], at: usize, sum: (u32, u32)) {
    bytes[at..at + 4].copy_from_slice(&sum.0.to_be_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&sum.1.to_be_bytes());
}

fn add(sum: (u32, u32), bytes: &[u8], is_big_endian: bool) -> (u32, u32) {
    let word = |bytes: &[u8]| {
        let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    bytes.chunks_exact(8).fold(sum, |(one, two), pair| {
        let one = one.wrapping_add(word(&pair[..4])).wrapping_add(two);
        (one, two.wrapping_add(word(&pair[4..])).wrapping_add(one))
    })
}
