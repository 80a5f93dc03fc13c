//! Guests that are told what to do on their console, and are then left alone.

use super::boot::{Machine, connect, create, forgotten};
use super::console::last_line;
use super::domain::{DomainSpec, console_path};
use super::error::{GuestError, ends};
use super::interface::Interface;
use crate::lab::{Lab, LabError, PacketSocket, Sensor};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Longest wait for what comes before a line that is typed: U-Boot asks 0.1 s after its start.
const PROMPT: Duration = Duration::from_secs(20);

/// What is typed, each time after the console has shown a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    lines: Vec<(&'static str, String)>,
    /// Longest wait for what comes before a line, on a quick machine.
    longest: Duration,
}

impl Talk {
    /// Pairs of what the console shows and what is then typed; each line is ended here.
    pub fn new(lines: Vec<(&'static str, String)>) -> Self {
        Self {
            lines,
            longest: PROMPT,
        }
    }

    /// The same for a guest that takes so long at most until it shows what is waited for.
    #[must_use]
    pub fn within(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// All that is typed, a line each.
    pub fn typed(&self) -> String {
        let lines = self.lines.iter().map(|(_, line)| line.as_str());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Starts the domain stopped, arms the tap's sensor, lets it run and types. What it then does is
/// seen on the network and in the serial log only.
///
/// # Errors
/// libvirt's words when it cannot start the domain, or what the console shows in place of the
/// text that is waited for.
pub async fn begin(
    lab: &Lab,
    spec: &DomainSpec<'_>,
    interface: &Interface,
    talk: &Talk,
) -> Result<Machine, GuestError> {
    forgotten(lab, spec.name).await?;
    let domain = create(lab, spec, interface)?;
    let tap = Sensor::start("tap", PacketSocket::open(&interface.tap)?)?;
    let mut console = connect(&console_path(spec.name)).await?;
    domain.resume()?;
    say(lab, spec.name, &mut console, talk).await?;
    // Nobody listens any more; QEMU keeps the text.
    Ok(Machine {
        tap,
        domain,
        interface: interface.clone(),
    })
}

/// Says all of the talk on the console of the domain. What is shown meanwhile is gone.
pub(super) async fn say(
    lab: &Lab,
    domain: &str,
    console: &mut UnixStream,
    talk: &Talk,
) -> Result<(), GuestError> {
    let longest = lab.slowness.stretch(talk.longest);
    let mut shown = Vec::new();
    for (prompt, line) in &talk.lines {
        let started = Instant::now();
        let typed = type_line(console, &mut shown, (prompt, line));
        let Ok(typed) = tokio::time::timeout(longest, typed).await else {
            return Err(GuestError::Deadline {
                waiting: format!("`{prompt}` on the guest's console"),
                deadline_ms: started.elapsed().as_millis(),
                slowness: lab.slowness,
                last: ends(&last_line(&shown)),
            });
        };
        typed.map_err(|source| LabError::File {
            path: console_path(domain).into(),
            source,
        })?;
    }
    Ok(())
}

/// Types the line once the prompt has been shown, and waits for the guest to show it in turn: what
/// it has not taken yet would be lost with the connection.
async fn type_line(
    console: &mut UnixStream,
    shown: &mut Vec<u8>,
    (prompt, line): (&str, &str),
) -> std::io::Result<()> {
    until(console, shown, prompt).await?;
    console.write_all(format!("{line}\r").as_bytes()).await?;
    until(console, shown, line).await
}

/// Reads until the text has been shown, and forgets what came up to its end.
async fn until(console: &mut UnixStream, shown: &mut Vec<u8>, prompt: &str) -> std::io::Result<()> {
    loop {
        if prompt.is_empty() {
            return Ok(());
        }
        let mut places = shown.windows(prompt.len());
        if let Some(place) = places.position(|window| window == prompt.as_bytes()) {
            shown.drain(..place + prompt.len());
            return Ok(());
        }
        let mut chunk = [0; 1024];
        match console.read(&mut chunk).await? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            length => shown.extend(&chunk[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_prompt_is_found_in_pieces_and_once() {
        let (mut here, mut there) = UnixStream::pair().expect("a pair");
        there.write_all(b"boot\r\n=").await.expect("writes");
        let mut shown = Vec::new();
        let early = Duration::from_millis(20);
        let found = tokio::time::timeout(early, until(&mut here, &mut shown, "=> ")).await;
        assert!(found.is_err(), "not whole yet");
        there.write_all(b"> go\r\n").await.expect("writes");
        until(&mut here, &mut shown, "=> ").await.expect("found");
        let again = tokio::time::timeout(early, until(&mut here, &mut shown, "=> ")).await;
        assert!(again.is_err(), "the same one is not found twice");
        drop(there);
        assert!(until(&mut here, &mut shown, "=> ").await.is_err());
    }
}
