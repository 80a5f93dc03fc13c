//! What the hidden verbs share that work inside of a lab's namespaces.

use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::lab::{EnterOptions, Shortcuts, enter};
use crate::verdict::Exit;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

/// A runtime of so many threads, made in the namespaces that its threads are to be in.
pub fn runtime(threads: usize) -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(Failure::host)
}

/// Reads a JSON document from standard input, enters namespaces that end with the process
/// `parent`, and prints as JSON what is answered there.
pub fn answer<Asked: DeserializeOwned, Answer: Serialize>(
    parent: u32,
    answer: impl AsyncFnOnce(&Asked) -> Result<Answer, Failure>,
) -> Result<ExitCode, Failure> {
    let asked: Asked = serde_json::from_reader(std::io::stdin().lock()).map_err(Failure::usage)?;
    enter(EnterOptions {
        images: &[],
        kvm: false,
        libvirt_cache: None,
        emulators: &[],
        shortcuts: Shortcuts::all(),
        parent,
    })
    .map_err(Failure::host)?;
    let answer = runtime(1)?.block_on(answer(&asked))?;
    let text = serde_json::to_string(&answer).map_err(Failure::usage)?;
    say(&text)?;
    Ok(Exit::Pass.into())
}
