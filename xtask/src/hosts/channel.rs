//! Lines of JSON over a local socket: QEMU's monitor and the guest agent both speak so.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one read waits before the deadline is looked at again.
const SLICE: Duration = Duration::from_millis(20);
/// How long a peer may take nothing in.
const FULL: Duration = Duration::from_secs(5);
/// What precedes the agent's answer to `guest-sync-delimited`.
const DELIMITER: u8 = 0xff;

/// A connection that carries one JSON document a line.
#[derive(Debug)]
pub struct Channel {
    /// Who is at the other end, for messages.
    peer: &'static str,
    stream: UnixStream,
    unread: Vec<u8>,
    /// Events that came while something else was waited for.
    events: VecDeque<Value>,
}

/// What came of waiting for an answer.
#[derive(Debug)]
pub enum Answer {
    /// The `return` member.
    Return(Value),
    /// The description of an error.
    Refused(String),
    /// Nothing until the deadline.
    Silence,
}

impl Channel {
    /// Connects to a socket that is there.
    ///
    /// # Errors
    ///
    /// If nobody listens there.
    pub fn connect(peer: &'static str, socket: &Path) -> Result<Channel> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot reach {peer} at {}", socket.display()))?;
        stream.set_read_timeout(Some(SLICE))?;
        // A host that does not run takes in nothing: the socket is full some day.
        stream.set_write_timeout(Some(FULL))?;
        Ok(Channel {
            peer,
            stream,
            unread: Vec::new(),
            events: VecDeque::new(),
        })
    }

    /// Sends a command and waits for what is answered.
    ///
    /// # Errors
    ///
    /// If the connection is gone or what comes is no JSON.
    pub fn ask(&mut self, command: &str, arguments: &Value, patience: Duration) -> Result<Answer> {
        let mut line = json!({"execute": command, "arguments": arguments}).to_string();
        line.push('\n');
        self.send(line.as_bytes())?;
        self.answer(patience)
    }

    /// As [`Channel::ask`], where silence and refusal are failures.
    ///
    /// # Errors
    ///
    /// As for [`Channel::ask`], and if there is no answer or the command is refused.
    pub fn demand(
        &mut self,
        command: &str,
        arguments: &Value,
        patience: Duration,
    ) -> Result<Value> {
        match self.ask(command, arguments, patience)? {
            Answer::Return(value) => Ok(value),
            Answer::Refused(why) => bail!("{} refused `{command}`: {why}", self.peer),
            Answer::Silence => bail!(
                "{} did not answer `{command}` within {patience:.0?}",
                self.peer
            ),
        }
    }

