//! The serving loop: reads a request, acts on it, replies, strictly in order.

use std::net::IpAddr;
use std::os::fd::AsFd as _;

use lanfence_agent::{Answer, MAX_LINE, Op, Reply, Request};
use lanfence_frame::{from_hex, parse_mac};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use crate::children::Children;
use crate::dhcp::Dhcp;
use crate::modules::Modules;
use crate::netlink::Netlink;
use crate::port::{Line, Port};
use crate::sockets::{self, Listeners};
use crate::ssh::Ssh;
use crate::tcp::{Attempt, Unwatched};
use crate::{address, console, dhcp_clients, frames, init, nic, warm_up};

/// While the host has its end closed, the port reports a hang-up without pause
/// and nothing announces the return; so it is polled at this interval (ms).
const AWAY_MS: u8 = 10;

/// Everything that outlives a request.
#[derive(Debug)]
pub struct Agent {
    /// The image's kernel modules.
    pub modules: Modules,
    /// For links, addresses and routes.
    pub netlink: Netlink,
    /// Processes.
    pub children: Children,
    /// DHCP clients.
    pub dhcp: Dhcp,
    /// Sockets that receive.
    pub listeners: Listeners,
    /// Connection attempts nobody waits for.
    pub unwatched: Unwatched,
    /// dropbear.
    pub ssh: Ssh,
}

impl Agent {
    /// Serves until power-off; returns the error that it cannot continue after.
    pub fn serve(&mut self, port: &mut Port) -> String {
        let mut host_away = false;
        loop {
            if let Err(errno) = self.wait(port, host_away) {
                return format!("cannot wait for requests: {errno}");
            }
            self.children.reap();
            if let Err(error) = self.dhcp.serve(&mut self.netlink) {
                console::note(&error);
            }
            let batch = match port.read() {
                Ok(batch) => batch,
                Err(error) => return error,
            };
            host_away = batch.host_away;
            for line in batch.lines {
                let reply = to_line(&self.reply(&line));
                match port.write(&reply) {
                    Ok(true) => {}
                    Ok(false) => console::note("a reply was dropped: the host does not read"),
                    Err(error) => return error,
                }
            }
        }
    }

