//! A private libvirtd and the calls that the lab makes.

use super::daemon::Daemon;
use super::error::LabError;
use super::shortcuts::socket_keeper::SocketKeeper;
use super::shortcuts::{Shortcut, Shortcuts};
use super::slowness::Slowness;
use crate::nwfilter::evaluate::Backend;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use virt::connect::Connect;
use virt::domain::Domain;
use virt::enumutil::Enum;
use virt::error::{ErrorDomain, ErrorNumber};
use virt::nwfilter::NWFilter;

const SOCKET: &str = "/run/libvirt/libvirt-sock";

/// Longest wait for libvirtd's socket. 0.1-0.6 s here; the rest is for busy machines.
const START: Duration = Duration::from_secs(20);

/// No virtlogd, no security driver, no cgroups, no namespaces of its own: the
/// lab has none of the services that those need, and is itself the sandbox. Owners
/// stay as they are: QEMU is root here, and a user's image must not change its owner.
/// libvirt lets QEMU dump cores of any size, which an ordinary user whose hard limit is 0
/// (`ulimit -c 0`) may not; the lab needs none.
const QEMU_CONF: &str = "stdio_handler = \"file\"\nsecurity_driver = \"none\"\ncgroup_controllers = []\nnamespaces = []\n\
                         user = \"root\"\ngroup = \"root\"\nremember_owner = 0\ndynamic_ownership = 0\n\
                         max_core = 0\n";

/// [`Shortcut::AskCpuAtOnce`]: with this filter libvirt asks QEMU for the CPU's features at
/// once rather than for some 460 properties one by one (`qemuProcessFetchGuestCPU` in its
/// `qemu_process.c`).
const CPU_AT_ONCE: &str = "capability_filters = [\"cpu-unavailable-features\"]\n";

/// The whole log is evidence, QEMU's events in it among others; errors also go to stderr, where [`Daemon`] looks for a
/// daemon's last lines when it does not start.
const LIBVIRTD_CONF: &str = "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\nunix_sock_group = \"root\"\n\
                             log_filters = \"3:util 3:rpc 1:util.command 2:qemu.qemu_monitor_json\"\nlog_outputs = \"2:file:/var/log/libvirtd.log 4:stderr\"\n";

/// [`Shortcut::SmallLibvirtd`]: fewer threads to begin with make forks cheaper. libvirtd
/// starts more when calls come at once.
const FEW_THREADS: &str = "min_workers = 1\nprio_workers = 1\nadmin_min_workers = 1\n";

/// Where libvirtd writes its log.
pub const LOG: &str = "/var/log/libvirtd.log";

/// Where libvirt keeps QEMU's command line and last words for a domain.
pub fn qemu_log_path(domain: &str) -> String {
    format!("/var/log/libvirt/qemu/{domain}.log")
}

/// The first libvirt whose nwfilter has a choice of back ends, and reads this file.
const CHOOSES_BACKEND: (u32, &str) = (12_008_000, "12.8.0");

/// Which back end nwfilter takes: without a word libvirt takes the first whose tools are
/// installed. The counters make evidence.
fn nwfilter_conf(backend: Backend) -> String {
    let word = match backend {
        Backend::Ebtables => "iptables",
        Backend::Nftables => "nftables",
    };
    format!("firewall_backend = \"{word}\"\nenable_counters = 1\n")
}

/// That this libvirt has the back end. Older ones do not read the file that asks for it,
/// and would make rules of ebtables without a word.
fn check_backend(version: u32, backend: Backend) -> Result<(), LabError> {
    let (first, name) = CHOOSES_BACKEND;
    if backend == Backend::Ebtables || version >= first {
        return Ok(());
    }
    Err(LabError::host(
        format!(
            "libvirt {} has no {backend} back end for nwfilter: the first that has one is {name}",
            dotted(version)
        ),
        format!("install libvirt {name} or later, or leave --backend {backend} out"),
    ))
}

