//! A login from the LAN peer into the guest and a command over it, with libssh2.

use crate::verify::sockets::connected;
use lanfence_agent::COMMAND_LINE;
use ssh2::{CheckResult, KnownHostFileKind, Session};
use std::io::Read as _;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// What the guest is asked over SSH; the answer cannot come from anywhere else. The shell
/// does it by itself: one program less to start in a guest that is emulated.
fn command() -> String {
    format!("read line <{COMMAND_LINE}; echo \"$line\"")
}

/// Refuses a host that is not the guest: another host's answer would prove nothing.
fn is_guest(
    session: &Session,
    to: SocketAddrV4,
    line: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let host = to.ip().to_string();
    let mut known = session.known_hosts()?;
    known.read_str(&format!("{host} {line}"), KnownHostFileKind::OpenSSH)?;
    let (key, _) = session.host_key().ok_or("the host showed no key")?;
    match known.check(&host, key) {
        CheckResult::Match => Ok(()),
        _ => Err("the host's key is not the guest's".into()),
    }
}

/// Connects from the port, makes sure by its key (the line that the agent told outside the network) that
/// this is the guest, logs in as root and runs the command; true when the guest answered.
pub fn exchange((port, to): (u16, SocketAddrV4), host_key: &str, deadline: Duration) -> bool {
    let end = Instant::now() + deadline;
    let answered = || -> Result<String, Box<dyn std::error::Error>> {
        let stream = connected(port, to, deadline)?;
        // libssh2 sends its key right after its offer. Without this the kernel holds the key
        // back until the guest has acknowledged the offer, which it does 40 ms later.
        stream.set_nodelay(true)?;
        let left = end.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left))?;
        stream.set_write_timeout(Some(left))?;
        let mut session = Session::new()?;
        session.set_timeout(u32::try_from(left.as_millis())?);
        session.set_tcp_stream(stream);
        session.handshake()?;
        is_guest(&session, to, host_key)?;
        // To ask what it wants of root is to log in where it wants nothing (RFC 4252,
        // section 5.2).
        session.auth_methods("root")?;
        let mut channel = session.channel_session()?;
        channel.exec(&command())?;
        let mut answer = String::new();
        channel.read_to_string(&mut answer)?;
        channel.wait_close()?;
        Ok(answer)
    };
    answered().is_ok_and(|answer| answer.contains("lanfence.nonce="))
}
