//! `Op::Ssh`: dropbear on port 22.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lanfence_agent::Answer;
use nix::unistd::Pid;

use crate::children::{Children, last_line};
use crate::init::leave_proc;
use crate::proc_net::{LISTEN, sockets};
use crate::wait::{Deadline, until};

const LOG: &str = "/run/dropbear.log";
const KEY_LOG: &str = "/run/dropbearkey.log";
const KEY_DIR: &str = "/etc/dropbear";
/// Where dropbear itself looks for its ed25519 key (`-R`).
const KEY: &str = "/etc/dropbear/dropbear_ed25519_host_key";

/// What dropbear is told that it was started as. For each session it starts itself anew
/// from the file of that name, to shuffle its addresses (`svr-main.c`), and only forks
/// where there is no such file. The loader's work would be translated in every cell.
const NO_FILE: &str = "dropbear";

/// Making the key and starting to listen takes 0.1 s under emulation.
const PATIENCE_MS: u64 = 20_000;
const STEP: Duration = Duration::from_millis(2);

/// dropbear, once it runs.
#[derive(Debug, Default)]
pub struct Ssh {
    running: Option<(Pid, String)>,
}

impl Ssh {
    /// Makes sure that dropbear listens and tells its host key.
    pub fn start(&mut self, children: &mut Children) -> Result<Answer, String> {
        let host_key = self.listen(children)?;
        Ok(Answer::Ssh { host_key })
    }

    /// Makes sure that dropbear listens, and returns its host key.
    ///
    /// Done before a snapshot, it gives all guests restored from it one host key, which
    /// guards nothing. Their sessions have nothing else in common:
    /// dropbear draws from the kernel's pool for each, which every restored guest
    /// fills anew.
    pub fn listen(&mut self, children: &mut Children) -> Result<String, String> {
        if let Some((pid, host_key)) = &self.running
            && children.ended(*pid).is_none()
        {
            return Ok(host_key.clone());
        }
        let deadline = Deadline::in_ms(PATIENCE_MS);
        let host_key = make_key(children, deadline)?;
        let program = program("dropbear").ok_or("the image has no dropbear")?;
        // -F stay in front, -E log to stderr, -R make a missing key, -B let root in, whose
        // password is empty: to verify a client's key takes as long as the whole rest of
        // the key exchange, and it is the guest that has to prove who it is (measured:
        // docs/measurements.md#M33).
        let words = ["-F", "-E", "-R", "-B", "-p", "22", "-r", KEY];
        let mut dropbear = Command::new(program);
        dropbear.arg0(NO_FILE).args(words);
        // SAFETY: two system calls, which is all that a child may do here.
        unsafe {
            // One that still sees it is only slow.
            dropbear.pre_exec(|| leave_proc().or(Ok(())));
        }
        let pid = children.start(&mut dropbear, Path::new(LOG))?;
        let listening = until(deadline, STEP, || match children.ended(pid) {
            Some(end) => Err(format!(
                "dropbear ended with {end}: {}",
                last_line(Path::new(LOG))
            )),
            None => Ok(listens().then_some(())),
        })?;
        if listening.is_none() {
            children.end(pid);
            return Err(format!("dropbear does not listen within {PATIENCE_MS} ms"));
        }
        self.running = Some((pid, host_key.clone()));
        Ok(host_key)
    }
}

/// Makes an ed25519 host key, which takes milliseconds where RSA takes seconds,
/// and returns its public half; nothing when the image can't.
fn make_key(children: &mut Children, deadline: Deadline) -> Result<String, String> {
    let Some(program) = program("dropbearkey") else {
        return Ok(String::new());
    };
    let log = Path::new(KEY_LOG);
    fs::create_dir_all(KEY_DIR).map_err(|error| format!("cannot create {KEY_DIR}: {error}"))?;
    if Path::new(KEY).exists() {
        fs::remove_file(KEY).map_err(|error| format!("cannot remove the old {KEY}: {error}"))?;
    }
    let words = ["-t", "ed25519", "-f", KEY];
    let pid = children.start(Command::new(program).args(words), log)?;
    let Some(end) = children.wait(pid, deadline) else {
        children.end(pid);
        return Err(format!("dropbearkey is not done within {PATIENCE_MS} ms"));
    };
    let text = fs::read_to_string(log).unwrap_or_default();
    public_key(&text).ok_or_else(|| {
        format!(
            "dropbearkey ended with {end} and no key: {}",
            last_line(log)
        )
    })
}

/// The key line among what dropbearkey prints, without its comment.
fn public_key(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("ssh-ed25519 "))?;
    let mut words = line.split_ascii_whitespace();
    Some(format!("{} {}", words.next()?, words.next()?))
}

fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .map(|dir| Path::new(dir).join(name))
        .into_iter()
        .find(|path| path.exists())
}

/// Whether port 22 is open in both families. Asked of the kernel, because a
/// connection would make dropbear start a session.
fn listens() -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().all(|table| {
        fs::read_to_string(table)
            .is_ok_and(|text| sockets(&text).any(|it| it.local_port == 22 && it.state == LISTEN))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_line_is_found() {
        let text = "Generating 256 bit ed25519 key, this may take a while...\n\
                    Public key portion is:\n\
                    ssh-ed25519 AAAAC3Nz root@(none)\n\
                    Fingerprint: SHA256:abc\n";
        assert_eq!(public_key(text).as_deref(), Some("ssh-ed25519 AAAAC3Nz"));
        assert_eq!(public_key("Could not open file\n"), None);
    }
}
