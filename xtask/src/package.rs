//! `cargo xtask package`: the Debian package, held against lintian.

use crate::cache::Cache;
use crate::failure::{Unfit, Usage};
use crate::image;
use crate::options::Options;
use crate::privilege::Privilege;
use crate::tool;
use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program that makes the package of `[package.metadata.deb]`, and the version whose
/// snippets of debhelper were looked at.
const MAKER: (&str, &str) = ("cargo-deb", "3.8.0");

/// What the package's lines in Cargo.toml take from here, beside the program.
const DIRECTORY: &str = "target/package";

/// Shells with the names that they want their completion script to have.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "lanfence"),
    ("zsh", "_lanfence"),
    ("fish", "lanfence.fish"),
];

/// `cargo xtask package`.
///
/// # Errors
///
/// Wrong arguments, a build that fails, and a package that lintian finds errors in.
pub fn task(options: Options, arguments: Vec<OsString>) -> Result<()> {
    if let Some(argument) = arguments.into_iter().next() {
        let argument = argument.to_string_lossy();
        bail!(Usage(format!("package takes no argument {argument}")));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.context("xtask lies in the repository")?;
    let maker = maker(options)?;
    let mut build = image::cargo(options.offline);
    build.args(["build", "--release", "--package", "lanfence"]);
    run(build.current_dir(root))?;
    generated(root)?;
    let mut package = Command::new(&maker);
    package.args(["deb", "--no-build", "--package", "lanfence"]);
    let out = tool::output(package.current_dir(root).env("PATH", path_with(&maker)))?;
    let out = String::from_utf8_lossy(&out).into_owned();
    let deb = out.lines().last().context("cargo-deb names no package")?;
    check(options, Path::new(deb))?;
    println!("{deb}");
    Ok(())
}

/// The program that makes packages, of the version that is meant.
fn maker(options: Options) -> Result<PathBuf> {
    let (name, version) = MAKER;
    let root = Cache::open()?.path(&format!("{name}-{version}"));
    let program = root.join("bin").join(name);
    if program.exists() {
        return Ok(program);
    }
    if options.offline {
        bail!(Unfit(format!(
            "{name} {version} is not installed; `cargo xtask package` without --offline installs it"
        )));
    }
    let mut install = Command::new(env!("CARGO"));
    install.args(["install", name, "--version", version, "--locked", "--root"]);
    run(install.arg(&root))?;
    Ok(program)
}

/// cargo-deb starts cargo, which looks for its subcommands.
fn path_with(program: &Path) -> OsString {
    let own = program.parent().map(Path::as_os_str).unwrap_or_default();
    let mut path = OsString::from(own);
    path.push(":");
    path.push(tool::administrators_path());
    path
}

/// Manual pages and completions, made by the program itself.
fn generated(root: &Path) -> Result<()> {
    let directory = root.join(DIRECTORY);
    if directory.exists() {
        fs::remove_dir_all(&directory).context("old files of the package cannot be removed")?;
    }
    let completions = directory.join("completions");
    fs::create_dir_all(&completions).context("the files of the package cannot be made")?;
    let lanfence = || Command::new(root.join("target/release/lanfence"));
    tool::output(lanfence().arg("man").arg(directory.join("man")))?;
    for (shell, name) in SHELLS {
        let script = tool::output(lanfence().args(["completions", shell]))?;
        fs::write(completions.join(name), script).context("a completion cannot be written")?;
    }
    Ok(())
}

/// lintian must find no error.
fn check(options: Options, deb: &Path) -> Result<()> {
    if tool::find("lintian").is_none() {
        let install = ["install", "-y", "-q", "--no-install-recommends", "lintian"];
        let by_hand = format!("  apt-get {}\n", install.join(" "));
        if options.offline {
            bail!(Unfit(format!("lintian is not installed:\n\n{by_hand}")));
        }
        Privilege::acquire(&by_hand)?.run("apt-get", &install)?;
    }
    let mut lintian = Command::new("lintian");
    // In a container everybody is root.
    lintian
        .args(["--allow-root", "--fail-on", "error"])
        .arg(deb);
    run(&mut lintian)
}

/// Runs a command with its output on standard error.
fn run(command: &mut Command) -> Result<()> {
    let line = tool::shell_line(command);
    eprintln!("+ {line}");
    let status = command.stdout(std::io::stderr()).status();
    let status = status.with_context(|| format!("cannot run `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    #[test]
    fn an_argument_is_refused_before_anything_is_built() {
        let options = Options { offline: true };
        let error = task(options, vec!["now".into()]).expect_err("there are none");
        assert_eq!(failure::exit_code(&error), failure::USAGE);
    }

    #[test]
    fn what_the_package_names_is_what_is_made_here_or_lies_in_the_repository() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("it lies there");
        let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("it can be read");
        let (_, section) = manifest.split_once("assets = [").expect("there are assets");
        let (section, _) = section.split_once("\n]").expect("they end");
        let sources = section.lines().filter_map(|line| line.split('"').nth(1));
        let mut made = 0;
        for source in sources {
            match source.strip_prefix("target/") {
                Some(_) => made += 1,
                None => assert!(root.join(source).exists(), "{source}"),
            }
        }
        assert_eq!(made, 2 + SHELLS.len());
        for (_, name) in SHELLS {
            assert!(section.contains(&format!("completions/{name}\"")), "{name}");
        }
    }
}
