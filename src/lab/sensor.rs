//! Sensors: what really crossed an interface.
//!
//! An own AF_PACKET receiver instead of pnet's, because a sensor must see what
//! pnet's hides: VLAN tags (the kernel strips them into auxiliary data), the
//! direction, the kernel's time stamp, whether a checksum was left to offload,
//! and how many packets the socket lost.

use super::error::LabError;
use super::packet_socket::{PacketSocket, Received};
use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A frame at a sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighted {
    /// Which way it went.
    pub direction: Direction,
    /// Kernel receive time, nanoseconds since the epoch.
    pub at_ns: u64,
    /// The L4 checksum was left to an offload that never happened on this path.
    pub checksum_pending: bool,
    /// The frame with its VLAN tag put back.
    pub frame: Vec<u8>,
}

/// Direction as the interface's owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received on the interface.
    In,
    /// Sent out of the interface.
    Out,
}

/// What has been seen, without what is of no use any more.
#[derive(Debug, Default)]
struct Record {
    /// How many frames have been thrown away: the bookmark of the first that is kept.
    gone: usize,
    frames: Vec<Sighted>,
    /// Hashes of all that was ever reported.
    known: HashSet<u64>,
    /// The latest time of a frame.
    latest_ns: u64,
    /// What was wrong with the order of the frames.
    disorder: Option<&'static str>,
}

/// Frames of one interface can overtake each other on their way to a sensor where two CPUs take
/// them in, but not by this, in nanoseconds.
const OVERTAKING_NS: u64 = 1_000_000_000;

impl Record {
    /// Adds a frame. No two frames are the same in content, direction and nanosecond.
    fn add(&mut self, seen: Sighted) {
        let mut hasher = DefaultHasher::new();
        (&seen.frame, seen.direction, seen.at_ns).hash(&mut hasher);
        if !self.known.insert(hasher.finish()) {
            self.disorder = Some("reported a frame again");
        } else if seen.at_ns.saturating_add(OVERTAKING_NS) < self.latest_ns {
            self.disorder = Some("has a clock that went back");
        }
        self.latest_ns = self.latest_ns.max(seen.at_ns);
        self.frames.push(seen);
    }

    fn mark(&self) -> usize {
        self.gone + self.frames.len()
    }

    /// All frames since the bookmark that are still there.
    fn since(&self, mark: usize) -> &[Sighted] {
        self.frames
            .get(mark.saturating_sub(self.gone)..)
            .unwrap_or_default()
    }

    fn forget(&mut self) {
        self.gone = self.mark();
        self.frames = Vec::new();
        self.known = HashSet::new();
        self.latest_ns = 0;
        self.disorder = None;
    }
}

/// What a sensor makes of a frame before it reports it. For tests of what a sensor means that
/// does not work as it should.
pub type Impairment = Box<dyn FnMut(Sighted) -> Vec<Sighted> + Send>;

/// A sensor's impairment, if it has one.
#[derive(Default)]
struct Impaired(Option<Impairment>);

impl fmt::Debug for Impaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Impaired").field(&self.0.is_some()).finish()
    }
}

#[derive(Debug, Default)]
struct Shared {
    record: Mutex<Record>,
    impaired: Mutex<Impaired>,
    news: Notify,
    dead: AtomicBool,
    lost: AtomicU64,
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn impaired(&self) -> MutexGuard<'_, Impaired> {
        self.impaired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a frame to the record.
    fn take(&self, seen: Sighted) {
        let seen = match &mut self.impaired().0 {
            Some(change) => change(seen),
            None => vec![seen],
        };
        let mut record = self.record();
        for seen in seen {
            record.add(seen);
        }
    }
}

