//! The connection to the host's libvirt, and everything that is asked of it.
//!
//! Calls block. Those that a read-only connection allows are made with it unless more is
//! needed: an ordinary user may look where he may not change.

use super::error::HostError;
use crate::lab::find_program;
use crate::nwfilter::evaluate::Backend;
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::enumutil::Enum;
use virt::error::{Error, ErrorNumber};
use virt_sys as sys;

/// Where libvirt is looked for when nobody says otherwise, as virsh does for root.
const DEFAULT_URI: &str = "qemu:///system";

/// The variable that virsh takes the URI from (virsh(1)).
const URI_VARIABLE: &str = "LIBVIRT_DEFAULT_URI";

/// What the connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Looking.
    Read,
    /// Changing.
    Write,
}

/// The connection.
#[derive(Debug, Clone)]
pub struct Libvirt {
    connect: Connect,
    uri: String,
}

/// The URI that is meant: the one given, else that of the environment, else the system's.
///
/// # Errors
/// When it is a session's: there are no filters.
pub fn uri(given: Option<&str>) -> Result<String, HostError> {
    let of_environment = || std::env::var(URI_VARIABLE).ok();
    let uri = given.map(str::to_owned).or_else(of_environment);
    let uri = uri.filter(|uri| !uri.is_empty());
    let uri = uri.unwrap_or_else(|| DEFAULT_URI.to_owned());
    let path = uri.split('?').next().unwrap_or_default();
    if path.trim_end_matches('/').ends_with("/session") {
        return Err(HostError::Session { uri });
    }
    Ok(uri)
}

/// The other host that a URI leads to (libvirt's docs/uri.rst); none for this one.
fn other_host(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => host.split(':').next()?,
    };
    let is_here = ["", "localhost", "127.0.0.1", "::1"].contains(&host);
    (!is_here && !scheme.ends_with("+unix")).then_some(host)
}

/// That the libvirt that is meant is this host's: what its filters come to is in its kernel, and
/// another host's cannot be looked at from here.
///
/// # Errors
/// When it is another host's, or a session's.
pub fn must_be_here(given: Option<&str>) -> Result<(), HostError> {
    let uri = uri(given)?;
    other_host(&uri).map_or(Ok(()), |host| {
        Err(HostError::refused(
            format!("{uri} is the libvirt of another host, whose kernel's rules cannot be seen from here"),
            format!("run lanfence on {host} itself"),
        ))
    })
}

impl Libvirt {
    /// Opens the connection.
    ///
    /// # Errors
    /// When libvirt does not answer or refuses the user.
    pub fn open(given: Option<&str>, access: Access) -> Result<Self, HostError> {
        let uri = uri(given)?;
        // libvirt prints every error to stderr unless told not to; ours are returned.
        virt::error::clear_error_callback();
        let open = match access {
            Access::Read => Connect::open_read_only(Some(&uri)),
            Access::Write => Connect::open(Some(&uri)),
        };
        let connect = open.map_err(|error| HostError::Unreachable {
            uri: uri.clone(),
            source: Box::new(error),
        })?;
        Ok(Self { connect, uri })
    }

    /// The URI.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether libvirt still answers.
    pub fn is_alive(&self) -> bool {
        self.connect.is_alive().unwrap_or(false) && self.connect.lib_version().is_ok()
    }

    /// The connection itself, for listening to events.
    pub fn connection(&self) -> &Connect {
        &self.connect
    }

    /// libvirt's version, 1,000,000 × major + 1,000 × minor + release.
    ///
    /// # Errors
    /// When libvirt does not answer.
    pub fn version(&self) -> Result<u32, HostError> {
        let version = self.connect.lib_version();
        version.map_err(|error| HostError::libvirt("ask for its version", &error))
    }

    /// The back end that its nwfilter takes, as its version and configuration say.
    ///
    /// # Errors
    /// When libvirt does not answer.
    pub fn backend(&self) -> Result<Backend, HostError> {
        let conf = std::fs::read_to_string(NWFILTER_CONF).unwrap_or_default();
        let iptables = find_program("iptables").is_some();
        Ok(backend_of(self.version()?, &conf, iptables))
    }

