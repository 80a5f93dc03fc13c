//! Errands for lanfence: set-up of the host, the guest image, and the commands
//! that need both. It never links libvirt, so it compiles on a bare machine.

mod apt;
mod cache;
mod distro;
mod elf;
mod failure;
mod guest_packages;
mod host;
mod image;
mod needs;
mod packages;
mod privilege;
mod run;
mod services;
mod setup;
mod shipped_filters;
mod sources;
mod tool;

use anyhow::Result;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::process::ExitCode;

use failure::Usage;

/// What every verb may ask about how it was called.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// Neither a package manager nor a download may be used.
    pub offline: bool,
}

/// One errand.
struct Verb {
    name: &'static str,
    summary: &'static str,
    /// Whether its options are those of the command that it starts.
    hands_on: bool,
    run: fn(Context, Vec<OsString>) -> Result<()>,
}

/// All errands, in the order in which a newcomer needs them.
const VERBS: &[Verb] = &[
    Verb {
        name: "setup",
        summary: "find what is missing on this machine, say it, install it",
        hands_on: false,
        run: setup::setup_verb,
    },
    Verb {
        name: "doctor",
        summary: "only say what is there and what is missing",
        hands_on: false,
        run: setup::doctor_verb,
    },
    Verb {
        name: "image",
        summary: "build the guest image and print its directory [--update-kernel]",
        hands_on: false,
        run: image::verb,
    },
    Verb {
        name: "filters",
        summary: "setup, then print the directory of the filters that libvirt ships",
        hands_on: false,
        run: setup::filters_verb,
    },
    Verb {
        name: "verify",
        summary: "setup, image, then `lanfence verify` with the arguments given",
        hands_on: true,
        run: run::verify,
    },
    Verb {
        name: "matrix",
        summary: "setup, image, then `lanfence matrix`: the cells as jobs for a CI system",
        hands_on: true,
        run: run::matrix,
    },
    Verb {
        name: "test",
        summary: "setup, image, then `cargo test --workspace` with the arguments given",
        hands_on: true,
        run: run::test,
    },
    Verb {
        name: "bench",
        summary: "setup, image, then `lanfence bench`, built with optimisation",
        hands_on: true,
        run: run::bench,
    },
];

fn main() -> ExitCode {
    match dispatch(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

/// Runs the verb that the arguments name.
fn dispatch(arguments: Vec<OsString>) -> Result<()> {
    let (context, mut arguments) = take_offline(arguments);
    if arguments.is_empty() {
        print!("{}", usage());
        return Ok(());
    }
    let name = arguments.remove(0);
    if name == "help" || asks_for_help(&name) {
        print!("{}", usage());
        return Ok(());
    }
    let verb = VERBS.iter().find(|verb| name == verb.name).ok_or_else(|| {
        Usage(format!(
            "unknown verb `{}`\n\n{}",
            name.to_string_lossy(),
            usage().trim_end()
        ))
    })?;
    if !verb.hands_on && arguments.iter().any(|it| asks_for_help(it)) {
        print!("{}", usage());
        return Ok(());
    }
    (verb.run)(context, arguments)
}

fn asks_for_help(argument: &OsStr) -> bool {
    argument == "-h" || argument == "--help"
}

/// Takes `--offline` out of the arguments, wherever it stands before a `--`:
/// what follows a `--` belongs to somebody else.
fn take_offline(arguments: Vec<OsString>) -> (Context, Vec<OsString>) {
    let mut ours = true;
    let mut offline = false;
    let mut rest = Vec::with_capacity(arguments.len());
    for argument in arguments {
        ours &= argument != "--";
        if ours && argument == "--offline" {
            offline = true;
        } else {
            rest.push(argument);
        }
    }
    (Context { offline }, rest)
}

/// The list of verbs.
fn usage() -> String {
    let mut text = String::from("usage: cargo xtask VERB [ARGUMENTS]\n\nverbs:\n");
    for verb in VERBS {
        let _ = writeln!(text, "  {:<8} {}", verb.name, verb.summary);
    }
    text.push_str(
        "\noptions:\n  --offline  never call a package manager and never download; say what is missing\n\
         \nenvironment:\n  LANFENCE_CACHE  where packages and images are kept (default: $XDG_CACHE_HOME/lanfence\n\
         \x20                 or ~/.cache/lanfence)\n  LANFENCE_GUEST  set for the commands that xtask starts: the directory of the guest\n\
         \x20                 image (vmlinux, initramfs.cpio, manifest.json)\n\
         \x20 LANFENCE_SHIPPED_FILTERS  set too: the directory of libvirt's own filters\n\
         \nexit codes: 0 done, 1 failed, 2 usage, 3 this machine lacks something; otherwise\n\
         the code of the command that was started\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[rstest]
    #[case::first("--offline verify --nic pcnet", true, "verify --nic pcnet")]
    #[case::last("verify --nic pcnet --offline", true, "verify --nic pcnet")]
    #[case::absent("verify --nic pcnet", false, "verify --nic pcnet")]
    #[case::not_ours("test -- --offline", false, "test -- --offline")]
    fn offline_is_taken_from_anywhere(
        #[case] given: &str,
        #[case] offline: bool,
        #[case] rest: &str,
    ) {
        let (context, arguments) = take_offline(words(given));
        assert_eq!(context.offline, offline);
        assert_eq!(arguments, words(rest));
    }

    #[test]
    fn an_unknown_verb_is_a_usage_error_that_lists_the_verbs() {
        let error = dispatch(words("frobnicate")).expect_err("no such verb");
        assert_eq!(failure::exit_code(&error), failure::USAGE);
        let text = error.to_string();
        for verb in VERBS {
            assert!(text.contains(verb.name), "{text}");
        }
    }

    #[rstest]
    #[case::alone("--help")]
    #[case::of_setup("setup --help")]
    #[case::of_doctor("doctor -h")]
    #[case::of_image("image --update-kernel --help")]
    #[case::of_filters("filters --help")]
    fn help_does_nothing_else(#[case] given: &str) {
        dispatch(words(given)).expect("the list of verbs");
    }
}
