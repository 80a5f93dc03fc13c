//! The host's end of the agent's port.

use super::console::{Console, Snapshot};
use super::error::{AgentWords, GuestError, ProtocolFault};
use crate::lab::Slowness;
use lanfence_agent::{Answer, Op, Reply, Request};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;

/// A connection to the agent of one guest.
#[derive(Debug)]
pub struct AgentClient {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    console: watch::Receiver<Snapshot>,
    next: u64,
    slowness: Slowness,
}

/// Longest wait for the rest of the console of a guest whose port has ended: none where the console
/// has ended too.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl AgentClient {
    /// Uses an open socket; the console tells when the guest dies meanwhile. Waits are those
    /// of a machine of this slowness.
    pub fn new(stream: UnixStream, console: &Console, slowness: Slowness) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader: BufReader::new(reader),
            writer,
            console: console.state(),
            next: 1,
            slowness,
        }
    }

    /// A wait that is right on a quick machine, for this one. Requests that name a deadline
    /// to the agent name the stretched one.
    pub fn stretch(&self, wait: Duration) -> Duration {
        self.slowness.stretch(wait)
    }

    /// Asks and waits for the answer, at most this long on a quick machine.
    ///
    /// # Errors
    /// A guest that died or panicked is said as such at once; the deadline
    /// bounds everything else.
    pub async fn ask(&mut self, op: Op, longest: Duration) -> Result<Answer, GuestError> {
        let (doing, slowness) = (name(&op), self.slowness);
        let deadline = slowness.stretch(longest);
        let id = self.next;
        self.next += 1;
        let mut line = serde_json::to_string(&Request { id, op }).expect("the protocol serialises");
        line.push('\n');
        let mut console = self.console.clone();
        let seen = self.console.clone();
        let last = || seen.borrow().last.clone();
        let (reader, writer) = (&mut self.reader, &mut self.writer);
        let exchange = Self::exchange(reader, writer, &line, (id, &doing), last);
        let reply = tokio::select! {
            reply = exchange => match reply {
                // What it said last may not have been read yet, and says more.
                Err(error @ GuestError::Died { .. }) => {
                    let words = death(&mut console, &doing);
                    let said = tokio::time::timeout(slowness.stretch(LAST_WORDS), words).await;
                    return Err(said.unwrap_or(error));
                }
                reply => reply?,
            },
            error = death(&mut console, &doing) => return Err(error),
            () = tokio::time::sleep(deadline) => {
                return Err(GuestError::Deadline {
                    waiting: format!("the agent's answer to `{doing}`"),
                    deadline_ms: deadline.as_millis(),
                    slowness,
                    last: console.borrow().last.clone(),
                });
            }
        };
        reply
            .result
            .map_err(AgentWords)
            .map_err(|source| GuestError::Agent { doing, source })
    }

    /// Asks for several things in one round trip; what came of each, in order.
    ///
    /// # Errors
    /// As [`AgentClient::ask`]; what a part was refused for is in its place.
    pub async fn ask_several(
        &mut self,
        ops: Vec<Op>,
        longest: Duration,
    ) -> Result<Vec<Result<Answer, String>>, GuestError> {
        let count = ops.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        match self.ask(Op::Several { ops }, longest).await? {
            Answer::Several { results } if results.len() == count => Ok(results),
            other => Err(GuestError::Protocol {
                doing: "several".into(),
                source: ProtocolFault::Answer {
                    answer: Box::new(other),
                    requests: count,
                },
            }),
        }
    }

    async fn exchange(
        reader: &mut BufReader<OwnedReadHalf>,
        writer: &mut OwnedWriteHalf,
        line: &str,
        (id, doing): (u64, &str),
        last: impl Fn() -> String,
    ) -> Result<Reply, GuestError> {
        // QEMU holds the port open as long as it runs, whatever the guest does.
        let ended = || GuestError::Died {
            waiting: doing.to_owned(),
            why: String::new(),
            last: last(),
        };
        writer
            .write_all(line.as_bytes())
            .await
            .map_err(|_| ended())?;
        let mut text = String::new();
        loop {
            text.clear();
            let length = reader.read_line(&mut text).await.map_err(|_| ended())?;
            if length == 0 {
                return Err(ended());
            }
            let reply: Reply =
                serde_json::from_str(&text).map_err(|source| GuestError::Protocol {
                    doing: doing.to_owned(),
                    source: ProtocolFault::NoReply {
                        line: text.clone(),
                        source,
                    },
                })?;
            // An answer to a request that was given up on earlier may still come.
            if reply.id == id {
                return Ok(reply);
            }
        }
    }
}

/// The verb of a request as the protocol spells it.
fn name(op: &Op) -> String {
    serde_json::to_value(op)
        .ok()
        .and_then(|value| value["do"].as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// Resolves when the console shows that the guest will never answer.
pub(super) async fn death(console: &mut watch::Receiver<Snapshot>, waiting: &str) -> GuestError {
    loop {
        {
            let state = console.borrow_and_update();
            if let Some(line) = &state.panic {
                return GuestError::Panic { line: line.clone() };
            }
            if let Some(line) = &state.fatal {
                return GuestError::Fatal { line: line.clone() };
            }
            if state.closed {
                return GuestError::Died {
                    waiting: waiting.to_owned(),
                    why: String::new(),
                    last: state.last.clone(),
                };
            }
        }
        if console.changed().await.is_err() {
            return GuestError::Died {
                waiting: waiting.to_owned(),
                why: String::new(),
                last: String::new(),
            };
        }
    }
}
