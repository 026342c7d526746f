//! Lower-case hexadecimal, the only form that signed documents use.

/// The bytes as lower-case hexadecimal.
pub(crate) fn encode(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]).collect()
}

/// The bytes of exactly `N` pairs of lower-case digits; upper case is a second spelling, so it is not taken.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (nibble(*high)? << 4) | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let bytes: [u8; 256] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(decode::<256>(&encode(&bytes)), Some(bytes));
        assert_eq!(encode(&[0x00, 0x9a, 0xff]), "009aff");
    }

    #[test]
    fn other_spellings_and_lengths_are_refused() {
        for text in ["", "0", "00", "0000 ", "00000", "ABCD", "00g0", "é0", "+1+1"] {
            assert_eq!(decode::<2>(text), None, "{text:?}");
        }
        assert_eq!(decode::<2>("00ff"), Some([0, 0xff]));
    }
}
