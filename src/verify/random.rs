//! Numbers that no other run has: tags and nonces must not repeat.

use sha2::{Digest as _, Sha256};

/// A number that no other run has.
pub fn number() -> u32 {
    u32::from_ne_bytes(bytes())
}

/// The number of something with a name, made from a seed: another seed or another name gives another
/// number.
pub fn of(seed: u32, name: &str) -> u32 {
    let digest = Sha256::new()
        .chain_update(seed.to_be_bytes())
        .chain_update(name)
        .finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_numbers_and_no_others() {
        let first = of(7, "linux/pcnet");
        assert_eq!(first, of(7, "linux/pcnet"));
        assert_ne!(first, of(7, "linux/virtio"));
        assert_ne!(first, of(8, "linux/pcnet"));
    }
}