/// Starts libvirtd in the lab's mount namespace.
///
/// # Errors
/// [`LabError::File`] when its configuration cannot be written, [`LabError::Host`] when
/// the program is missing.
pub fn start(shortcuts: Shortcuts, backend: Backend) -> Result<Daemon, LabError> {
    let when = |shortcut, text| if shortcuts.has(shortcut) { text } else { "" };
    let qemu = format!("{QEMU_CONF}{}", when(Shortcut::AskCpuAtOnce, CPU_AT_ONCE));
    let libvirtd = format!(
        "{LIBVIRTD_CONF}{}",
        when(Shortcut::SmallLibvirtd, FEW_THREADS)
    );
    for (path, text) in [
        ("/etc/libvirt/qemu.conf", qemu),
        ("/etc/libvirt/libvirtd.conf", libvirtd),
        ("/etc/libvirt/nwfilter.conf", nwfilter_conf(backend)),
    ] {
        std::fs::write(path, text).map_err(|source| LabError::File {
            path: path.into(),
            source,
        })?;
    }
    let mut command = Command::new("libvirtd");
    command.env("LC_ALL", "C");
    if shortcuts.has(Shortcut::SmallLibvirtd) {
        // libvirtd forks for each rule of a filter, and a fork copies the tables of all
        // heaps: with one heap for all threads there is less to copy.
        command.env("MALLOC_ARENA_MAX", "1");
    }
    if !shortcuts.has(Shortcut::KeepNetlinkSockets) {
        return Daemon::start("libvirtd", None, &mut command);
    }
    let keeper = SocketKeeper::prepare(&mut command)
        .map_err(|errno| LabError::system("open a socket pair for libvirtd", errno))?;
    let daemon = Daemon::start("libvirtd", None, &mut command)?;
    keeper.serve();
    Ok(daemon)
}

/// Waits until the socket is listened on and connects; the file is there a moment earlier.
async fn connect(daemon: &Daemon, slowness: Slowness) -> Result<Connect, LabError> {
    daemon
        .until(("libvirtd's socket", START), slowness, || {
            UnixStream::connect(SOCKET).is_ok()
        })
        .await?;
    // libvirt prints every error to stderr unless told not to; ours are returned.
    virt::error::clear_error_callback();
    tokio::task::block_in_place(|| Connect::open(Some("qemu:///system")))
        .map_err(|error| LabError::libvirt("open qemu:///system", &error))
}

/// Longest wait for the removal of a domain that has ended: seconds where all cores are
/// busy with other things.
const REMOVAL: Duration = Duration::from_secs(20);

/// Whether a domain of the same name is still being removed. libvirt does not find such a
/// domain any more and refuses a new one all the same (`virDomainObjListAdd` in its
/// `virdomainobjlist.c`). The one other thing that it reports with this code from there,
/// another domain with the same UUID, cannot be: a UUID is made of the domain's name.
fn is_being_removed(error: &virt::error::Error) -> bool {
    error.code() == Enum::Known(ErrorNumber::OperationFailed)
        && error.domain() == Enum::Known(ErrorDomain::Domain)
}

/// Calls libvirt again while an ended domain of the same name is being removed.
fn once_removed<T>(
    slowness: Slowness,
    call: impl Fn() -> Result<T, virt::error::Error>,
) -> Result<T, virt::error::Error> {
    let end = Instant::now() + slowness.stretch(REMOVAL);
    tokio::task::block_in_place(|| {
        loop {
            match call() {
                Err(error) if is_being_removed(&error) && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                done => return done,
            }
        }
    })
}

/// The private libvirtd and the connection to it.
///
/// Every method that asks libvirt blocks its thread, and must be called on a multi-thread
/// tokio runtime ([`tokio::task::block_in_place`] panics on any other).
#[derive(Debug)]
pub struct Libvirt {
    serving: Mutex<Serving>,
    pub(super) shortcuts: Shortcuts,
    /// How long it is waited for.
    pub(super) slowness: Slowness,
    pub(super) backend: Backend,
}

/// A libvirtd that runs or has been stopped.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) daemon: Daemon,
    connect: Connect,
    /// Ended on purpose; see [`Libvirt::stop`].
    pub(super) stopped: bool,
    /// What comes in its place, where that has been started ahead of time.
    pub(super) successor: Option<Daemon>,
}

impl Serving {
    /// Connects to what [`start`] has started.
    pub(super) async fn connect(daemon: Daemon, slowness: Slowness) -> Result<Self, LabError> {
        let connect = connect(&daemon, slowness).await?;
        Ok(Self {
            daemon,
            connect,
            stopped: false,
            successor: None,
        })
    }
}

