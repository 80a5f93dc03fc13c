//! A process that somebody else has started.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

/// Longest wait for the end of a process that has been killed. Its memory is freed
/// before, some milliseconds here.
const END_MS: u16 = 5000;

/// A process by a descriptor of the kernel's, which never comes to mean another one.
#[derive(Debug)]
pub struct Process {
    descriptor: OwnedFd,
    number: u32,
}

impl Process {
    /// The process whose number is in the file; none where there is no such process.
    pub fn of_pid_file(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let number: u32 = text.trim().parse().ok()?;
        let pid = Pid::from_raw(number.try_into().ok()?)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Self { descriptor, number })
    }

    /// Whether it has ended or is about to. A process that ends gives its memory back first, and
    /// its program with it, then its files, by which others notice (`do_exit` in Linux's
    /// kernel/exit.c).
    pub fn is_ending(&self) -> bool {
        let program = std::fs::read_link(format!("/proc/{}/exe", self.number));
        let gone = program.is_err_and(|error| error.kind() == ErrorKind::NotFound);
        // While it is there, its number is nobody else's.
        gone || self.has_ended(PollTimeout::ZERO)
    }

    /// Kills it and waits for nothing.
    pub fn kill(&self) {
        // It may have ended by itself.
        let _ = pidfd_send_signal(&self.descriptor, Signal::KILL);
    }

    /// Kills it and waits until it has ended, with its files and devices; whether it has.
    pub fn end(&self) -> bool {
        self.kill();
        self.has_ended(PollTimeout::from(END_MS))
    }

    /// Whether it has ended when this time is over.
    fn has_ended(&self, longest: PollTimeout) -> bool {
        let mut ended = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        poll(&mut ended, longest).is_ok_and(|count| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_found_by_its_file_and_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        std::fs::write(&path, format!("{}\n", child.id())).unwrap();
        let process = Process::of_pid_file(&path).expect("it runs");
        assert!(!process.is_ending());
        assert!(process.end());
        assert!(process.is_ending());
        assert!(!child.wait().unwrap().success());
        // Ending it again does no harm, and nobody has that number now.
        assert!(process.end());
        assert!(Process::of_pid_file(&path).is_none());
    }

    #[test]
    fn no_file_and_no_number_are_no_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        assert!(Process::of_pid_file(&path).is_none());
        for text in ["", "0", "-1", "x"] {
            std::fs::write(&path, text).unwrap();
            assert!(Process::of_pid_file(&path).is_none(), "{text}");
        }
    }
}
