//! `--domain` and `--domain-xml`: a guest's own interface instead of a filter, a MAC address and
//! parameters on the command line.

mod error;

use super::failure::Failure;
use super::options::{BindingOptions, load};
use crate::domain::{Domain, Interface};
use crate::frame::Mac;
use crate::layout::Segment;
use crate::nwfilter::evaluate::Backend;
use crate::nwfilter::{FilterRef, FilterTree, ShippedFilters, Strictness, TreeError, generate};
use crate::policy::Policy;
use clap::Args;
use error::GuestError;
use std::path::{Path, PathBuf};

/// The group of the options that name a guest.
pub const DEFINITION: &str = "definition";

/// The NIC model that libvirt takes for a guest of x86 whose definition names none.
const NO_MODEL: &str = "rtl8139";

/// A guest, and which of its interfaces.
#[derive(Debug, Args)]
#[command(next_help_heading = "Guest")]
pub struct GuestOptions {
    #[command(flatten)]
    definition: Definition,
    /// URI of libvirt [default: LIBVIRT_DEFAULT_URI, else qemu:///system]
    #[cfg(feature = "lab")]
    #[arg(short = 'c', long, value_name = "URI", requires = "domain")]
    connect: Option<String>,
    /// The interface that has this MAC address, device or alias, where the guest has several
    #[arg(long, value_name = "MAC|DEVICE|ALIAS", requires = DEFINITION)]
    interface: Option<String>,
}

/// Where a guest's definition comes from.
#[derive(Debug, Args)]
#[group(id = DEFINITION, multiple = false)]
#[command(next_help_heading = "Guest")]
struct Definition {
    /// Guest of libvirt, by name or UUID, instead of a filter
    ///
    /// MAC address, NIC model, filter and parameters are those of its interface: of the running
    /// guest, else of its persistent definition. The filters are those that libvirt has.
    #[cfg(feature = "lab")]
    #[arg(long, value_name = "GUEST")]
    domain: Option<String>,
    /// The same from a file that `virsh dumpxml GUEST` has printed, without libvirt
    ///
    /// FILTER is then the file of the filter that the interface refers to; without it the filter
    /// is the one generated from the policy or one that libvirt ships, whichever has the name.
    #[arg(long, value_name = "FILE")]
    domain_xml: Option<PathBuf>,
}

/// A filter with what it is bound with: what the command line says, or a guest.
#[derive(Debug)]
pub struct Meant {
    /// The filters.
    pub tree: FilterTree,
    /// The parameters.
    pub parameters: Vec<(String, String)>,
    /// The MAC address, where somebody says it.
    pub mac: Option<Mac>,
    /// What the guest's libvirt translates filters with, where it was asked.
    pub backend: Option<Backend>,
    /// The guest's NIC model, where a guest is named; with virtio, the back end that its
    /// definition pins is a part of the name, as in a cell's.
    #[cfg_attr(not(feature = "lab"), expect(dead_code, reason = "verify reads it"))]
    pub nic: Option<String>,
    /// The guest's machine type, where its definition names one.
    #[cfg_attr(not(feature = "lab"), expect(dead_code, reason = "verify reads it"))]
    pub machine: Option<String>,
    /// What the guest's LAN is to its libvirt, where it was asked.
    #[cfg_attr(not(feature = "lab"), expect(dead_code, reason = "verify reads it"))]
    pub segment: Option<Segment>,
    /// Guest and interface for a heading, where a guest is named.
    pub guest: Option<String>,
}

/// An interface of a guest with the filter that holds it.
struct Filtered {
    guest: String,
    machine: Option<String>,
    interface: Interface,
    filterref: FilterRef,
    tree: FilterTree,
    backend: Option<Backend>,
    segment: Option<Segment>,
}

/// What the command line says besides the guest.
#[derive(Debug, Clone, Copy)]
pub struct Besides<'a> {
    /// Filters.
    pub filters: &'a [PathBuf],
    /// `--bind` and `--param`.
    pub binding: &'a BindingOptions,
    /// `--mac`.
    pub mac: Option<Mac>,
    /// `--backend`, where the verb has it.
    #[cfg_attr(
        not(feature = "lab"),
        expect(dead_code, reason = "libvirt's is compared")
    )]
    pub backend: Option<Backend>,
    /// How filters are read.
    pub strictness: Strictness,
    /// The policy, where the verb has one.
    pub policy: Option<&'a Policy>,
}

