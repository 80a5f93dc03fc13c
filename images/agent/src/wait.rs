//! Deadlines. Nothing in the guest waits without one.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The longest wait that a request can ask for; what is more is a mistake, and
/// an `Instant` far enough ahead overflows.
const LONGEST: Duration = Duration::from_secs(600);

/// A point in time after which waiting ends.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline so many milliseconds from now, ten minutes at most.
    pub fn in_ms(ms: u64) -> Self {
        Self::after(Duration::from_millis(ms))
    }

    /// A deadline so long from now, ten minutes at most.
    pub fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait.min(LONGEST))
    }

    /// Time left, zero when passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }

    /// Time left for `poll`, rounded up so that a wait of 0.4 ms does not spin.
    fn for_poll(self) -> PollTimeout {
        let ms = self.left().as_micros().div_ceil(1000);
        PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
    }
}

/// Asks `look` at once and then every `step` until it finds something or the
/// deadline has passed. The last look is always made at or after the deadline,
/// so a late scheduler cannot turn a success into a timeout.
pub fn until<T, E>(
    deadline: Deadline,
    step: Duration,
    mut look: impl FnMut() -> Result<Option<T>, E>,
) -> Result<Option<T>, E> {
    loop {
        let last = deadline.passed();
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if last {
            return Ok(None);
        }
        std::thread::sleep(step.min(deadline.left()));
    }
}

/// Waits until the descriptor shows one of `events`, or an error or hang-up;
/// tells whether it did before the deadline.
pub fn ready(fd: BorrowedFd<'_>, events: PollFlags, deadline: Deadline) -> Result<bool, Errno> {
    let mut fds = [PollFd::new(fd, events)];
    loop {
        match poll(&mut fds, deadline.for_poll()) {
            Ok(0) if deadline.passed() => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
}

/// Whole milliseconds since `start`.
pub fn ms_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_once_even_when_the_deadline_has_passed() {
        let found = until::<_, ()>(Deadline::in_ms(0), Duration::ZERO, || Ok(Some(7)));
        assert_eq!(found, Ok(Some(7)));
    }

    #[test]
    fn gives_up_at_the_deadline() {
        let start = Instant::now();
        let found = until::<(), ()>(Deadline::in_ms(20), Duration::from_millis(1), || Ok(None));
        assert_eq!(found, Ok(None));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn an_error_ends_the_wait() {
        let found = until::<(), _>(Deadline::in_ms(60_000), Duration::ZERO, || Err("no"));
        assert_eq!(found, Err("no"));
    }

    #[test]
    fn an_absurd_deadline_is_capped() {
        assert!(Deadline::in_ms(u64::MAX).left() <= LONGEST);
    }
}