impl Libvirt {
    /// Connects to what [`start`] has started.
    ///
    /// # Errors
    /// [`LabError::Program`] or [`LabError::Deadline`] when libvirtd does not listen,
    /// [`LabError::Libvirt`] when it refuses the connection, [`LabError::Host`] when it has
    /// no such back end.
    pub async fn connect(
        daemon: Daemon,
        shortcuts: Shortcuts,
        backend: Backend,
        slowness: Slowness,
    ) -> Result<Self, LabError> {
        let serving = Serving::connect(daemon, slowness).await?;
        let version = serving.connect.lib_version();
        let version =
            version.map_err(|error| LabError::libvirt("ask for libvirt's version", &error))?;
        check_backend(version, backend)?;
        Ok(Self {
            serving: Mutex::new(serving),
            shortcuts,
            backend,
            slowness,
        })
    }

    /// What it translates filters into.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Why nothing that it answers can be trusted; none while it runs or is stopped.
    pub fn fault(&self) -> Option<String> {
        let serving = self.serving();
        if serving.stopped {
            return None;
        }
        serving.daemon.fault()
    }

    pub(super) fn serving(&self) -> MutexGuard<'_, Serving> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, for calls that have a module of their own.
    pub(super) fn connection(&self) -> Connect {
        self.serving().connect.clone()
    }

    /// libvirt's version, `11.3.0`.
    pub fn version(&self) -> String {
        let version = self.connection().lib_version();
        version.map_or_else(|_| "unknown".into(), dotted)
    }

    /// Whether it leaves out a rule of layer 3 whose lists have different lengths, instead of refusing
    /// the filter (docs/libvirt-bugs.md#B35): 12.9.0 does with ebtables, 11.3.0 does not. Between them
    /// the code came that lets people choose a back end.
    pub fn leaves_out_unequal_lists(&self) -> bool {
        let version = self.connection().lib_version();
        let (since, _) = CHOOSES_BACKEND;
        self.backend == Backend::Ebtables && version.is_ok_and(|version| version >= since)
    }

    /// QEMU's version, `10.0.2`.
    pub fn qemu_version(&self) -> String {
        let version = self.connection().hyp_version();
        version.map_or_else(|_| "unknown".into(), dotted)
    }

    /// Whether it still answers: an error after its death is no refusal.
    pub fn alive(&self) -> bool {
        let connect = self.connection();
        tokio::task::block_in_place(|| connect.is_alive()).unwrap_or(false)
    }

    /// Creates a transient domain, its CPUs still stopped. Like everything in the
    /// lab it ends with the lab's namespaces; libvirt's own "ends with the
    /// connection" would forbid to save it.
    ///
    /// # Errors
    /// [`LabError::Libvirt`] when libvirt refuses the domain or QEMU does not start.
    pub fn create_paused(&self, xml: &str) -> Result<Domain, LabError> {
        let flags = virt_sys::VIR_DOMAIN_START_PAUSED | virt_sys::VIR_DOMAIN_START_VALIDATE;
        let connect = self.connection();
        once_removed(self.slowness, || connect.create_domain_xml(xml, flags))
            .map_err(|error| LabError::libvirt("start the domain", &error))
    }

    /// Writes the state of a domain to a file and ends it. The file is made by libvirt.
    ///
    /// # Errors
    /// [`LabError::Libvirt`] when the file cannot be written, [`LabError::Host`] when its
    /// name cannot be passed on.
    pub fn save(domain: &Domain, file: &Path) -> Result<(), LabError> {
        let doing = || format!("save the domain to {}", file.display());
        let path = CString::new(file.as_os_str().as_bytes())
            .map_err(|error| LabError::host_because(doing(), error, "rename it"))?;
        let saved = tokio::task::block_in_place(|| {
            // SAFETY: the domain and the path live through the call; no XML is given.
            unsafe { virt_sys::virDomainSave(domain.as_ptr(), path.as_ptr()) }
        });
        if saved < 0 {
            let error = virt::error::Error::last_error();
            return Err(LabError::libvirt(doing(), &error));
        }
        Ok(())
    }