impl From<Filtered> for Meant {
    fn from(filtered: Filtered) -> Self {
        let (guest, interface) = (&filtered.guest, &filtered.interface);
        let nic = interface
            .model
            .clone()
            .unwrap_or_else(|| NO_MODEL.to_owned());
        // libvirt's words for who carries the frames of a virtio NIC (formatdomain, "Setting NIC
        // driver-specific options").
        let nic = match (nic.as_str(), interface.driver.as_deref()) {
            ("virtio", Some(driver @ ("qemu" | "vhost"))) => format!("virtio-{driver}"),
            _ => nic,
        };
        Self {
            guest: Some(format!("{guest}, interface {}, {nic}", interface.label())),
            machine: filtered.machine,
            mac: interface.mac,
            nic: Some(nic),
            backend: filtered.backend,
            segment: filtered.segment,
            parameters: filtered.filterref.parameters,
            tree: filtered.tree,
        }
    }
}

impl GuestOptions {
    /// The filter that is meant: that of the guest, where one is named; else the one that `own`
    /// makes of what the command line says.
    ///
    /// # Errors
    /// A guest, interface or filter that is not there, an interface that no filter holds, and
    /// options that say otherwise than the guest.
    pub fn meant(
        &self,
        besides: Besides<'_>,
        own: impl FnOnce() -> Result<FilterTree, Failure>,
    ) -> Result<Meant, Failure> {
        if let Some(filtered) = self.filtered(besides)? {
            return Ok(filtered.into());
        }
        Ok(Meant {
            tree: own()?,
            parameters: besides.binding.parameters.list.clone(),
            mac: besides.mac,
            backend: None,
            segment: None,
            nic: None,
            machine: None,
            guest: None,
        })
    }

    /// Whether a guest is named.
    pub fn is_given(&self) -> bool {
        #[cfg(feature = "lab")]
        if self.definition.domain.is_some() {
            return true;
        }
        self.definition.domain_xml.is_some()
    }

    fn filtered(&self, besides: Besides<'_>) -> Result<Option<Filtered>, Failure> {
        if !self.is_given() {
            return Ok(None);
        }
        besides.check().map_err(Failure::usage)?;
        #[cfg(feature = "lab")]
        if let Some(guest) = &self.definition.domain {
            return self.of_libvirt(guest, besides).map(Some);
        }
        let file = self.definition.domain_xml.as_deref();
        file.map(|file| self.of_file(file, besides)).transpose()
    }

    fn of_file(&self, path: &Path, besides: Besides<'_>) -> Result<Filtered, Failure> {
        let text = std::fs::read_to_string(path).map_err(|source| Failure::file(path, source))?;
        let domain = Domain::parse(&text).map_err(|source| {
            Failure::usage(GuestError::Definition {
                origin: path.display().to_string(),
                source,
            })
        })?;
        let interface = self.one_of(&domain).map_err(Failure::usage)?;
        let held = interface.filterable(None);
        held.map_err(|reason| {
            Failure::usage(GuestError::unfilterable(&domain, interface, reason))
        })?;
        let filterref = filterref(&domain, interface).map_err(Failure::usage)?;
        Ok(Filtered {
            tree: besides.tree(&filterref.filter)?,
            guest: domain.name.clone(),
            machine: domain.machine.clone(),
            interface: interface.clone(),
            filterref,
            backend: None,
            segment: None,
        })
    }

