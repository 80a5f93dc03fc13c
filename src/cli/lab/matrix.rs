//! `lanfence matrix`: the cells as jobs of a CI system's own scheduler.

use super::guest_image::GuestImageOption;
use super::selection::Which;
use crate::cli::failure::Failure;
use crate::cli::output::say;
use crate::shell::quoted;
use crate::verdict::Exit;
use crate::verify::plan::Partition;
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::fmt::Write as _;
use std::process::ExitCode;

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line of JSON for `strategy.matrix` with `fromJSON`
    Github,
    /// A child pipeline, with a job that joins the reports
    Gitlab,
}

/// Options of `matrix`.
#[derive(Debug, Args)]
pub struct Options {
    /// CI system that reads the output
    #[arg(long, value_enum, help_heading = "Output")]
    format: Format,
    /// Split the cells into N jobs, instead of one job for each cell
    ///
    /// This needs neither QEMU nor a guest image on the machine that prints the jobs.
    #[arg(long, value_name = "N", help_heading = "Selection", value_parser = clap::value_parser!(u64).range(1..))]
    parts: Option<u64>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    guest: GuestImageOption,
}

/// A job.
#[derive(Debug, Serialize)]
struct Job {
    /// What the CI system shows.
    name: String,
    /// What follows `cargo xtask verify`, quoted for a shell.
    arguments: String,
}

impl Format {
    /// Most jobs of one matrix: GitHub's and GitLab's documented limits.
    fn most(self) -> usize {
        match self {
            Self::Github => 256,
            Self::Gitlab => 200,
        }
    }
}

/// Prints the jobs.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let jobs = match options.parts {
        Some(parts) => of_parts(options, parts),
        None => of_cells(options)?,
    };
    let most = options.format.most();
    if jobs.len() > most {
        return Err(Failure::usage(format!(
            "{} jobs are too many: this CI system takes {most} in a matrix\n  cure: --parts {most} or fewer",
            jobs.len()
        )));
    }
    let text = match options.format {
        Format::Github => github(&jobs),
        Format::Gitlab => gitlab(&jobs),
    };
    say(&text)?;
    Ok(Exit::Pass.into())
}

/// The job of one part.
fn of_part(options: &Options, name: String, part: u64, parts: u64) -> Job {
    let mut arguments = options.which.arguments();
    let partition = Partition::slice(part, parts).to_string();
    arguments.extend(["--partition".to_owned(), partition]);
    Job {
        name,
        arguments: shell(&arguments),
    }
}

fn of_parts(options: &Options, parts: u64) -> Vec<Job> {
    let job = |part| of_part(options, format!("part {part} of {parts}"), part, parts);
    (1..=parts).map(job).collect()
}

/// A job for each cell that can run here. They are slices of one run, which
/// `report merge` joins, and not runs of one cell each, which it would refuse.
fn of_cells(options: &Options) -> Result<Vec<Job>, Failure> {
    let cells = options.which.plan(options.guest.dir())?.cells;
    let parts = u64::try_from(cells.len()).map_err(Failure::usage)?;
    let jobs = (1..).zip(cells);
    Ok(jobs
        .map(|(part, cell)| of_part(options, cell.name, part, parts))
        .collect())
}

/// Words as a shell reads them back.
fn shell(words: &[String]) -> String {
    let quoted = words.iter().map(|word| quoted(word));
    quoted.collect::<Vec<_>>().join(" ")
}

fn github(jobs: &[Job]) -> String {
    serde_json::json!({ "include": jobs }).to_string() + "\n"
}

/// JSON's strings are YAML's.
fn yaml(text: &str) -> String {
    serde_json::to_string(text).expect("text is JSON")
}

fn gitlab(jobs: &[Job]) -> String {
    let mut matrix = String::new();
    for job in jobs {
        let (name, arguments) = (yaml(&job.name), yaml(&job.arguments));
        let _ = writeln!(
            matrix,
            "      - LANFENCE_JOB: {name}\n        LANFENCE_ARGUMENTS: {arguments}"
        );
    }
    GITLAB.replace("      # jobs\n", &matrix)
}

/// The child pipeline; `# jobs` stands for its matrix.
const GITLAB: &str = r#"stages: [verify, merge]

verify:
  stage: verify
  parallel:
    matrix:
      # jobs
  script:
    - eval "cargo xtask verify $LANFENCE_ARGUMENTS --json run-$CI_NODE_INDEX.json --junit verify.xml --out evidence"
  artifacts:
    when: always
    paths: ["run-*.json", evidence]
    reports: { junit: verify.xml }

merge:
  stage: merge
  when: always
  script:
    - cargo run --no-default-features -- report merge run-*.json
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use rstest::rstest;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn jobs(line: &str) -> Vec<Job> {
        let words = ["matrix"].into_iter().chain(line.split_whitespace());
        let Line { options } = Line::try_parse_from(words).expect("a good line");
        of_parts(&options, options.parts.expect("--parts"))
    }

    #[test]
    fn for_github() {
        insta::assert_snapshot!(github(&jobs(
            "--format github --parts 3 --matrix full --cell linux/e1000* --cell linux/*virtio"
        )), @r#"{"include":[{"arguments":"--matrix full --cell 'linux/e1000*' --cell 'linux/*virtio' --partition slice:1/3","name":"part 1 of 3"},{"arguments":"--matrix full --cell 'linux/e1000*' --cell 'linux/*virtio' --partition slice:2/3","name":"part 2 of 3"},{"arguments":"--matrix full --cell 'linux/e1000*' --cell 'linux/*virtio' --partition slice:3/3","name":"part 3 of 3"}]}"#);
    }

    #[test]
    fn for_gitlab() {
        insta::assert_snapshot!(gitlab(&jobs(
            "--format gitlab --parts 2 --nic pcnet --nic e1000"
        )));
    }

    #[rstest]
    #[case::plain("linux/pcnet", "linux/pcnet")]
    #[case::a_glob("linux/*", "'linux/*'")]
    #[case::a_quote("it's", r"'it'\''s'")]
    #[case::nothing("", "''")]
    fn words_are_quoted(#[case] word: &str, #[case] quoted: &str) {
        assert_eq!(shell(&[word.to_owned()]), quoted);
    }
}
