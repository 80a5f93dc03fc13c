//! What systemd is told (sd_notify(3)): that the watcher is ready, lives, and what it sees.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// systemd, where it started this process.
#[derive(Debug)]
pub struct Service {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that this process lives.
    watchdog: Option<Duration>,
}

impl Service {
    /// As systemd has said it in the environment.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        Self::of(
            variable("NOTIFY_SOCKET").as_deref(),
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
        )
    }

    fn of(socket: Option<&str>, watchdog: Option<&str>, pid: Option<&str>) -> Self {
        let address = socket.and_then(|path| match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(path).ok(),
        });
        let socket = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        // Another process of the service may be meant.
        let own = pid.is_none_or(|pid| pid == std::process::id().to_string());
        let longest = watchdog.filter(|_| own).and_then(|text| text.parse().ok());
        Self {
            socket,
            watchdog: longest.map(|microseconds: u64| Duration::from_micros(microseconds / 2)),
        }
    }

    /// How often [`Service::alive`] must be called.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The watcher listens to everything.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The watcher is well.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.tell(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// The watcher ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // Nobody to complain to.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn heard(socket: &UnixDatagram) -> String {
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut bytes = [0; 200];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn systemd_hears_it_on_a_socket_of_either_kind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("lanfence-test-{}", std::process::id());
        let in_files = UnixDatagram::bind(&path).unwrap();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let abstract_one = UnixDatagram::bind_addr(&address).unwrap();
        for (socket, named) in [
            (in_files, path.to_str().unwrap().to_owned()),
            (abstract_one, format!("@{name}")),
        ] {
            let service = Service::of(Some(&named), None, None);
            service.ready();
            service.status("two\nlines");
            assert_eq!(heard(&socket), "READY=1");
            assert_eq!(heard(&socket), "STATUS=two lines");
        }
    }

    #[rstest]
    #[case::none(None, None, None)]
    #[case::half_of_it(Some("30000000"), None, Some(15))]
    #[case::another_process(Some("30000000"), Some("1"), None)]
    #[case::nonsense(Some("soon"), None, None)]
    fn the_watchdog_is_fed_twice_as_often_as_it_wants(
        #[case] microseconds: Option<&str>,
        #[case] pid: Option<&str>,
        #[case] seconds: Option<u64>,
    ) {
        let service = Service::of(None, microseconds, pid);
        assert_eq!(service.watchdog(), seconds.map(Duration::from_secs));
    }
}