    #[cfg(feature = "lab")]
    fn of_libvirt(&self, guest: &str, besides: Besides<'_>) -> Result<Filtered, Failure> {
        use super::host::{ConnectOption, failure, looking};
        use crate::domain::Network;
        use crate::host::Guest;

        if !besides.filters.is_empty() {
            return Err(Failure::usage(GuestError::Said("FILTER")));
        }
        let connect = ConnectOption {
            connect: self.connect.clone(),
        };
        let libvirt = looking(&connect)?;
        let domain = libvirt.guest(guest).map_err(failure)?;
        let gone = || Failure::usage(GuestError::Gone(guest.to_owned()));
        let guest = Guest::look(&domain).map_err(failure)?.ok_or_else(gone)?;
        let defined = guest.live.or(guest.config).ok_or_else(gone)?.domain;
        let interface = self.one_of(&defined).map_err(Failure::usage)?;
        let networks = libvirt.networks().map_err(failure)?;
        let network = networks
            .iter()
            .find(|(name, _)| Some(name) == interface.network.as_ref());
        let network = network.and_then(|(_, xml)| Network::parse(xml).ok());
        let held = interface.filterable(network.as_ref());
        held.map_err(|reason| {
            Failure::usage(GuestError::unfilterable(&defined, interface, reason))
        })?;
        let filterref = filterref(&defined, interface).map_err(Failure::usage)?;
        let segment = match network {
            Some(network) if network.serves_dhcp() => Segment::Network,
            _ => Segment::Bridge,
        };
        let takes = libvirt.backend().map_err(failure)?;
        if besides.backend.is_some_and(|backend| backend != takes) {
            super::output::note(&format!(
                "this libvirt takes the back end {takes}, and --backend says another"
            ));
        }
        let filters = libvirt.filters().map_err(failure)?.into_iter().collect();
        let tree = FilterTree::defined(&filters, &filterref.filter);
        Ok(Filtered {
            tree: tree
                .map_err(|error| no_filter(error, &filterref.filter, GuestError::Undefined))?,
            guest: defined.name.clone(),
            machine: defined.machine.clone(),
            interface: interface.clone(),
            filterref,
            backend: Some(takes),
            segment: Some(segment),
        })
    }

    /// The one interface that is meant.
    fn one_of<'a>(&self, domain: &'a Domain) -> Result<&'a Interface, GuestError> {
        let all = &domain.interfaces;
        let is_meant = |interface: &&Interface| {
            let word = self.interface.as_deref();
            word.is_none_or(|word| interface.is_called(word))
        };
        let meant: Vec<&Interface> = all.iter().filter(is_meant).collect();
        match (meant.as_slice(), &self.interface) {
            ([one], _) => Ok(one),
            ([], _) if all.is_empty() => Err(GuestError::NoInterface(domain.name.clone())),
            ([], Some(word)) => Err(GuestError::not_found(domain, word)),
            (several, _) => Err(GuestError::several(domain, several)),
        }
    }
}

impl Besides<'_> {
    /// That nothing is said which the guest says itself.
    fn check(&self) -> Result<(), GuestError> {
        let said = [
            (self.mac.is_some(), "--mac"),
            (!self.binding.parameters.list.is_empty(), "--param"),
            (self.binding.bind.is_some(), "--bind"),
        ];
        match said.into_iter().find(|(is_said, _)| *is_said) {
            Some((_, option)) => Err(GuestError::Said(option)),
            None => Ok(()),
        }
    }

    /// The filter of this name among those that are given; else the policy's, else the one that
    /// libvirt ships.
    fn tree(&self, name: &str) -> Result<FilterTree, Failure> {
        if !self.filters.is_empty() {
            let shipped = ShippedFilters::installed();
            let tree = FilterTree::load(self.filters, Some(name), self.strictness, &shipped);
            return tree.map_err(|error| no_filter(error, name, GuestError::NotGiven));
        }
        if let Some(policy) = self.policy.filter(|policy| policy.name == name) {
            return Ok(FilterTree::generated(generate(policy)));
        }
        if ShippedFilters::installed().file(name).is_some() {
            return load(&[PathBuf::from(name)], Some(name), self.strictness);
        }
        Err(Failure::usage(GuestError::NotGiven(name.to_owned())))
    }
}

/// The filterref of an interface, which has one.
fn filterref(domain: &Domain, interface: &Interface) -> Result<FilterRef, GuestError> {
    let one = interface.filterref();
    one.cloned()
        .ok_or_else(|| GuestError::open(domain, interface))
}

/// An error about filters; where the filter is missing, with another reason.
fn no_filter(error: TreeError, name: &str, missing: fn(String) -> GuestError) -> Failure {
    match error {
        TreeError::NoSuchFilter(_) => Failure::usage(missing(name.to_owned())),
        other => Failure::usage(other),
    }
}
