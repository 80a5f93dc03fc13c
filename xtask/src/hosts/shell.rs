//! `hosts shell`: a terminal in a host.

use super::host::Host;
use super::qemu::TERMINAL_SOCKET;
use anyhow::{Context as _, Result, bail};
use nix::sys::termios::{self, SetArg, Termios};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread;

/// Connects this terminal with a shell of root's in the host until that shell ends.
///
/// # Errors
///
/// If this is no terminal, or the host ends.
pub fn attach(mut host: Host) -> Result<()> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        bail!("hosts shell wants a terminal; `hosts run NAME -- …` does without");
    }
    let stream = UnixStream::connect(host.socket(TERMINAL_SOCKET))
        .context("the host's terminal cannot be reached")?;
    eprintln!("root's shell in the host; `exit` ends it and throws the host away");
    let raw = Raw::set().context("cannot set this terminal")?;
    let mut reader = stream.try_clone()?;
    let mut writer = stream;
    // Ends with this program: it blocks in a read that nobody can cancel.
    thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(read) = io::stdin().read(&mut buffer) {
            if read == 0 || writer.write_all(&buffer[..read]).is_err() {
                return;
            }
        }
    });
    let shown = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read) = reader.read(&mut buffer) {
            let mut stdout = io::stdout();
            let written = stdout
                .write_all(&buffer[..read])
                .and_then(|()| stdout.flush());
            if read == 0 || written.is_err() {
                return;
            }
        }
    });
    let ended = host.run_shell();
    // What the shell wrote last is still on its way; with QEMU the terminal ends.
    drop(host);
    let _ = shown.join();
    drop(raw);
    ended
}

/// A terminal that hands on every key, Ctrl-C among them; set back when dropped.
struct Raw {
    before: Termios,
}

impl Raw {
    fn set() -> Result<Raw> {
        let before = termios::tcgetattr(io::stdin().as_fd())?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &raw)?;
        Ok(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &self.before);
    }
}