    fn wait(&self, port: &Port, host_away: bool) -> Result<(), Errno> {
        let hook = PollFd::new(self.dhcp.as_fd(), PollFlags::POLLIN);
        let line = PollFd::new(port.as_fd(), PollFlags::POLLIN);
        let outcome = if host_away {
            poll(&mut [hook], AWAY_MS)
        } else {
            poll(&mut [hook, line], PollTimeout::NONE)
        };
        match outcome {
            // EINTR: a child has ended and wants to be reaped.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn reply(&mut self, line: &Line) -> Reply {
        match read(line) {
            Ok(request) => Reply {
                id: request.id,
                result: self.act(request.op),
            },
            Err(reply) => reply,
        }
    }

    fn act(&mut self, op: Op) -> Result<Answer, String> {
        match op {
            Op::Hello => hello(),
            Op::Wake {
                nonce,
                unix_ns,
                seed,
            } => wake(&nonce, unix_ns, &seed),
            Op::Nic { mac, deadline_ms } => {
                nic::bring_up(&mut self.modules, &mut self.netlink, &mac, deadline_ms)
            }
            Op::Configure {
                dev,
                addresses,
                routers,
            } => address::configure(&mut self.netlink, &dev, &addresses, &routers),
            Op::Resolve {
                dev,
                address,
                deadline_ms,
            } => address::resolve(&mut self.netlink, &dev, address, deadline_ms),
            Op::SetNeighbour { dev, address, mac } => self.set_neighbour(&dev, address, &mac),
            Op::Dhcp {
                dev,
                step,
                deadline_ms,
            } => self.dhcp.step(
                &mut self.netlink,
                &mut self.children,
                &dev,
                step,
                deadline_ms,
            ),
            Op::DhcpClients {
                dev,
                profiles,
                xid,
                deadline_ms,
                silent_ms,
            } => {
                let row = dhcp_clients::Row {
                    profiles: &profiles,
                    xid,
                    deadline_ms,
                    silent_ms,
                };
                dhcp_clients::play_all(&mut self.netlink, &dev, &row)
            }
            Op::Frames { dev, frames } => frames::frames(&mut self.netlink, &dev, &frames),
            Op::Ssh => self.ssh.start(&mut self.children),
            Op::WarmUp => {
                warm_up::run(&mut self.netlink, &mut self.children, &mut self.dhcp);
                Ok(Answer::Done)
            }
            Op::Several { ops } => {
                let results = ops.into_iter().map(|op| self.part(op)).collect();
                Ok(Answer::Several { results })
            }
            Op::PowerOff => console::power_off(),
            other => self.act_on_sockets(other),
        }
    }

    /// A part of a batch. With none in it that is a batch itself, the answer has
    /// no more parts than the request had.
    fn part(&mut self, op: Op) -> Result<Answer, String> {
        match op {
            Op::Several { .. } => Err("a batch within a batch".to_owned()),
            op => self.act(op),
        }
    }

    fn act_on_sockets(&mut self, op: Op) -> Result<Answer, String> {
        match op {
            Op::Udp {
                dev,
                source_port,
                to,
                payload,
            } => sockets::udp(&dev, self.index(&dev)?, source_port, to, &bytes(&payload)?),
            Op::Ping { dev, to, payload } => {
                sockets::ping(&dev, self.index(&dev)?, to, &bytes(&payload)?)
            }
            Op::Tcp {
                dev,
                source_port,
                to,
                payload,
                deadline_ms,
            } => {
                let attempt = Attempt {
                    dev: &dev,
                    index: self.index(&dev)?,
                    source_port,
                    to,
                    payload: &bytes(&payload)?,
                };
                self.unwatched.attempt(attempt, deadline_ms)
            }
            Op::Join { dev, group, port } => self.join(&dev, group, port),
            Op::Listen { port } => self.listeners.listen(port),
            Op::Received => self.listeners.received(),
            Op::Leave => Ok(self.listeners.leave()),
            Op::Reset => Ok(self.unwatched.reset()),
            other => Err(format!("the agent does not know how to do {other:?}")),
        }
    }

    fn join(&mut self, dev: &str, group: IpAddr, port: u16) -> Result<Answer, String> {
        let index = self.index(dev)?;
        self.listeners.join(dev, index, group, port)
    }

    fn set_neighbour(&mut self, dev: &str, address: IpAddr, mac: &str) -> Result<Answer, String> {
        let octets = parse_mac(mac).ok_or_else(|| format!("not a MAC address: {mac}"))?;
        let index = self.index(dev)?;
        self.netlink.set_neighbour(index, address, octets)?;
        Ok(Answer::Done)
    }

    fn index(&mut self, dev: &str) -> Result<u32, String> {
        self.netlink.link_by_name(dev).map(|link| link.index)
    }
}

fn hello() -> Result<Answer, String> {
    let release = "/proc/sys/kernel/osrelease";
    let kernel = std::fs::read_to_string(release)
        .map_err(|error| format!("cannot read {release}: {error}"))?;
    Ok(Answer::Hello {
        kernel: kernel.trim().to_owned(),
        uptime_ms: console::uptime_ms(),
    })
}

/// Gives a restored guest an identity of its own: from here on, it shares no random number
/// with other guests from the same snapshot.
fn wake(nonce: &str, unix_ns: u64, seed: &str) -> Result<Answer, String> {
    init::set_clock(unix_ns)?;
    init::reseed(&bytes(seed)?)?;
    console::ready(nonce, console::uptime_ms());
    Ok(Answer::Done)
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    from_hex(hex).ok_or_else(|| "the payload is not hex".to_owned())
}

/// Reads a request, or makes the reply that says why it is none.
fn read(line: &Line) -> Result<Request, Reply> {
    let refuse = |id, why| Reply {
        id,
        result: Err(why),
    };
    let Line::Whole(line) = line else {
        let why = format!("a request line has more than {MAX_LINE} bytes");
        return Err(refuse(0, why));
    };
    serde_json::from_slice(line).map_err(|error| {
        let id = serde_json::from_slice::<Value>(line)
            .ok()
            .and_then(|value| value.get("id")?.as_u64());
        refuse(id.unwrap_or(0), format!("not a request: {error}"))
    })
}

fn to_line(reply: &Reply) -> Vec<u8> {
    let mut line = serde_json::to_vec(reply).unwrap_or_else(|error| {
        format!(r#"{{"id":{},"result":{{"Err":"{error}"}}}}"#, reply.id).into_bytes()
    });
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    fn refusal(line: &Line) -> (u64, String) {
        let reply = read(line).unwrap_err();
        (reply.id, reply.result.unwrap_err())
    }

    #[test]
    fn a_request_is_read() {
        let request = read(&whole(r#"{"id":7,"op":{"do":"hello"}}"#)).unwrap();
        assert_eq!(request.id, 7);
        assert!(matches!(request.op, Op::Hello));
    }

    #[test]
    fn a_bad_request_keeps_its_id() {
        for op in [
            r#"{"do":"dance"}"#,
            r#"{"do":"listen"}"#,
            r#"{"do":"listen","port":70000}"#,
            r#"{"do":"listen","port":7,"extra":1}"#,
            "17",
        ] {
            let (id, why) = refusal(&whole(&format!(r#"{{"id":9,"op":{op}}}"#)));
            assert_eq!(id, 9, "{op}");
            assert!(why.starts_with("not a request: "), "{why}");
        }
    }

    #[test]
    fn what_has_no_id_is_answered_with_zero() {
        for text in ["", "{", "null", "\u{0}", r#"{"id":-1}"#, r#"{"id":"1"}"#] {
            assert_eq!(refusal(&whole(text)).0, 0, "{text}");
        }
        assert_eq!(refusal(&Line::Whole(vec![0xff, 0xfe])).0, 0);
        let (id, why) = refusal(&Line::TooLong);
        assert_eq!(id, 0);
        assert!(why.contains("4194304"), "{why}");
    }

    #[test]
    fn a_deep_document_does_not_overflow_the_stack() {
        let deep = "[".repeat(1 << 20);
        assert_eq!(refusal(&whole(&deep)).0, 0);
    }

    #[test]
    fn a_reply_is_one_line() {
        let reply = Reply {
            id: 3,
            result: Err("two\nlines".into()),
        };
        let line = to_line(&reply);
        assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
        let back: Reply = serde_json::from_slice(&line).unwrap();
        assert_eq!(back.result, reply.result);
    }
}
