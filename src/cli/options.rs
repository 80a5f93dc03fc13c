//! Options that several verbs share: one spelling and one meaning each.

use super::failure::Failure;
use crate::frame::Mac;
use crate::layout::Layout;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::learning::{AddressSource, Bound, values};
use crate::nwfilter::vocabulary::variables;
use crate::nwfilter::{FilterTree, ShippedFilters, Strictness};
use crate::policy::Policy;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

/// Name of the policy file that is looked for when none is given.
const POLICY: &str = "lanfence.toml";

/// `--policy`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct PolicyOption {
    /// Policy file [default: lanfence.toml in this directory, else the built-in example]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// A policy with what it was read from.
pub struct PolicySource {
    /// The checked policy.
    pub policy: Policy,
    /// Its text, read once: the file may be a pipe.
    pub text: String,
    /// Where the text came from, for messages.
    pub origin: String,
}

impl PolicyOption {
    /// The arguments that name the same policy to another run of this program.
    #[cfg(feature = "lab")]
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let given = self.policy.iter();
        given
            .flat_map(|path| ["--policy".into(), path.clone().into_os_string()])
            .collect()
    }

    /// Reads the file given, else lanfence.toml in this directory, else the example that is
    /// built in.
    ///
    /// # Errors
    /// When the file cannot be read, or is no policy.
    pub fn read(&self) -> Result<PolicySource, Failure> {
        let here = Path::new(POLICY);
        let given = self.policy.as_deref();
        let (text, origin) = match given.or_else(|| here.exists().then_some(here)) {
            Some(path) => (
                Policy::text(path).map_err(Failure::usage)?,
                path.display().to_string(),
            ),
            None => (
                Policy::EXAMPLE.to_owned(),
                Policy::EXAMPLE_ORIGIN.to_owned(),
            ),
        };
        let policy = Policy::parse(&text, &origin).map_err(Failure::usage)?;
        Ok(PolicySource {
            policy,
            text,
            origin,
        })
    }
}

/// How the interface refers to the filter.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct BindingOptions {
    /// Name of the filter to bind, where several are given and none refers to all others
    #[arg(long, value_name = "NAME")]
    pub bind: Option<String>,
    #[command(flatten)]
    pub parameters: ParameterOptions,
}

/// Reads files, folders of them, and filters that libvirt ships. `bind` names the one that the
/// interface refers to.
///
/// # Errors
/// When a filter cannot be read, or it is not clear which of them to bind.
pub fn load(
    filters: &[PathBuf],
    bind: Option<&str>,
    strictness: Strictness,
) -> Result<FilterTree, Failure> {
    let shipped = ShippedFilters::installed();
    FilterTree::load(filters, bind, strictness, &shipped).map_err(Failure::usage)
}

/// `--param`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct ParameterOptions {
    /// A parameter of the filter reference; repeat a name to make a list
    #[arg(id = "param", long, value_name = "NAME=VALUE", value_parser = parameter)]
    pub list: Vec<(String, String)>,
}

/// `--mac`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct MacOption {
    /// MAC address of the guest [default: an example address]
    #[arg(long, value_name = "MAC", value_parser = mac)]
    pub mac: Option<Mac>,
}

/// `--lenient`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct LenientOption {
    /// Read the files as libvirt does, and list what it ignores, instead of refusing them
    #[arg(long)]
    lenient: bool,
}

impl LenientOption {
    /// How files are to be read.
    pub fn strictness(&self) -> Strictness {
        if self.lenient {
            Strictness::AsLibvirt
        } else {
            Strictness::Strict
        }
    }
}

/// `--backend`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub struct BackendOption {
    /// Back end of libvirt that translates the filter: ebtables or nftables [default: that of the
    /// guest's libvirt, else ebtables]
    ///
    /// libvirt has nftables since 12.8.
    #[arg(long, value_name = "NAME", value_parser = backend)]
    backend: Option<Backend>,
}

impl BackendOption {
    /// The one that the user names.
    pub fn given(&self) -> Option<Backend> {
        self.backend
    }

    /// The one that the user names, else that of the guest's libvirt, else libvirt's usual one.
    pub fn with(&self, of_guest: Option<Backend>) -> Backend {
        self.backend.or(of_guest).unwrap_or_default()
    }
}

/// The guest's addresses, as the parameters of its interface give them or libvirt would learn.
pub fn own(parameters: &[(String, String)], bound: &Bound, example: Ipv4Addr) -> Vec<IpAddr> {
    let given = parameters
        .iter()
        .filter(|(name, _)| variables::GUEST.contains(&name.as_str()));
    let given = given.filter_map(|(_, value)| value.parse().ok());
    // What libvirt learns, and what a reference gives.
    let other = match bound.address {
        AddressSource::Learnt(_) => true,
        AddressSource::Given => values(parameters, variables::IP).next().is_none(),
        AddressSource::NotAsked => false,
    };
    given.chain(other.then_some(IpAddr::V4(example))).collect()
}

/// The hosts, with the guest's MAC and address where they are given.
///
/// # Errors
/// When the policy has no room for them.
pub fn layout(
    policy: &Policy,
    mac: Option<Mac>,
    address: Option<Ipv4Addr>,
) -> Result<Layout, Failure> {
    let layout = Layout::with_guest(policy, address).map_err(Failure::usage)?;
    Ok(match mac {
        Some(mac) => layout.with_guest_mac(mac),
        None => layout,
    })
}

/// `NAME=VALUE` of `--param`.
fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if !variables::is_name(name) {
        return Err("the name of a parameter has only letters, digits and _".into());
    }
    if !variables::is_value(value) {
        return Err("the value of a parameter has only letters, digits, _, . and :".into());
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The name of a back end.
pub fn backend(word: &str) -> Result<Backend, String> {
    Backend::from_word(word).ok_or_else(|| "write ebtables or nftables".to_owned())
}

/// A MAC as libvirt writes it.
fn mac(text: &str) -> Result<Mac, String> {
    let octets: Option<Vec<u8>> = text
        .split(':')
        .map(|octet| u8::from_str_radix(octet, 16).ok())
        .collect();
    octets
        .and_then(|octets| octets.try_into().ok())
        .ok_or_else(|| "write it as 52:54:00:12:34:56".to_owned())
}
