//! Numbers that no other run has: tags and nonces must not repeat.

/// A number that no other run has.
pub fn number() -> u32 {
    u32::from_ne_bytes(bytes())
}

/// A number as a word, to tell one boot's READY from another's.
pub fn nonce() -> String {
    format!("{:08x}", number())
}

/// Bytes that no other run has.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let read = std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut bytes));
    if read.is_err() {
        // Without /dev/urandom the clock still differs between runs.
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |time| time.subsec_nanos());
        let number = (clock ^ std::process::id()).to_ne_bytes();
        for (byte, part) in bytes.iter_mut().zip(number.iter().cycle()) {
            *byte = *part;
        }
    }
    bytes
}
