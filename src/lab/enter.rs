//! Puts the calling process into namespaces of its own.
//!
//! [`enter`] splits the process in three. The caller becomes the *keeper*,
//! which stays outside the PID namespace, waits and passes the exit code on.
//! Its child is PID 1 of the new PID namespace: it makes the private mounts
//! and reaps orphans (libvirt daemonises QEMU). PID 1's child is the lab's main
//! process, and only there does `enter` return.
//!
//! Each asks for SIGKILL when its parent dies, and the kernel kills every
//! process of a PID namespace together with its PID 1. So whatever process
//! is killed, at whatever moment, nothing of the lab survives: the interfaces,
//! rules and mounts live in namespaces that nobody holds any more.

use super::error::LabError;
use super::forbidden::forbidden;
use super::options::EnterOptions;
use super::{idmap, mounts};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, getppid, setgroups, setresgid, setresuid};

/// Enters the lab's namespaces. Returns in the lab's main process only.
///
/// # Errors
/// [`LabError::Host`] where the host forbids namespaces, with the command that
/// cures it; [`LabError::System`] for any other refusal.
///
/// # Panics
/// Never on purpose; must be called while the process has one thread.
pub fn enter(options: EnterOptions<'_>) -> Result<(), LabError> {
    die_with_parent()?;
    if getppid().as_raw().cast_unsigned() != options.parent {
        // The parent died before the line above: nobody would ever end this lab.
        std::process::exit(70);
    }
    if !Uid::effective().is_root() {
        become_namespace_root()?;
        // A change of credentials clears the parent-death signal (prctl(2)).
        die_with_parent()?;
    }
    let flags = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    unshare(flags).map_err(|errno| {
        forbidden(
            errno,
            "the kernel does not let this user make mount, PID, network, IPC and UTS namespaces",
        )
    })?;
    // SAFETY: the process has one thread (this runs first thing in main), so
    // the child may go on with ordinary code after the fork.
    match unsafe { fork() }.map_err(|errno| LabError::system("fork the lab's init", errno))? {
        ForkResult::Parent { child } => keep(child),
        ForkResult::Child => init(options),
    }
}

/// Waits for PID 1 and ends the way it ended.
fn keep(init: Pid) -> ! {
    loop {
        match waitpid(init, None) {
            Ok(WaitStatus::Exited(_, code)) => std::process::exit(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => std::process::exit(128 + signal as i32),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => std::process::exit(70),
        }
    }
}

/// PID 1: makes the mounts, starts the main process, reaps until it ends.
fn init(options: EnterOptions<'_>) -> Result<(), LabError> {
    die_with_parent()?;
    mounts::make(&options)?;
    // SAFETY: as above, one thread.
    match unsafe { fork() }
        .map_err(|errno| LabError::system("fork the lab's main process", errno))?
    {
        ForkResult::Parent { child } => reap(child),
        ForkResult::Child => die_with_parent(),
    }
}

/// Reaps everything until the main process ends, then exits with its code,
/// which ends every other process of the namespace.
fn reap(main: Pid) -> ! {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => std::process::exit(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                std::process::exit(128 + signal as i32)
            }
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => std::process::exit(70),
        }
    }
}

fn die_with_parent() -> Result<(), LabError> {
    prctl::set_pdeathsig(Signal::SIGKILL)
        .map_err(|errno| LabError::system("ask to die with the parent", errno))
}

/// An ordinary user becomes root of a user namespace that maps a range of ids:
/// one id is not enough, since libvirt sets supplementary groups.
fn become_namespace_root() -> Result<(), LabError> {
    let mapper = idmap::Mapper::start()?;
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| {
        forbidden(
            errno,
            "the kernel does not let this user make a user namespace",
        )
    })?;
    mapper.map()?;
    let root = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(root.1, root.1, root.1).map_err(|errno| {
        forbidden(
            errno,
            "the kernel made a user namespace and does not let this user become group 0 of it",
        )
    })?;
    setresuid(root.0, root.0, root.0).map_err(|errno| {
        forbidden(
            errno,
            "the kernel made a user namespace and does not let this user become user 0 of it",
        )
    })?;
    setgroups(&[root.1]).map_err(|errno| {
        forbidden(
            errno,
            "the kernel made a user namespace and does not let this user drop groups in it",
        )
    })
}
