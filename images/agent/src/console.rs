//! The serial console: the READY line, the FATAL line, and the end.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use lanfence_agent::{FATAL, READY};
use nix::sys::reboot::{RebootMode, reboot};

/// Prints `LANFENCE READY <nonce> <uptime ms>`.
pub fn ready(nonce: &str, uptime_ms: u64) {
    line(&format!("{READY} {nonce} {uptime_ms}"));
}

/// Prints a remark for whoever reads the serial log; nobody acts on it.
pub fn note(text: &str) {
    line(&format!("lanfence-agent: {text}"));
}

/// Prints `LANFENCE FATAL <why>` and powers the guest off.
pub fn fatal(why: &str) -> ! {
    line(&format!("{FATAL} {why}"));
    power_off()
}

/// Powers the machine off at once. Nothing in the guest is worth syncing.
pub fn power_off() -> ! {
    let Err(errno) = reboot(RebootMode::RB_POWER_OFF);
    line(&format!("{FATAL} cannot power off: {errno}"));
    // The end of PID 1 is a kernel panic, which `panic=-1` turns into a reset.
    std::process::exit(1)
}

/// Milliseconds since the kernel started.
pub fn uptime_ms() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid timespec that the call fills in.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    let ms = now.tv_sec * 1000 + now.tv_nsec / 1_000_000;
    u64::try_from(ms).unwrap_or(0)
}

/// Writes one line with one call. The kernel writes to the same serial port and
/// would cut into the line (seen with driver messages), so it is kept silent
/// until the last byte has left; only a panic still gets through.
fn line(text: &str) {
    let one_line = text.replace(['\n', '\r'], " ") + "\n";
    let Ok(mut console) = OpenOptions::new().write(true).open("/dev/console") else {
        return;
    };
    kernel_messages(false);
    // A console that takes no text leaves nowhere to say so.
    let _ = console.write_all(one_line.as_bytes());
    // SAFETY: the descriptor is open for the whole call.
    unsafe { libc::tcdrain(console.as_raw_fd()) };
    kernel_messages(true);
}

fn kernel_messages(on: bool) {
    // From syslog(2): SYSLOG_ACTION_CONSOLE_OFF and _ON; ON restores the level that OFF saved.
    let action = if on { 7 } else { 6 };
    // SAFETY: these two actions read neither buffer nor length.
    unsafe { libc::klogctl(action, std::ptr::null_mut(), 0) };
}