    /// Calls an agent that may not listen yet. [`Channel::hears`] knows the answer by the number.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn call(&mut self, number: u32) -> Result<()> {
        let mut line = vec![DELIMITER];
        let command = json!({"execute": "guest-sync-delimited", "arguments": {"id": number}});
        line.extend_from_slice(format!("{command}\n").as_bytes());
        match self.stream.write_all(&line) {
            Err(error) if !is_timeout(&error) => {
                Err(error).with_context(|| format!("{} takes nothing in any more", self.peer))
            }
            // Earlier calls fill the socket; nobody has listened to them.
            _ => Ok(()),
        }
    }

    /// Whether the agent answers this call; all that is left of earlier conversations is thrown
    /// away.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn hears(&mut self, number: u32, patience: Duration) -> Result<bool> {
        let deadline = Instant::now() + patience;
        while let Some(line) = self.line(deadline)? {
            let Some(at) = line.iter().rposition(|byte| *byte == DELIMITER) else {
                continue;
            };
            let answer: Option<Value> = serde_json::from_slice(&line[at + 1..]).ok();
            if answer.is_some_and(|answer| answer["return"] == number) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The events that have come since the last call.
    ///
    /// # Errors
    ///
    /// If the connection is gone or what comes is no JSON.
    pub fn events(&mut self) -> Result<Vec<Value>> {
        loop {
            match self.line(Instant::now()) {
                Ok(None) => break,
                Ok(Some(line)) => {
                    let value = self.parsed(&line)?;
                    self.keep(value);
                }
                // Why the peer has gone may be among the events.
                Err(_) if !self.events.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.events.drain(..).collect())
    }

    /// Waits for the next document, whatever it is; none at the deadline.
    ///
    /// # Errors
    ///
    /// If the connection is gone or what comes is no JSON.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Value>> {
        match self.line(Instant::now() + patience)? {
            None => Ok(None),
            Some(line) => self.parsed(&line).map(Some),
        }
    }

    fn answer(&mut self, patience: Duration) -> Result<Answer> {
        let deadline = Instant::now() + patience;
        while let Some(line) = self.line(deadline)? {
            let mut value = self.parsed(&line)?;
            if let Some(answer) = value.get_mut("return") {
                return Ok(Answer::Return(answer.take()));
            }
            if let Some(error) = value.get("error") {
                let text = error["desc"].as_str().unwrap_or("it does not say why");
                return Ok(Answer::Refused(text.to_owned()));
            }
            self.keep(value);
        }
        Ok(Answer::Silence)
    }

    fn keep(&mut self, value: Value) {
        if value.get("event").is_some() {
            self.events.push_back(value);
        }
    }

    fn parsed(&self, line: &[u8]) -> Result<Value> {
        let at = line.iter().rposition(|byte| *byte == DELIMITER);
        let line = &line[at.map_or(0, |at| at + 1)..];
        serde_json::from_slice(line).with_context(|| {
            let text = String::from_utf8_lossy(line);
            format!("{} sent what is no JSON: {text}", self.peer)
        })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream
            .write_all(bytes)
            .with_context(|| format!("{} takes nothing in any more", self.peer))
    }

    /// The next line without its end; none at the deadline.
    fn line(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                    return Ok(Some(line));
                }
                continue;
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => bail!("{} closed the connection", self.peer),
                Ok(read) => self.unread.extend_from_slice(&buffer[..read]),
                Err(error) if is_timeout(&error) => {
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read from {}", self.peer));
                }
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::os::unix::net::UnixListener;
    use std::thread;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(10);

    /// A channel to a peer that answers the first line with these bytes and then hangs up.
    fn answered_with(bytes: &'static [u8]) -> (tempfile::TempDir, Channel) {
        let directory = tempfile::tempdir().expect("scratch directory");
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("socket");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("connection");
            let mut line = [0; 256];
            let _ = stream.read(&mut line);
            stream.write_all(bytes).expect("answer");
            let _ = stream.read(&mut line);
        });
        let channel = Channel::connect("the peer", &socket).expect("connects");
        (directory, channel)
    }

    #[test]
    fn an_event_does_not_pass_for_an_answer() {
        let (_directory, mut channel) =
            answered_with(b"{\"event\": \"RESET\"}\n\n{\"return\": {\"pid\": 7}}\n");
        let value = channel
            .demand("guest-exec", &json!({}), LONG)
            .expect("answer");
        assert_eq!(value["pid"], 7);
        assert_eq!(channel.events().expect("kept")[0]["event"], "RESET");
    }

    #[test]
    fn what_was_left_over_is_thrown_away() {
        let (_directory, mut channel) =
            answered_with(b"rest of old\n{\"return\": 3}\n\xff{\"return\": 4}\n");
        channel.call(4).expect("taken");
        assert!(channel.hears(4, LONG).expect("answer"));
    }

    #[test]
    fn one_who_does_not_listen_can_be_called_for_ever() {
        let directory = tempfile::tempdir().expect("scratch directory");
        let socket = directory.path().join("socket");
        let _listener = UnixListener::bind(&socket).expect("socket");
        let mut channel = Channel::connect("the peer", &socket).expect("connects");
        let hurry = Duration::from_millis(1);
        channel.stream.set_write_timeout(Some(hurry)).expect("set");
        for number in 0..600 {
            channel.call(number).expect("a full socket is no failure");
        }
    }

    #[test]
    fn the_last_event_of_a_peer_is_not_lost() {
        let (_directory, mut channel) = answered_with(b"{\"event\": \"SHUTDOWN\"}\n");
        channel.send(b"{}\n").expect("taken");
        channel.send(b"{}\n").expect("taken");
        let deadline = Instant::now() + LONG;
        loop {
            let events = channel.events().expect("an event comes before the end");
            if !events.is_empty() {
                assert_eq!(events[0]["event"], "SHUTDOWN");
                break;
            }
            assert!(Instant::now() < deadline, "no event");
        }
    }

    #[rstest]
    #[case::refusal(b"{\"error\": {\"desc\": \"no such command\"}}\n", "no such command")]
    #[case::silence(b"", "did not answer `frob`")]
    #[case::no_json(b"hello\n", "no JSON: hello")]
    fn a_failure_says_who_and_what(#[case] bytes: &'static [u8], #[case] expected: &str) {
        let (_directory, mut channel) = answered_with(bytes);
        let error = channel
            .demand("frob", &json!({}), SHORT)
            .expect_err("no answer");
        let text = format!("{error:#}");
        assert!(
            text.contains("the peer") && text.contains(expected),
            "{text}"
        );
    }
}
