//! Set-up: find what is missing, say it, install it.
//!
//! What it changes on the machine: packages (without recommended ones), one
//! apt source on Debian 12 with QEMU from backports, and the cache directory.
//! No daemon is started or left enabled, no kernel is installed.

use crate::apt;
use crate::cache::Cache;
use crate::distro::{self, Distro, Release};
use crate::failure::Unfit;
use crate::guest_packages::{self, GuestPackages};
use crate::needs::{self, NEEDS, Need};
use crate::options::Options;
use crate::shipped_filters;
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

/// What set-up has made sure of.
#[derive(Debug)]
pub struct Ready {
    /// The cache directory.
    pub cache: Cache,
    /// The guest's packages in it.
    pub guest: GuestPackages,
    /// The directory of libvirt's own filters.
    pub filters: PathBuf,
}

/// `cargo xtask setup`.
///
/// # Errors
///
/// Wrong arguments, and as for [`ensure`].
pub fn setup_task(options: Options, arguments: Vec<OsString>) -> Result<()> {
    no_arguments(arguments)?;
    let ready = ensure(options, false)?;
    eprintln!(
        "set-up is complete; the guest's kernel is {} {}",
        ready.guest.kernel, ready.guest.kernel_version
    );
    Ok(())
}

/// `cargo xtask filters`.
///
/// # Errors
///
/// Wrong arguments, and as for [`ensure`].
pub fn filters_task(options: Options, arguments: Vec<OsString>) -> Result<()> {
    no_arguments(arguments)?;
    println!("{}", ensure(options, false)?.filters.display());
    Ok(())
}

/// Makes sure of everything; says nothing when nothing is missing. With
/// `update_kernel` the newest guest kernel is fetched even if there is one.
///
/// # Errors
///
/// [`Unfit`] if the machine is not x86_64, its distribution is not known, something is missing
/// that may not be installed or downloaded, or apt fails; any other error if the cache cannot
/// be written.
pub fn ensure(options: Options, update_kernel: bool) -> Result<Ready> {
    if std::env::consts::ARCH != "x86_64" {
        bail!(Unfit(format!(
            "this machine is {}; lanfence's guests and their NIC models are x86_64 only",
            std::env::consts::ARCH
        )));
    }
    let distro = distro::detect();
    let cache = Cache::open()?;
    let missing = needs::missing();
    if !missing.is_empty() {
        install(options, &distro, &missing, &cache, &needs::missing)?;
    }
    let Some(release) = distro.release else {
        bail!(unknown(&distro, &missing));
    };
    let (guest, filters) = present(&cache, release, update_kernel);
    if let (Some(guest), Some(filters)) = (guest, filters) {
        return Ok(Ready {
            cache,
            guest,
            filters,
        });
    }
    download(options, cache, release, update_kernel)
}

/// What the cache has; the guest's packages count as absent when newer ones are wanted.
fn present(
    cache: &Cache,
    release: Release,
    update_kernel: bool,
) -> (Option<GuestPackages>, Option<PathBuf>) {
    let guest = guest_packages::present(cache, release).filter(|_| !update_kernel);
    (guest, shipped_filters::present(cache, release))
}

fn download(
    options: Options,
    cache: Cache,
    release: Release,
    update_kernel: bool,
) -> Result<Ready> {
    let lock = (!options.offline).then(|| cache.lock()).transpose()?;
    // Whoever held the lock may have fetched them.
    let (guest, filters) = present(&cache, release, update_kernel);
    let mut missing = String::new();
    if guest.is_none() {
        missing.push_str(&guest_packages::describe(release));
    }
    if filters.is_none() {
        missing.push_str(&shipped_filters::describe());
    }
    let Some(lock) = lock else {
        bail!(Unfit(format!(
            "missing, and --offline forbids downloading:\n{missing}"
        )));
    };
    if !missing.is_empty() {
        eprint!("downloading:\n{missing}");
    }
    let guest = match guest {
        Some(guest) => guest,
        None => guest_packages::fetch(&cache, release, &lock)?,
    };
    let filters = match filters {
        Some(filters) => filters,
        None => shipped_filters::fetch(&cache, release, &lock)?,
    };
    drop(lock);
    Ok(Ready {
        cache,
        guest,
        filters,
    })
}

/// `look` says what is missing once the packages are there.
fn install(
    options: Options,
    distro: &Distro,
    missing: &[Need],
    cache: &Cache,
    look: &dyn Fn() -> Vec<Need>,
) -> Result<()> {
    let distro = distro.clone().with_form()?;
    let Some(release) = distro.release else {
        bail!(unknown(&distro, missing));
    };
    let names = needs::packages(missing, release);
    if options.offline {
        bail!(Unfit(format!(
            "missing, and --offline forbids installing:\n{}run this as root:\n\n{}",
            needs::describe(missing, release),
            apt::commands(&names, release, cache)?
        )));
    }
    eprint!("missing:\n{}", needs::describe(missing, release));
    apt::install(&names, release, cache)?;
    let still = look();
    if !still.is_empty() {
        bail!(Unfit(format!(
            "these are still missing after their packages were installed:\n{}",
            needs::describe(&still, release)
        )));
    }
    Ok(())
}