    /// All guests.
    ///
    /// # Errors
    /// When libvirt does not answer.
    pub fn guests(&self) -> Result<Vec<Domain>, HostError> {
        let all = self.connect.list_all_domains(0);
        all.map_err(|error| HostError::libvirt("list the guests", &error))
    }

    /// A guest by its name, UUID or id, as virsh takes them.
    ///
    /// # Errors
    /// When there is none.
    pub fn guest(&self, name: &str) -> Result<Domain, HostError> {
        let by_name = self.connect.lookup_domain_by_name(name);
        by_name
            .or_else(
                |error| match self.connect.lookup_domain_by_uuid_string(name) {
                    Ok(guest) => Ok(guest),
                    Err(_) => Err(error),
                },
            )
            .map_err(|error| match error.code() {
                Enum::Known(ErrorNumber::NoDomain) => HostError::refused(
                    format!("there is no guest {name} at {}", self.uri),
                    "`virsh list --all` shows the guests; --connect names another libvirt",
                ),
                _ => HostError::libvirt(format!("look for the guest {name}"), &error),
            })
    }

    /// Name and XML of all filters.
    ///
    /// # Errors
    /// When libvirt does not answer, or has no network filters.
    pub fn filters(&self) -> Result<Vec<(String, String)>, HostError> {
        let failed = |error: Error| HostError::libvirt("list the network filters", &error);
        let all = self.connect.list_all_nw_filters(0).map_err(failed)?;
        let mut out = Vec::new();
        for filter in all {
            match filter
                .name()
                .and_then(|name| Ok((name, filter.xml_desc(0)?)))
            {
                Ok(found) => out.push(found),
                // It was taken away meanwhile.
                Err(error) if error.code() == Enum::Known(ErrorNumber::NoNwfilter) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(out)
    }

    /// Defines a filter, or changes the content of the one with the same UUID: libvirt swaps
    /// the chains of all guests without a gap.
    ///
    /// # Errors
    /// libvirt's words when it refuses.
    pub fn define_filter(&self, name: &str, xml: &str) -> Result<(), HostError> {
        let defined = self.connect.define_nwfilter_xml(xml);
        defined
            .map(drop)
            .map_err(|error| HostError::libvirt(format!("define the filter {name}"), &error))
    }

    /// Forgets a filter; nothing where there is none.
    ///
    /// # Errors
    /// libvirt's words when it refuses, such as for a filter in use.
    pub fn undefine_filter(&self, name: &str) -> Result<(), HostError> {
        let found = match self.connect.lookup_nwfilter_by_name(name) {
            Ok(found) => found,
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoNwfilter) => return Ok(()),
            Err(error) => {
                return Err(HostError::libvirt(
                    format!("look for the filter {name}"),
                    &error,
                ));
            }
        };
        found
            .undefine()
            .map_err(|error| HostError::libvirt(format!("undefine the filter {name}"), &error))
    }

    /// Name and XML of all networks.
    ///
    /// # Errors
    /// When libvirt does not answer.
    pub fn networks(&self) -> Result<Vec<(String, String)>, HostError> {
        let failed = |error: Error| HostError::libvirt("list the networks", &error);
        let all = match self.connect.list_all_networks(0) {
            Ok(all) => all,
            // The daemon has no network driver: then no guest can use a network.
            Err(error) if error.code() == Enum::Known(ErrorNumber::NoSupport) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(failed(error)),
        };
        let mut out = Vec::new();
        for network in all {
            match network
                .name()
                .and_then(|name| Ok((name, network.xml_desc(0)?)))
            {
                Ok(found) => out.push(found),
                Err(error) if error.code() == Enum::Known(ErrorNumber::NoNetwork) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(out)
    }

    /// The XML of all bindings.
    ///
    /// # Errors
    /// When libvirt does not answer, or has no network filters.
    pub fn bindings(&self) -> Result<Vec<String>, HostError> {
        let mut list: *mut sys::virNWFilterBindingPtr = std::ptr::null_mut();
        // SAFETY: the connection is open, and the list is a place for a pointer.
        let count = unsafe {
            sys::virConnectListAllNWFilterBindings(self.connect.as_ptr(), &raw mut list, 0)
        };
        let Ok(count) = usize::try_from(count) else {
            let error = Error::last_error();
            return Err(HostError::libvirt("list the filter bindings", &error));
        };
        let mut out = Vec::new();
        for at in 0..count {
            // SAFETY: libvirt has filled as many pointers as it says; each is freed once.
            unsafe {
                let binding = *list.add(at);
                let text = sys::virNWFilterBindingGetXMLDesc(binding, 0);
                out.extend(owned(text));
                sys::virNWFilterBindingFree(binding);
            }
        }
        // SAFETY: libvirt has made the list with malloc and leaves it to the caller.
        unsafe { libc::free(list.cast()) };
        Ok(out)
    }

    /// Binds a filter by the XML of its binding.
    ///
    /// # Errors
    /// libvirt's words when it cannot make rules of the filter.
    pub fn create_binding(&self, device: &str, xml: &str) -> Result<(), HostError> {
        let doing = || format!("bind the filter of {device}");
        let text = CString::new(xml).map_err(|_| {
            HostError::refused(
                format!("{}: the XML holds a zero byte", doing()),
                "report it",
            )
        })?;
        // SAFETY: the connection is open, the text outlives the call.
        let binding =
            unsafe { sys::virNWFilterBindingCreateXML(self.connect.as_ptr(), text.as_ptr(), 0) };
        if binding.is_null() {
            return Err(HostError::libvirt(doing(), &Error::last_error()));
        }
        // SAFETY: libvirt has just returned it, and nobody else has it.
        unsafe { sys::virNWFilterBindingFree(binding) };
        Ok(())
    }

    /// Deletes the binding of a device; nothing where there is none.
    ///
    /// # Errors
    /// libvirt's words when it refuses.
    pub fn delete_binding(&self, device: &str) -> Result<(), HostError> {
        let doing = || format!("delete the filter binding of {device}");
        let name = CString::new(device)
            .map_err(|_| HostError::refused(format!("{device:?} is no device"), "report it"))?;
        // SAFETY: the connection is open, the name outlives the call.
        let binding =
            unsafe { sys::virNWFilterBindingLookupByPortDev(self.connect.as_ptr(), name.as_ptr()) };
        if binding.is_null() {
            return Ok(());
        }
        // SAFETY: libvirt has just returned it; it is freed once, after its last use.
        let deleted = unsafe { sys::virNWFilterBindingDelete(binding) };
        let error = (deleted < 0).then(Error::last_error);
        // SAFETY: as above.
        unsafe { sys::virNWFilterBindingFree(binding) };
        // Somebody else was quicker.
        let is_gone = |error: &Error| error.code() == Enum::Known(ErrorNumber::NoNwfilterBinding);
        let error = error.filter(|error| !is_gone(error));
        error.map_or(Ok(()), |error| Err(HostError::libvirt(doing(), &error)))
    }
}

/// The XML of a guest that is saved, if it is.
///
/// # Errors
/// When libvirt cannot read the saved image.
pub fn saved_xml(guest: &Domain) -> Result<Option<String>, Error> {
    if !guest.has_managed_save(0)? {
        return Ok(None);
    }
    // SAFETY: the domain is open.
    let text = unsafe { sys::virDomainManagedSaveGetXMLDesc(guest.as_ptr(), 0) };
    // SAFETY: libvirt has just returned the text, or null.
    match unsafe { owned(text) } {
        Some(text) => Ok(Some(text)),
        None => Err(Error::last_error()),
    }
}

/// Changes the XML in a guest's saved image.
///
/// # Errors
/// When libvirt does not take it.
pub fn define_saved_xml(guest: &Domain, xml: &str) -> Result<(), Error> {
    let text = CString::new(xml).unwrap_or_default();
    // SAFETY: the domain is open, the text outlives the call.
    let done = unsafe { sys::virDomainManagedSaveDefineXML(guest.as_ptr(), text.as_ptr(), 0) };
    if done < 0 {
        return Err(Error::last_error());
    }
    Ok(())
}

/// Takes over a text that libvirt has made, and frees it.
///
/// # Safety
/// The pointer is null or a C string made with malloc that nobody else has.
unsafe fn owned(text: *mut libc::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller says that it is a C string.
    let copy = unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned();
    // SAFETY: the caller says that nobody else has it.
    unsafe { libc::free(text.cast()) };
    Some(copy)
}

/// Where nwfilter's configuration lies.
const NWFILTER_CONF: &str = "/etc/libvirt/nwfilter.conf";

/// Where libvirt keeps the file of a filter.
pub fn filter_file(name: &str) -> PathBuf {
    PathBuf::from(format!("/etc/libvirt/nwfilter/{name}.xml"))
}

/// The first libvirt whose nwfilter has a choice of back ends.
const CHOOSES_BACKEND: u32 = 12_008_000;

/// The back end that a libvirt of this version takes with this configuration: without a word
/// the first of iptables and nftables whose tool is installed (`nwfilter.conf`).
fn backend_of(version: u32, conf: &str, iptables: bool) -> Backend {
    if version < CHOOSES_BACKEND {
        return Backend::Ebtables;
    }
    let lines = conf.lines().map(str::trim);
    let mut said = lines.filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "firewall_backend").then(|| value.trim().trim_matches('"').to_owned())
    });
    match said.next_back().as_deref() {
        Some("nftables") => Backend::Nftables,
        Some(_) => Backend::Ebtables,
        None if iptables => Backend::Ebtables,
        None => Backend::Nftables,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::this("qemu:///system", None)]
    #[case::by_its_socket("qemu+unix:///system?socket=/run/x", None)]
    #[case::this_by_name("qemu+ssh://root@localhost:22/system", None)]
    #[case::over_ssh("qemu+ssh://root@kvm1/system?socket=/run/x", Some("kvm1"))]
    #[case::with_a_port("qemu+tcp://kvm1:16509/system", Some("kvm1"))]
    #[case::over_tls("qemu://kvm1/system", Some("kvm1"))]
    #[case::an_address("qemu+ssh://[2001:db8::7]:22/system", Some("2001:db8::7"))]
    #[case::an_alias("mine", None)]
    fn the_kernel_of_another_host_cannot_be_seen(#[case] uri: &str, #[case] other: Option<&str>) {
        assert_eq!(other_host(uri), other);
        let error = must_be_here(Some(uri)).map_err(|error| error.to_string());
        match other {
            None => error.expect("it is this one's"),
            Some(host) => assert!(error.expect_err("another's").contains(host)),
        }
    }

