//! Why libvirt binds a quarter faster here: its children's netlink sockets outlive them.
//!
//! libvirt runs a process for each rule, and one that has changed rules ends only when
//! the kernel has disposed of what they replaced: closing its netlink socket waits for
//! an RCU grace period (`nft_rcv_nl_event` in the kernel's `nf_tables_api.c`), 8 to
//! 12 ms in which nothing happens (measured: docs/measurements.md#M14). The rules are in force
//! before that. So the lab opens these sockets for libvirtd's children, hands them over, and keeps
//! a descriptor of each until nothing has been bound for a moment. The children are the real ones,
//! and all that they do happens in the same order. A rule with an xtables match still waits for
//! the disposal of the one before it (`nft_compat.c`), by then half over: a binding takes 0.6 s
//! instead of 0.85 s (measured: docs/measurements.md#M14).
//!
//! It takes a seccomp filter that asks the lab at `socket(AF_NETLINK, …,
//! NETLINK_NETFILTER)` (`seccomp_unotify(2)`, Linux 5.14). Where that cannot be had,
//! everything works all the same, and libvirt waits.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, socketpair,
};
use std::io::IoSliceMut;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

/// Time without a new socket after which the kept ones are closed, in milliseconds.
/// Closing waits under the lock that every change of rules takes.
const QUIET: u16 = 300;

/// So many sockets are kept at most, well below the usual limit of 1024 descriptors.
const MOST: usize = 300;

/// How a stop of the filter is told from other machines' system call numbers.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

/// Instructions of the filter.
const LENGTH: usize = 10;

nix::ioctl_readwrite!(receive, b'!', 0, libc::seccomp_notif);
nix::ioctl_readwrite!(answer, b'!', 1, libc::seccomp_notif_resp);
nix::ioctl_write_ptr!(hand_over, b'!', 3, libc::seccomp_notif_addfd);

/// The filter, to be set in a child between fork and exec.
pub struct SocketKeeper {
    /// Where the child says which descriptor listens.
    ours: OwnedFd,
}

impl SocketKeeper {
    /// Has the command begin with the filter.
    pub fn prepare(command: &mut Command) -> nix::Result<Self> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::Datagram,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        let filter = filter();
        // SAFETY: between fork and exec the closure makes system calls only; it
        // allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(move || {
                // Without the filter the program does what it would have done. With
                // it and nobody who answers, it could not open such sockets at all.
                match set(&filter) {
                    Some(listener) => send(theirs.as_raw_fd(), listener),
                    None => Ok(()),
                }
            });
        }
        Ok(Self { ours })
    }

    /// Serves the child once it has been started, until it and all of its children
    /// have ended. Does nothing where the filter could not be set.
    pub fn serve(self) {
        let Some(listener) = self.listener() else {
            return;
        };
        std::thread::spawn(move || {
            let mut keeper = Keeper {
                listener,
                home: std::fs::read_link("/proc/thread-self/ns/net").ok(),
                kept: Vec::new(),
            };
            while keeper.turn() {}
        });
    }

    /// What the child has sent. It has done so by the time that it runs its program.
    fn listener(&self) -> Option<OwnedFd> {
        let mut byte = [0];
        let mut into = [IoSliceMut::new(&mut byte)];
        let mut space = nix::cmsg_space!(RawFd);
        let fd = self.ours.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<()>(fd, &mut into, Some(&mut space), flags).ok()?;
        let fd = message.cmsgs().ok()?.find_map(|one| match one {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        })?;
        // SAFETY: the kernel has just made this descriptor for us alone.
        Some(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

/// Opens sockets for others and keeps them.
struct Keeper {
    listener: OwnedFd,
    /// The network namespace that the sockets are for; where it cannot be told,
    /// everybody opens their own.
    home: Option<PathBuf>,
    kept: Vec<OwnedFd>,
}

impl Keeper {
    /// Waits for what comes next; false when nobody is left who could ask.
    fn turn(&mut self) -> bool {
        let timeout = if self.kept.is_empty() {
            PollTimeout::NONE
        } else {
            PollTimeout::from(QUIET)
        };
        let mut polled = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(0) => self.kept.clear(),
            Ok(_) => {
                let events = polled[0].revents().unwrap_or(PollFlags::empty());
                if !events.contains(PollFlags::POLLIN) {
                    return false;
                }
                self.serve_one();
            }
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
        }
        true
    }

    /// Answers a request. Where anything is in the way, the kernel goes on as if
    /// nobody had been asked.
    fn serve_one(&mut self) {
        // SAFETY: all of its fields are numbers.
        let mut request: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills in a structure of this type and size.
        if unsafe { receive(self.listener.as_raw_fd(), &raw mut request) }.is_err() {
            return; // Whoever asked has died meanwhile.
        }
        if self.kept.len() >= MOST {
            self.kept.clear();
        }
        match self.open_for(&request) {
            Some(socket) => self.kept.push(socket),
            None => self.let_go_on(&request),
        }
    }

    /// Opens what is asked for and puts it into the asker's table.
    fn open_for(&self, request: &libc::seccomp_notif) -> Option<OwnedFd> {
        let theirs = std::fs::read_link(format!("/proc/{}/ns/net", request.pid)).ok()?;
        if self.home.as_ref() != Some(&theirs) {
            return None;
        }
        let [family, kind, protocol, ..] = request.data.args.map(|word| {
            let low = u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
            low.cast_signed()
        });
        // SAFETY: a system call without pointers; its result is checked.
        let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
        if fd < 0 {
            return None;
        }
        // SAFETY: the kernel has just made this descriptor for us alone.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let order = libc::seccomp_notif_addfd {
            id: request.id,
            flags: u32::try_from(libc::SECCOMP_ADDFD_FLAG_SEND).ok()?,
            srcfd: u32::try_from(fd).ok()?,
            newfd: 0,
            newfd_flags: (kind & libc::SOCK_CLOEXEC).cast_unsigned(),
        };
        // SAFETY: the kernel reads a structure of this type and size.
        let handed = unsafe { hand_over(self.listener.as_raw_fd(), &raw const order) };
        handed.is_ok().then_some(socket)
    }

    fn let_go_on(&self, request: &libc::seccomp_notif) {
        let mut reply = libc::seccomp_notif_resp {
            id: request.id,
            val: 0,
            error: 0,
            flags: u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(0),
        };
        // SAFETY: the kernel reads a structure of this type and size. It fails only
        // when the asker has died.
        let _ = unsafe { answer(self.listener.as_raw_fd(), &raw mut reply) };
    }
}