/// Installs what only some cells need, where it is missing. A machine that cannot have it runs the
/// other cells; those are skipped with the reason.
pub fn wish(options: Options, need: &Need) {
    if need.locate().is_some() {
        return;
    }
    let install = || -> Result<()> {
        let distro = distro::detect();
        install(options, &distro, &[*need], &Cache::open()?, &|| {
            if need.locate().is_some() {
                Vec::new()
            } else {
                vec![*need]
            }
        })
    };
    if let Err(error) = install() {
        eprintln!(
            "{} is not there, and its cells are skipped: {error:#}",
            short(need)
        );
    }
}

/// The exact list for a distribution whose package names are not known.
fn unknown(distro: &Distro, missing: &[Need]) -> Unfit {
    // Debian's newest names are the best hint for a neighbour's.
    let hint = Release::Trixie;
    let mut list = needs::describe(missing, hint);
    list.push_str(&guest_packages::describe(hint));
    list.push_str(&shipped_filters::describe());
    Unfit(format!(
        "{} is not one of Debian 12, Debian 13 and Ubuntu 24.04, so set-up does not know its \
         package names. Missing here, with Debian 13's names:\n{}",
        distro.name,
        list.trim_end()
    ))
}

/// What this machine has and lacks of what set-up installs, for people.
#[derive(Debug)]
pub struct Inventory {
    /// A line for each thing.
    pub text: String,
    /// Whether nothing is missing, or what to do about it.
    pub complete: Result<()>,
}

/// Looks for everything that set-up installs, and changes nothing.
///
/// # Errors
///
/// If there is no place for the cache.
pub fn inventory() -> Result<Inventory> {
    let distro = distro::detect().with_form()?;
    let hint = distro.release.unwrap_or(Release::Trixie);
    let mut text = format!("{}\n", distro.name);
    let mut bad = 0;
    for need in NEEDS {
        let state = need.locate().map_or_else(
            || {
                bad += 1;
                format!("MISSING, package {}", need.package.name(hint))
            },
            |path| path.display().to_string(),
        );
        let what = format!("{} ({})", short(need), need.purpose);
        let _ = writeln!(text, "  {what:<55} {state}");
    }
    let cache = Cache::named()?;
    let _ = writeln!(text, "cache {}", cache.path(".").display());
    if let Some(guest) = guest_packages::present(&cache, hint) {
        let _ = writeln!(
            text,
            "  guest kernel {} {}",
            guest.kernel, guest.kernel_version
        );
    } else {
        bad += 1;
        let _ = write!(text, "  MISSING{}", guest_packages::describe(hint));
    }
    if let Some(filters) = shipped_filters::present(&cache, hint) {
        let _ = writeln!(text, "  libvirt's own filters {}", filters.display());
    } else {
        bad += 1;
        let _ = write!(text, "  MISSING{}", shipped_filters::describe());
    }
    let complete = if distro.release.is_none() {
        Err(unknown(&distro, &needs::missing()).into())
    } else if bad > 0 {
        Err(Unfit(format!(
            "{bad} of the things above are missing; `cargo xtask setup` installs packages, and \
             then `cargo xtask doctor` tries what this machine's kernel allows"
        ))
        .into())
    } else {
        Ok(())
    };
    Ok(Inventory { text, complete })
}

/// A need's subject without its directories.
fn short(need: &Need) -> String {
    let subject = need.subject();
    subject
        .rsplit('/')
        .next()
        .map_or_else(|| subject.clone(), str::to_owned)
}

/// Refuses arguments, saying which.
fn no_arguments(arguments: Vec<OsString>) -> Result<()> {
    let mut parser = lexopt::Parser::from_args(arguments);
    match parser.next() {
        Ok(None) => Ok(()),
        Ok(Some(argument)) => Err(argument.unexpected().into()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    #[test]
    fn an_unknown_distribution_gets_the_whole_list() {
        let distro = Distro {
            name: "Fedora Linux 42".into(),
            release: None,
        };
        let text = unknown(&distro, NEEDS).to_string();
        assert!(text.starts_with("Fedora Linux 42 is not one of"));
        for word in [
            "libvirt-daemon-driver-nwfilter",
            "zlib1g-dev",
            "linux-image-amd64",
        ] {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
    }

    #[test]
    fn arguments_that_nobody_takes_are_refused() {
        let error = no_arguments(vec!["--frob".into()]).expect_err("unknown");
        assert_eq!(failure::exit_code(&error), failure::USAGE);
        assert!(no_arguments(Vec::new()).is_ok());
    }
}