    #[rstest]
    #[case::system("qemu:///system", true)]
    #[case::over_ssh("qemu+ssh://root@host/system?socket=/run/x", true)]
    #[case::session("qemu:///session", false)]
    #[case::remote_session("qemu+ssh://host/session?keyfile=k", false)]
    fn a_session_has_no_filters(#[case] given: &str, #[case] taken: bool) {
        match uri(Some(given)) {
            Ok(uri) => assert!(taken && uri == given),
            Err(error) => assert!(!taken && error.to_string().contains("qemu:///system")),
        }
    }

    #[rstest]
    #[case::old(11_003_000, "firewall_backend = \"nftables\"", true, Backend::Ebtables)]
    #[case::said(
        12_009_000,
        "# x\nfirewall_backend = \"nftables\"\n",
        true,
        Backend::Nftables
    )]
    #[case::the_last_counts(
        12_009_000,
        "firewall_backend=\"nftables\"\nfirewall_backend=\"iptables\"",
        false,
        Backend::Ebtables
    )]
    #[case::commented(
        12_009_000,
        "#firewall_backend = \"nftables\"",
        true,
        Backend::Ebtables
    )]
    #[case::without_iptables(12_009_000, "", false, Backend::Nftables)]
    fn the_back_end_is_that_of_the_configuration(
        #[case] version: u32,
        #[case] conf: &str,
        #[case] iptables: bool,
        #[case] backend: Backend,
    ) {
        assert_eq!(backend_of(version, conf, iptables), backend);
    }
}
