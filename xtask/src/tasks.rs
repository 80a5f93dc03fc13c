//! The table of tasks and the help text that is made from it.

use crate::failure::UnknownTask;
use crate::hosts;
use crate::image;
use crate::options::Options;
use crate::package;
use crate::run;
use crate::setup;
use anyhow::Result;
use std::ffi::OsString;
use std::fmt::Write as _;

/// One task: what `cargo xtask NAME` does.
pub struct Task {
    /// The word on the command line.
    pub name: &'static str,
    /// The task's own arguments, as in a synopsis.
    arguments: &'static str,
    /// One line.
    summary: &'static str,
    /// A paragraph: what the task does besides, what it changes, what it prints.
    details: &'static str,
    /// Whether its arguments, `--help` among them, are those of the command that it starts.
    pub passthrough: bool,
    /// Runs it with the arguments that follow its name.
    pub run: fn(Options, Vec<OsString>) -> Result<()>,
}

/// All tasks, in the order in which a newcomer needs them.
pub const TASKS: &[Task] = &[
    Task {
        name: "setup",
        arguments: "",
        summary: "Install what this machine lacks",
        details: "Prints what is missing, then installs it with apt (as root or through sudo) and\n\
                  downloads the guests' kernel, busybox, iPXE, GRUB, U-Boot and EDK2 into the cache.\n\
                  Installs no kernel and leaves no service running. Prints nothing but the kernel's version if\n\
                  nothing is missing.",
        passthrough: false,
        run: setup::setup_task,
    },
    Task {
        name: "doctor",
        arguments: "[ARGUMENTS OF lanfence doctor]",
        summary: "Print what this machine has and lacks; change nothing",
        details: "Lists each program, library and download that lanfence needs and where it was\n\
                  found. Where nothing is missing it runs `lanfence doctor`, which tries what the\n\
                  lab needs of the kernel and prints a cure for what fails. Exits with 3 if the\n\
                  lab cannot run here.",
        passthrough: true,
        run: run::doctor,
    },
    Task {
        name: "image",
        arguments: "[--update-kernel]",
        summary: "Build the guest image and print its directory",
        details: "Runs `setup` first. The image is kept in the cache and built again only when\n\
                  something that goes into it has changed. --update-kernel downloads the newest\n\
                  kernel of the distribution first.",
        passthrough: false,
        run: image::task,
    },
    Task {
        name: "filters",
        arguments: "",
        summary: "Print the directory of the filters that libvirt ships",
        details: "Runs `setup` first. The filters are those of the machine, or else copies in the\n\
                  cache.",
        passthrough: false,
        run: setup::filters_task,
    },
    Task {
        name: "verify",
        arguments: "[ARGUMENTS OF lanfence verify]",
        summary: "Run `lanfence verify`: prove a filter with real guests",
        details: "Runs `setup` and `image` first. All other arguments go to `lanfence verify`;\n\
                  `cargo xtask verify --help` prints its options. With --matrix full, or a --cell\n\
                  that matches uboot/pcnet, it also installs qemu-system-mips if it can.",
        passthrough: true,
        run: run::verify,
    },
    Task {
        name: "matrix",
        arguments: "[ARGUMENTS OF lanfence matrix]",
        summary: "Run `lanfence matrix`: print the cells as jobs for a CI system",
        details: "Runs `setup` and `image` first. All other arguments go to `lanfence matrix`.",
        passthrough: true,
        run: run::matrix,
    },
    Task {
        name: "test",
        arguments: "[ARGUMENTS OF cargo test]",
        summary: "Run all tests, those that boot guests included",
        details: "Runs `setup` and `image` first, then `cargo test --workspace`. All other\n\
                  arguments go to `cargo test`. Without arguments it also makes the host\n\
                  debian-13, which a test boots.",
        passthrough: true,
        run: run::test,
    },
    Task {
        name: "hosts",
        arguments: "VERB [ARGUMENTS]",
        summary: "Run lanfence in throwaway hosts: other kernels, libvirts and QEMUs, with KVM",
        details: "  list                          the hosts, what is in them, what of them is made\n  \
                  build NAME [--fresh]          make a host's disk, boot it once and save it\n  \
                  run NAME [--user U] [--program P] -- ...\n                                \
                  run a command of lanfence in it; its output, exit\n                                \
                  code and files come back\n  \
                  shell NAME                    a terminal in it\n  \
                  test [--scenario S]... NAME...\n                                \
                  the whole product in these hosts, or in --all;\n                                \
                  --json FILE writes the table, --baseline FILE [--strict]\n                                \
                  tells only what changed (docs/baselines.md)\n  \
                  compare A B -- ...            run a command in two hosts, print what differs\n  \
                  bench [--rounds N] NAME       how long a boot and a restoration take\n\n\
                  Hosts are described in images/hosts/*.toml; NAME may be the path of a manifest\n\
                  of your own. The first run of a host downloads its packages (some minutes);\n\
                  later runs restore it in seconds. Where KVM does not nest, a host is emulated,\n\
                  with a KVM inside. It has no network. The current directory is mounted in it\n\
                  at the same path. docs/throwaway-hosts.md says more.",
        passthrough: false,
        run: hosts::task,
    },
    Task {
        name: "bench",
        arguments: "[ARGUMENTS OF lanfence bench]",
        summary: "Run `lanfence bench`, built with optimisation",
        details: "Runs `setup` and `image` first. All other arguments go to `lanfence bench`.",
        passthrough: true,
        run: run::bench,
    },
    Task {
        name: "package",
        arguments: "",
        summary: "Make the Debian package and hold it against lintian",
        details: "Builds lanfence with optimisation, makes manual pages and completions, and prints\n\
                  the path of the package. Installs cargo-deb into the cache and lintian with apt\n\
                  if they are missing. The package is for the release that it is built on.",
        passthrough: false,
        run: package::task,
    },
];

