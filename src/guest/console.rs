//! The guest's serial console, watched for signs of life and death. QEMU keeps its text.

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::watch;

/// What the console has shown so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The text behind the agent's READY prefix.
    pub ready: Option<String>,
    /// A line that says why the guest cannot go on.
    pub fatal: Option<String>,
    /// A kernel panic.
    pub panic: Option<String>,
    /// QEMU closed the console: the domain is gone.
    pub closed: bool,
    /// The last line that was not empty.
    pub last: String,
}

impl Snapshot {
    /// Takes in one line.
    fn line(&mut self, line: &str) {
        let line = line.trim_end();
        // The kernel may print into the middle of the agent's line, so the prefix is looked for anywhere.
        if let Some((_, rest)) = line.split_once(lanfence_agent::READY) {
            self.ready = Some(rest.trim().to_owned());
        } else if let Some((_, rest)) = line.split_once(lanfence_agent::FATAL) {
            self.fatal = Some(rest.trim().to_owned());
        } else if line.contains("Kernel panic") && self.panic.is_none() {
            self.panic = Some(line.trim().to_owned());
        }
        if !line.is_empty() {
            line.clone_into(&mut self.last);
        }
    }
}

/// A console that is being read.
#[derive(Debug)]
pub struct Console {
    state: watch::Receiver<Snapshot>,
}

impl Console {
    /// Starts reading; ends with the socket.
    pub fn read(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, state) = watch::channel(Snapshot::default());
        tokio::spawn(pump(stream, sender));
        Self { state }
    }

    /// A view that wakes when a line comes.
    pub fn state(&self) -> watch::Receiver<Snapshot> {
        self.state.clone()
    }
}

async fn pump(mut stream: impl AsyncRead + Unpin, sender: watch::Sender<Snapshot>) {
    let mut chunk = [0; 4096];
    let mut line = Vec::new();
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        for &byte in &chunk[..length] {
            if byte == b'\n' {
                let whole = String::from_utf8_lossy(&line).into_owned();
                sender.send_modify(|state| state.line(&whole));
                line.clear();
            } else {
                line.push(byte);
            }
        }
    }
    sender.send_modify(|state| state.closed = true);
}

/// The last line with something to read on it, whole or not, without what moves a
/// terminal's cursor or colours its text (ECMA-48: `ESC [`, parameters, a final byte).
pub fn last_line(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let mut pieces = text.split("\x1b[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|end: char| ('@'..='~').contains(&end));
        plain += end.map_or("", |end| &piece[end + 1..]);
    }
    let mut lines = plain.rsplit(['\r', '\n']).map(str::trim);
    lines
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(b"", "")]
    #[case::unfinished(b"one\r\ntftp://192.168.1.1/x... ", "tftp://192.168.1.1/x...")]
    #[case::blank_lines(b"Link:down\r\n\r\n  \n", "Link:down")]
    #[case::a_terminals(b"one\n\x1b[2J\x1b[1;37mtwo\x1b[0m\x1b[5;1H", "two")]
    #[case::cut_short(b"one\x1b[1;3", "one")]
    fn the_last_line_is_what_a_user_would_read(#[case] log: &[u8], #[case] line: &str) {
        assert_eq!(last_line(log), line);
    }

    fn after(lines: &[&str]) -> Snapshot {
        let mut state = Snapshot::default();
        for line in lines {
            state.line(line);
        }
        state
    }

    #[test]
    fn ready_is_found_behind_a_kernel_message() {
        let state = after(&["[    1.0] x", "[    1.1] abc LANFENCE READY n0nce 900\r"]);
        assert_eq!(state.ready.as_deref(), Some("n0nce 900"));
    }

    #[test]
    fn the_first_panic_line_is_kept() {
        let state = after(&[
            "[    1.0] Kernel panic - not syncing: no init",
            "[    1.1] ---[ end Kernel panic - not syncing ]---",
        ]);
        assert!(state.panic.is_some_and(|line| line.contains("no init")));
    }
}
