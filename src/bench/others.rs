//! Other programs that boot the same kernel to run a command, where they are installed.
//!
//! Both expect a kernel made for them. Debian's has 9p and virtio-console as modules:
//! virtme-ng 1.x finds them only under /lib/modules, runs the command then after some
//! 12 s and cannot hand out its exit status without virtio-console; vmtest 0.18 finds
//! no root (measured: docs/measurements.md#M29). A run that does not say that it has succeeded
//! gives no figure.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for one of them: they take 15 s here, and one of them gives up
/// by itself after 90 s where KVM only seems to work (measured: docs/measurements.md#M29).
const DEADLINE: Duration = Duration::from_secs(120);

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// A program, and how it runs `true` in a guest with this kernel under emulation.
pub struct Other {
    /// What its row is called.
    pub name: &'static str,
    program: &'static str,
    arguments: fn(&Path) -> Vec<String>,
}

/// All that are known.
pub const OTHERS: [Other; 2] = [
    Other {
        name: "virtme-ng, to the end of `true`",
        program: "vng",
        arguments: |kernel| {
            let kernel = kernel.display().to_string();
            let words = [
                "--disable-kvm",
                "--run",
                &kernel,
                "--memory",
                "256M",
                "--",
                "true",
            ];
            words.map(str::to_owned).to_vec()
        },
    },
    Other {
        name: "vmtest, to the end of `true`",
        program: "vmtest",
        arguments: |kernel| {
            vec![
                "--kernel".to_owned(),
                kernel.display().to_string(),
                "true".to_owned(),
            ]
        },
    },
];

impl Other {
    /// Milliseconds of a run; none where the program is not installed.
    ///
    /// # Errors
    /// When the guest did not run the command, with the end of what was said.
    pub fn measure(&self, kernel: &Path) -> Option<Result<u64, String>> {
        let started = Instant::now();
        let mut command = Command::new(self.program);
        command.args((self.arguments)(kernel)).stdin(Stdio::null());
        let mut child = match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(format!("{}: {error}", self.program))),
        };
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => {
                    return Some(Ok(
                        u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
                    ));
                }
                Ok(Some(status)) => {
                    return Some(Err(format!("{} ended with {status}", self.program)));
                }
                Ok(None) if started.elapsed() < DEADLINE => std::thread::sleep(LOOK),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let seconds = DEADLINE.as_secs();
                    return Some(Err(format!(
                        "{} took longer than {seconds} s",
                        self.program
                    )));
                }
            }
        }
    }
}