/// Asks at `socket(AF_NETLINK, …, NETLINK_NETFILTER)`, allows everything else.
fn filter() -> [libc::sock_filter; LENGTH] {
    let load = |offset: usize| libc::sock_filter {
        code: 0x20, // BPF_LD | BPF_W | BPF_ABS
        jt: 0,
        jf: 0,
        k: u32::try_from(offset).unwrap_or(0),
    };
    let unless = |value: i64, skip: u8| libc::sock_filter {
        code: 0x15, // BPF_JMP | BPF_JEQ | BPF_K
        jt: 0,
        jf: skip,
        k: u32::try_from(value).unwrap_or(0),
    };
    let end = |k: u32| libc::sock_filter {
        code: 0x06, // BPF_RET | BPF_K
        jt: 0,
        jf: 0,
        k,
    };
    // The low half of an argument, which is where a little-endian machine has it first.
    let argument = |number: usize| std::mem::offset_of!(libc::seccomp_data, args) + 8 * number;
    [
        load(std::mem::offset_of!(libc::seccomp_data, arch)),
        unless(i64::from(ARCH), 7),
        load(std::mem::offset_of!(libc::seccomp_data, nr)),
        unless(libc::SYS_socket, 5),
        load(argument(0)),
        unless(i64::from(libc::AF_NETLINK), 3),
        load(argument(2)),
        unless(i64::from(libc::NETLINK_NETFILTER), 1),
        end(libc::SECCOMP_RET_USER_NOTIF),
        end(libc::SECCOMP_RET_ALLOW),
    ]
}

/// Sets the filter in the calling thread; the descriptor that listens.
fn set(filter: &[libc::sock_filter; LENGTH]) -> Option<RawFd> {
    let program = libc::sock_fprog {
        len: u16::try_from(LENGTH).ok()?,
        filter: filter.as_ptr().cast_mut(),
    };
    // Not to be slowed down for fear of side channels, as Linux before 5.16 would.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the program is valid for the time of the call, and only read.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    RawFd::try_from(fd).ok().filter(|fd| *fd >= 0)
}

/// Sends a descriptor without allocating, since it is sent from a forked child.
fn send(socket: RawFd, fd: RawFd) -> std::io::Result<()> {
    #[repr(C, align(8))]
    struct Control([u8; 64]);
    let mut control = Control([0; 64]);
    let mut byte = 0_u8;
    let mut data = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // SAFETY: all pointers are to locals that outlive the calls; the control buffer is
    // aligned, and larger than a header with one descriptor (24 bytes).
    unsafe {
        let size = u32::try_from(size_of::<RawFd>()).unwrap_or(4);
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut data;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(size) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(fd);
        match libc::sendmsg(socket, &raw const message, 0) {
            1 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root may set the filter, an ordinary user outside of a user namespace may not;
    /// the program runs in both cases, and opens sockets as it would.
    #[test]
    fn a_program_runs_with_the_filter_or_without_it() {
        let mut command = Command::new("cat");
        command.args(["/proc/self/status", "/proc/self/net/netlink"]);
        let keeper = SocketKeeper::prepare(&mut command).unwrap();
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let filtered = said.lines().any(|line| line == "Seccomp:\t2");
        assert!(output.status.success(), "{said}");
        if keeper.listener().is_some() {
            assert!(filtered, "{said}");
        }
    }

    #[test]
    fn every_jump_of_the_filter_ends_at_its_last_instruction() {
        let filter = filter();
        for (at, one) in filter
            .iter()
            .enumerate()
            .filter(|(_, one)| one.code == 0x15)
        {
            assert_eq!(at + 1 + usize::from(one.jf), LENGTH - 1, "instruction {at}");
        }
        assert_eq!(filter[LENGTH - 1].k, libc::SECCOMP_RET_ALLOW);
        assert_eq!(filter[LENGTH - 2].k, libc::SECCOMP_RET_USER_NOTIF);
    }
}