const OPTIONS: &str = "\
Options:
      --offline  Neither install nor download anything; fail with a list of what is missing
  -h, --help     Print help (the long form with --help, a summary with -h)
";

const ENVIRONMENT: &str = "\
Environment:
  LANFENCE_CACHE            Directory for packages and images
                            [default: $XDG_CACHE_HOME/lanfence or ~/.cache/lanfence]
  LANFENCE_GUEST            Set by xtask for the commands that it starts: the directory of the
                            guest image (vmlinux, initramfs.cpio, manifest.json)
  LANFENCE_SHIPPED_FILTERS  Set by xtask as well: the directory of the filters that libvirt ships
  LANFENCE_DEBIAN_MIRROR    Mirror for the packages of Debian hosts
                            [default: http://deb.debian.org/debian]
  LANFENCE_UBUNTU_MIRROR    Mirror for the packages of Ubuntu hosts; without it there are none
  LANFENCE_PROGRAMS         Directory with lanfence, to be run in hosts instead of a build
";

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong arguments
  3  this machine lacks something that lanfence needs
  A task that starts another command exits with the code of that command.
";

/// The task of this name.
///
/// # Errors
///
/// [`UnknownTask`], which lists the tasks that there are.
pub fn find(name: &std::ffi::OsStr) -> Result<&'static Task> {
    let found = TASKS.iter().find(|task| name == task.name);
    Ok(found.ok_or_else(|| UnknownTask {
        name: name.to_string_lossy().into_owned(),
        help: summary(),
    })?)
}

/// The help of the whole program, short: tasks and options.
pub fn summary() -> String {
    let mut text = String::from(
        "Usage: cargo xtask [--offline] TASK [ARGUMENTS]\n       cargo xtask help TASK\n\nTasks:\n",
    );
    for task in TASKS {
        let _ = writeln!(text, "  {:<8} {}", task.name, task.summary);
    }
    let _ = write!(text, "\n{OPTIONS}");
    text
}

/// The help of the whole program, long.
pub fn manual() -> String {
    format!(
        "Prepares this machine for lanfence, builds the guest image, and starts lanfence with both.\n\
         xtask does not link libvirt, so it compiles on a machine that has nothing but Rust.\n\n\
         {}\n{ENVIRONMENT}\n{EXIT_CODES}",
        summary()
    )
}

impl Task {
    /// The help of this task, short.
    pub fn summary(&self) -> String {
        let usage = format!("cargo xtask {} [--offline] {}", self.name, self.arguments);
        format!(
            "{}\n\nUsage: {}\n\n{OPTIONS}",
            self.summary,
            usage.trim_end()
        )
    }

    /// The help of this task, long.
    pub fn manual(&self) -> String {
        let short = self.summary();
        let (summary, rest) = short.split_once('\n').unwrap_or((&short, ""));
        format!(
            "{summary}\n\n{}\n{rest}\n{ENVIRONMENT}\n{EXIT_CODES}",
            self.details
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_help_text_fits_a_terminal() {
        let texts = TASKS.iter().map(Task::manual).chain([manual(), summary()]);
        for text in texts {
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{line}");
            }
        }
    }

    #[test]
    fn the_long_form_says_more_than_the_short_one() {
        for task in TASKS {
            assert!(task.manual().contains(task.details));
            assert!(!task.summary().contains(task.details));
        }
    }
}