    /// Starts the domain whose state is in the file, its CPUs still stopped; as the XML
    /// has it where one is given, which may differ in what the guest does not see.
    ///
    /// # Errors
    /// [`LabError::Libvirt`] when libvirt or QEMU does not take the state.
    pub fn restore_paused(
        &self,
        file: &Path,
        name: &str,
        xml: Option<&str>,
    ) -> Result<Domain, LabError> {
        let path = file.to_string_lossy();
        let flags = virt_sys::VIR_DOMAIN_SAVE_PAUSED;
        let connect = self.connection();
        once_removed(self.slowness, || {
            connect.restore_domain_flags(&path, xml, flags)?;
            connect.lookup_domain_by_name(name)
        })
        .map_err(|error| LabError::libvirt(format!("restore a domain from {path}"), &error))
    }

    /// Whether libvirt finds a domain of this name. It forgets one a moment after its end.
    pub fn has_domain(&self, name: &str) -> bool {
        let connect = self.connection();
        tokio::task::block_in_place(|| connect.lookup_domain_by_name(name)).is_ok()
    }

    /// Plugs an interface into a domain. Blocks.
    ///
    /// # Errors
    /// [`LabError::Libvirt`] when QEMU has no such device or the filter is refused.
    pub fn plug_interface(domain: &Domain, xml: &str) -> Result<(), LabError> {
        domain
            .attach_device_flags(xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE)
            .map_err(|error| LabError::libvirt("plug the interface", &error))
    }

    /// Defines a filter and returns the XML that libvirt has stored.
    ///
    /// # Errors
    /// [`LabError::Libvirt`] when libvirt refuses the filter.
    pub fn define_filter(&self, name: &str, xml: &str) -> Result<String, LabError> {
        let connect = self.connection();
        tokio::task::block_in_place(|| {
            let filter: NWFilter = connect
                .define_nwfilter_xml(xml)
                .map_err(|error| LabError::libvirt(format!("define filter {name}"), &error))?;
            filter
                .xml_desc(0)
                .map_err(|error| LabError::libvirt(format!("read filter {name} back"), &error))
        })
    }

    /// The XML of a filter as libvirt has it now.
    ///
    /// # Errors
    /// [`LabError::Libvirt`] when there is no filter of that name.
    pub fn filter_xml(&self, name: &str) -> Result<String, LabError> {
        let connect = self.connection();
        tokio::task::block_in_place(|| connect.lookup_nwfilter_by_name(name)?.xml_desc(0))
            .map_err(|error| LabError::libvirt(format!("read filter {name}"), &error))
    }

    /// Forgets a filter.
    ///
    /// # Errors
    /// [`LabError::Libvirt`] when there is no filter of that name, or an interface uses it.
    pub fn undefine_filter(&self, name: &str) -> Result<(), LabError> {
        let connect = self.connection();
        tokio::task::block_in_place(|| connect.lookup_nwfilter_by_name(name)?.undefine())
            .map_err(|error| LabError::libvirt(format!("undefine filter {name}"), &error))
    }

    /// Replaces the interface of a running domain: this is how a filter is attached to a
    /// running guest and detached from it.
    ///
    /// # Errors
    /// [`LabError::Libvirt`] when libvirt refuses the change, such as a filter.
    pub fn update_interface(domain: &Domain, xml: &str) -> Result<(), LabError> {
        tokio::task::block_in_place(|| {
            domain.update_device_flags(xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE)
        })
        .map(drop)
        .map_err(|error| LabError::libvirt("update the interface", &error))
    }
}

/// libvirt's 1,000,000 × major + 1,000 × minor + release.
fn dotted(number: u32) -> String {
    format!(
        "{}.{}.{}",
        number / 1_000_000,
        number / 1000 % 1000,
        number % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::old(11_003_000, Backend::Ebtables, true)]
    #[case::none_yet(12_007_000, Backend::Nftables, false)]
    #[case::first(12_008_000, Backend::Nftables, true)]
    #[case::later(13_000_000, Backend::Nftables, true)]
    fn a_back_end_that_libvirt_has_not_is_refused(
        #[case] version: u32,
        #[case] backend: Backend,
        #[case] taken: bool,
    ) {
        match check_backend(version, backend) {
            Ok(()) => assert!(taken),
            Err(error) => assert!(!taken && error.is_host(), "{error}"),
        }
    }

    #[test]
    fn versions_are_dotted() {
        assert_eq!(super::dotted(11_003_000), "11.3.0");
        assert_eq!(super::dotted(7_002_019), "7.2.19");
    }
}
