//! Prepares a machine for lanfence, builds the guest image, and starts the
//! commands that need both. It never links libvirt, so it compiles on a bare machine.

mod apt;
mod browser;
mod cache;
mod distro;
mod elf;
mod failure;
mod guest_packages;
mod hosts;
mod image;
mod needs;
mod options;
mod package;
mod packages;
mod privilege;
mod run;
mod services;
mod setup;
mod shipped_filters;
mod sources;
mod tasks;
mod tool;
mod wishes;

use anyhow::Result;
use options::Options;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

fn main() -> ExitCode {
    match dispatch(std::env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<failure::CommandFailed>() {
                eprintln!("error: {error:#}");
            }
            ExitCode::from(failure::exit_code(&error))
        }
    }
}

/// Runs the task that the arguments name.
fn dispatch(arguments: Vec<OsString>) -> Result<()> {
    let (options, mut arguments) = Options::take_from(arguments);
    if arguments.is_empty() {
        print!("{}", tasks::summary());
        return Ok(());
    }
    let name = arguments.remove(0);
    if name == "help" {
        let text = match arguments.first() {
            Some(task) => tasks::find(task)?.manual(),
            None => tasks::manual(),
        };
        print!("{text}");
        return Ok(());
    }
    if let Some(form) = Form::asked_for(&name) {
        print!("{}", form.of(tasks::summary, tasks::manual));
        return Ok(());
    }
    let task = tasks::find(&name)?;
    // What follows a `--` belongs to the command that the task starts.
    let ours = arguments.iter().take_while(|it| *it != "--");
    let form = ours.into_iter().find_map(|it| Form::asked_for(it));
    if let Some(form) = form.filter(|_| !task.passthrough) {
        print!("{}", form.of(|| task.summary(), || task.manual()));
        return Ok(());
    }
    (task.run)(options, arguments)
}

/// How much help is wanted.
#[derive(Debug, Clone, Copy)]
enum Form {
    Short,
    Long,
}

impl Form {
    fn asked_for(argument: &OsStr) -> Option<Form> {
        match argument.to_str()? {
            "-h" => Some(Form::Short),
            "--help" => Some(Form::Long),
            _ => None,
        }
    }

    fn of(self, short: impl Fn() -> String, long: impl Fn() -> String) -> String {
        match self {
            Form::Short => short(),
            Form::Long => long(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use tasks::TASKS;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[rstest]
    #[case::of_nothing("frobnicate")]
    #[case::of_help("help frobnicate")]
    fn an_unknown_task_is_a_usage_error_that_lists_the_tasks(#[case] given: &str) {
        let error = dispatch(words(given)).expect_err("no such task");
        assert_eq!(failure::exit_code(&error), failure::USAGE);
        let text = error.to_string();
        for task in TASKS {
            assert!(text.contains(task.name), "{text}");
        }
    }

    #[rstest]
    #[case::alone("--help")]
    #[case::alone_and_short("-h")]
    #[case::of_setup("setup --help")]
    #[case::of_image("image --update-kernel --help")]
    #[case::of_filters("filters --help")]
    #[case::of_a_passthrough("help verify")]
    fn help_does_nothing_else(#[case] given: &str) {
        dispatch(words(given)).expect("a help text");
    }
}
