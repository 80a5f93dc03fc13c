//! Bytes as hexadecimal digits, as the agent's protocol and the reports carry frames.

/// The bytes in lower-case hexadecimal, two digits a byte, without separators.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

/// The bytes of a string of hexadecimal digits of either case; `None` for an odd number
/// of digits or any other character, blanks and signs included.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    // Digit by digit: `from_str_radix` would also take a sign.
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
    }

    #[test]
    fn bad_hex_is_refused() {
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("zz"), None);
        assert_eq!(from_hex("+6"), None);
        assert_eq!(from_hex("é"), None);
    }
}
