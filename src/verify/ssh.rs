//! A login from the LAN peer into the guest and a command over it, with libssh2.

use ssh2::{CheckResult, KnownHostFileKind, Session};
use std::fmt;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// A key pair made for one run and thrown away with it.
#[derive(Clone)]
pub struct Key {
    /// The line for authorized_keys.
    pub public: String,
    /// The guest's host key line, as the agent told it outside the network.
    pub host: String,
    private: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl Key {
    /// Makes a fresh pair with OpenSSH's own tool. It is of the host key's kind, whose
    /// arithmetic an emulator has translated by then: 1500 blocks less than for ECDSA
    /// (measured), of 66,000 in a cell.
    ///
    /// # Errors
    /// What ssh-keygen printed.
    pub fn generate() -> Result<Self, String> {
        // A directory of its own: ssh-keygen asks before it overwrites, and the
        // cells of a worker share a lab.
        let dir = format!("{}/key-{:08x}", crate::lab::STATE, super::random());
        std::fs::create_dir(&dir).map_err(|error| format!("{dir}: {error}"))?;
        let key = Self::generate_in(&dir);
        // What is left over goes with the lab.
        let _ = std::fs::remove_dir_all(&dir);
        key
    }

    fn generate_in(dir: &str) -> Result<Self, String> {
        let path = format!("{dir}/key");
        let output = Command::new("ssh-keygen")
            .args([
                "-q", "-t", "ed25519", "-N", "", "-C", "lanfence", "-f", &path,
            ])
            .output()
            .map_err(|error| {
                format!("ssh-keygen: {error}; `cargo xtask setup` installs openssh-client")
            })?;
        if !output.status.success() {
            return Err(format!(
                "ssh-keygen: {}: {}{}",
                output.status,
                String::from_utf8_lossy(&output.stdout).trim(),
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        let read = |path: String| {
            std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
        };
        Ok(Self {
            public: read(format!("{path}.pub"))?.trim().to_owned(),
            private: read(path)?,
            host: String::new(),
        })
    }
}

/// What the guest is asked over SSH; the answer cannot come from anywhere else.
const COMMAND: &str = "cat /proc/cmdline";

/// Refuses a host that is not the guest: another host's answer would prove nothing.
fn is_guest(
    session: &Session,
    to: SocketAddr,
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

/// Connects, logs in as root, runs the command; true when the guest answered.
pub fn exchange(to: SocketAddr, key: &Key, deadline: Duration) -> bool {
    let end = Instant::now() + deadline;
    let answered = || -> Result<String, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect_timeout(&to, deadline)?;
        let left = end.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left))?;
        stream.set_write_timeout(Some(left))?;
        let mut session = Session::new()?;
        session.set_timeout(u32::try_from(left.as_millis())?);
        session.set_tcp_stream(stream);
        session.handshake()?;
        is_guest(&session, to, &key.host)?;
        session.userauth_pubkey_memory("root", Some(&key.public), &key.private, None)?;
        let mut channel = session.channel_session()?;
        channel.exec(COMMAND)?;
        let mut answer = String::new();
        channel.read_to_string(&mut answer)?;
        channel.wait_close()?;
        Ok(answer)
    };
    answered().is_ok_and(|answer| answer.contains("lanfence.nonce="))
}
