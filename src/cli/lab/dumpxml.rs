//! `lanfence __dumpxml`: what the real libvirt makes of filters, for the tests
//! that hold reader and writer against it.

use super::inside;
use crate::cli::failure::Failure;
use crate::lab::filters_only;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::process::ExitCode;

/// Options of the hidden verb.
#[derive(Debug, Args)]
pub struct Options {
    /// Process id of the program that started this.
    parent: u32,
}

/// A filter to define.
#[derive(Debug, Deserialize)]
struct Given {
    /// Its name.
    name: String,
    /// Its XML.
    xml: String,
}

/// What libvirt answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// The filter as it prints it.
    Dumped(String),
    /// Why it refused the filter.
    Refused(String),
}

/// Reads a JSON list of filters from standard input, defines each in a private
/// libvirtd, and prints the list of its answers. Each is undefined again, so
/// that one does not change what becomes of the next.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    inside::answer(options.parent, async |given: &Vec<Given>| {
        answers(given).await
    })
}

async fn answers(given: &[Given]) -> Result<Vec<Answer>, Failure> {
    let libvirt = filters_only().await.map_err(Failure::host)?;
    let mut answers = Vec::new();
    for filter in given {
        answers.push(match libvirt.define_filter(&filter.name, &filter.xml) {
            Ok(dumped) => {
                libvirt
                    .undefine_filter(&filter.name)
                    .map_err(Failure::host)?;
                Answer::Dumped(dumped)
            }
            Err(error) if libvirt.alive() => Answer::Refused(error.to_string()),
            // What it says after its death is no answer.
            Err(error) => return Err(Failure::host(error)),
        });
    }
    Ok(answers)
}
