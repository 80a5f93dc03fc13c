//! Plan, run and judge: the cells of a matrix, each proven with a real guest.

mod accel;
mod assess;
mod bare;
mod bind;
mod cell;
mod clients;
mod endpoint;
mod error;
mod evidence;
mod first_frame;
mod foreign;
mod front;
mod ipxe;
pub mod job;
pub mod judge;
mod pass;
pub mod plan;
mod queue;
mod retry;
mod running;
mod snapshot;
mod sockets;
mod ssh;
mod stimulate;
mod tap;
mod trial;
mod watch;
mod worker;

pub use accel::decide_accel;
pub use bare::bare_boot;
pub use error::VerifyError;
pub use front::{Workers, search_path, silence};
pub use worker::run as run_worker;

/// A number that no other run has: tags and nonces must not repeat.
fn random() -> u32 {
    u32::from_ne_bytes(random_bytes())
}

/// Bytes that no other run has.
fn random_bytes<const N: usize>() -> [u8; N] {
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
