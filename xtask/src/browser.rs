//! The browser in which the tests look at the page of a run. lanfence itself does not need it, so only
//! `cargo xtask test` installs it, and goes on where it cannot be had: those tests say then that they
//! were skipped.

use crate::apt;
use crate::cache::Cache;
use crate::distro::{self, Release};
use crate::options::Options;
use crate::tool;
use std::env;

/// Programs that the tests look for (`tests/common/browser.rs`).
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-headless-shell",
    "chromium-browser",
    "google-chrome",
];

/// Names one that the tests take instead.
const NAMED: &str = "LANFENCE_CHROMIUM";

/// Chromium without windows: 64 MB, and 150 MB with all that a server lacks for it.
const PACKAGE: &str = "chromium-headless-shell";

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
enum Lack {
    /// Nothing may be installed.
    Offline,
    /// The distribution has it as a snap only, which a test cannot start.
    NoPackage,
}

/// Installs the browser where there is none.
pub fn prepare_for_tests(options: Options) {
    if env::var_os(NAMED).is_some() || PROGRAMS.iter().any(|it| tool::find(it).is_some()) {
        return;
    }
    let installed = match package(options, distro::detect().release) {
        Ok(release) => {
            eprintln!("missing for the tests of the page: package {PACKAGE} (150 MB)");
            let cache = Cache::open();
            cache.and_then(|cache| apt::install(&[PACKAGE], release, &cache))
        }
        Err(Lack::Offline) => Err(anyhow::anyhow!("--offline forbids installing it")),
        Err(Lack::NoPackage) => Err(anyhow::anyhow!("this distribution has no package of it")),
    };
    if let Err(error) = installed {
        eprintln!(
            "no browser for the tests of the page, which will be skipped: {error:#}; {NAMED} names one \
             that is elsewhere"
        );
    }
}

/// The release whose package is to be installed.
fn package(options: Options, release: Option<Release>) -> Result<Release, Lack> {
    match release {
        _ if options.offline => Err(Lack::Offline),
        None | Some(Release::Noble) => Err(Lack::NoPackage),
        Some(release) => Ok(release),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::debian(false, Some(Release::Trixie), Ok(Release::Trixie))]
    #[case::ubuntu(false, Some(Release::Noble), Err(Lack::NoPackage))]
    #[case::unknown(false, None, Err(Lack::NoPackage))]
    #[case::offline(true, Some(Release::Bookworm), Err(Lack::Offline))]
    fn where_it_is_a_package_it_is_installed(
        #[case] offline: bool,
        #[case] release: Option<Release>,
        #[case] expected: Result<Release, Lack>,
    ) {
        assert_eq!(package(Options { offline }, release), expected);
    }
}