/// A running sensor. Dropping it closes its socket.
#[derive(Debug)]
pub struct Sensor {
    name: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Sensor {
    /// Starts reading a socket that was opened in the right namespace.
    ///
    /// # Errors
    /// When the runtime cannot watch the socket.
    pub fn start(name: impl Into<String>, socket: PacketSocket) -> Result<Self, LabError> {
        let name = name.into();
        let shared = Arc::new(Shared::default());
        // SAFETY: PacketSocket owns its descriptor and always names the same one;
        // it is closed only when the AsyncFd gives it back or is dropped.
        let fd = unsafe { AsyncFd::register(socket) }
            .map_err(std::io::Error::from)
            .map_err(|source| LabError::system(format!("watch sensor {name}"), source))?;
        let task = tokio::spawn(read(fd, Arc::clone(&shared)));
        Ok(Self { name, shared, task })
    }

    /// Its name in reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many frames it has seen: a bookmark for [`Sensor::since`].
    pub fn mark(&self) -> usize {
        self.shared.record().mark()
    }

    /// All frames since the bookmark.
    pub fn since(&self, mark: usize) -> Vec<Sighted> {
        self.shared.record().since(mark).to_vec()
    }

    /// Throws away what it has seen, and losses with it: nobody asks about that any
    /// more. Later bookmarks stay good.
    pub fn forget(&self) {
        self.shared.record().forget();
        self.shared.lost.store(0, Ordering::Release);
    }

    /// Why the sensor's silence proves nothing; none while it is healthy.
    pub fn fault(&self) -> Option<String> {
        let lost = self.shared.lost.load(Ordering::Acquire);
        if self.shared.dead.load(Ordering::Acquire) || self.task.is_finished() {
            Some(format!("sensor {} died", self.name))
        } else if lost > 0 {
            Some(format!("sensor {} lost {lost} packets", self.name))
        } else {
            let disorder = self.shared.record().disorder;
            disorder.map(|what| format!("sensor {} {what}", self.name))
        }
    }

    /// Ends the reading, as a crash would. For tests of what a dead sensor means.
    pub fn kill(&self) {
        self.task.abort();
        self.shared.dead.store(true, Ordering::Release);
    }

    /// Makes the sensor report otherwise than it hears from now on, or as it hears again.
    pub fn impair(&self, how: Option<Impairment>) {
        self.shared.impaired().0 = how;
    }

    /// Waits until a frame after the bookmark satisfies the predicate; false at
    /// the deadline or when the sensor is dead.
    pub async fn wait_for(
        &self,
        mark: usize,
        deadline: Instant,
        mut wanted: impl FnMut(&Sighted) -> bool,
    ) -> bool {
        let mut from = mark;
        loop {
            let news = self.shared.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let record = self.shared.record();
                if record.since(from).iter().any(&mut wanted) {
                    return true;
                }
                from = from.max(record.mark());
            }
            let end = tokio::time::Instant::from_std(deadline);
            if self.shared.dead.load(Ordering::Acquire)
                || tokio::time::timeout_at(end, news).await.is_err()
            {
                return false;
            }
        }
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Drains the socket whenever it is readable. Ends only with the interface.
async fn read(fd: AsyncFd<PacketSocket>, shared: Arc<Shared>) {
    loop {
        let Ok(mut ready) = fd.readable().await else {
            break;
        };
        let received = fd.get_ref().receive();
        // Before anybody hears of the frame: whoever sees one that came after a
        // loss (a sentinel, say) must see the loss too.
        let lost = fd.get_ref().lost().unwrap_or(1);
        shared.lost.fetch_add(lost, Ordering::AcqRel);
        match received {
            Ok(Some(received)) => {
                shared.take(sighted(received));
                shared.news.notify_waiters();
            }
            Ok(None) => ready.clear_ready(),
            Err(_) => break,
        }
    }
    shared.dead.store(true, Ordering::Release);
    shared.news.notify_waiters();
}

fn sighted(received: Received) -> Sighted {
    Sighted {
        direction: if received.outgoing {
            Direction::Out
        } else {
            Direction::In
        },
        at_ns: received.at_ns,
        checksum_pending: received.checksum_pending,
        frame: received.frame,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(byte: u8) -> Sighted {
        Sighted {
            direction: Direction::In,
            at_ns: 0,
            checksum_pending: false,
            frame: vec![byte],
        }
    }

    /// Nobody reports a frame twice, and no clock goes back by more than frames overtake.
    #[rstest::rstest]
    #[case::in_order(&[(1, 10), (2, 20), (1, 21)], None)]
    #[case::overtaken(&[(1, 20), (2, 10)], None)]
    #[case::again(&[(1, 10), (2, 20), (1, 10)], Some("reported a frame again"))]
    #[case::clock(&[(1, 2 * OVERTAKING_NS), (2, 1)], Some("has a clock that went back"))]
    fn disorder_is_noticed(#[case] frames: &[(u8, u64)], #[case] disorder: Option<&str>) {
        let mut record = Record::default();
        for (byte, at_ns) in frames {
            let at_ns = *at_ns;
            record.add(Sighted {
                at_ns,
                ..frame(*byte)
            });
        }
        assert_eq!(record.disorder, disorder);
        record.forget();
        assert_eq!(record.disorder, None);
    }

    #[test]
    fn a_bookmark_stays_good_when_what_lies_before_is_forgotten() {
        let mut record = Record::default();
        record.frames.extend([frame(1), frame(2)]);
        let early = record.mark();
        record.forget();
        assert_eq!(record.mark(), early);
        record.frames.push(frame(3));
        let mark = record.mark();
        record.frames.push(frame(4));
        assert_eq!(record.since(early), [frame(3), frame(4)]);
        assert_eq!(record.since(mark), [frame(4)]);
        assert_eq!(record.since(0), [frame(3), frame(4)]);
        assert_eq!(record.since(record.mark()), []);
    }
}
