//! A private libvirtd and what the lab asks of it.

use super::daemon::Daemon;
use super::error::LabError;
use super::linger::Lingering;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use virt::connect::Connect;
use virt::domain::Domain;
use virt::nwfilter::NWFilter;

const SOCKET: &str = "/run/libvirt/libvirt-sock";

/// Longest wait for libvirtd's socket. 0.1-0.6 s here; the rest is for busy machines.
const START: Duration = Duration::from_secs(20);

/// No virtlogd, no security driver, no cgroups, no namespaces of its own: the
/// lab has none of the services that those need, and is itself the sandbox. Owners
/// stay as they are: QEMU is root here, and a foreign image is not ours to change.
/// Without the filtered capability libvirt asks QEMU for the CPU's features all at once
/// rather than for some 460 properties one by one, at every start (`qemuProcessFetchGuestCPU`
/// in its `qemu_process.c`): a tenth of a cell (measured). libvirt lets QEMU dump cores of any
/// size, which an ordinary user whose hard limit is 0 (`ulimit -c 0`) may not; none are wanted.
const QEMU_CONF: &str = "stdio_handler = \"file\"\nsecurity_driver = \"none\"\ncgroup_controllers = []\nnamespaces = []\n\
                         user = \"root\"\ngroup = \"root\"\nremember_owner = 0\ndynamic_ownership = 0\n\
                         max_core = 0\n\
                         capability_filters = [\"cpu-unavailable-features\"]\n";

/// The whole log is evidence; errors also go to stderr, where a daemon's last
/// words are looked for when it does not start. Fewer threads to begin with make the
/// forks cheaper; it starts more when calls come at once.
const LIBVIRTD_CONF: &str = "auth_unix_rw = \"none\"\nauth_unix_ro = \"none\"\nunix_sock_group = \"root\"\n\
                             min_workers = 1\nprio_workers = 1\nadmin_min_workers = 1\nlog_filters = \"3:util 3:rpc 1:util.command\"\nlog_outputs = \"2:file:/var/log/libvirtd.log 4:stderr\"\n";

/// Where libvirtd writes its log.
pub const LOG: &str = "/var/log/libvirtd.log";

/// Where libvirt keeps QEMU's command line and last words for a domain.
pub fn qemu_log_path(domain: &str) -> String {
    format!("/var/log/libvirt/qemu/{domain}.log")
}

/// Starts libvirtd in the lab's mount namespace.
pub fn start() -> Result<Daemon, LabError> {
    for (path, text) in [
        ("/etc/libvirt/qemu.conf", QEMU_CONF),
        ("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF),
    ] {
        std::fs::write(path, text).map_err(|source| LabError::File {
            path: path.into(),
            source,
        })?;
    }
    let mut command = Command::new("libvirtd");
    // It forks for each rule of a filter, and most of the price of a fork is what its
    // threads' heaps hold: with one heap for all of them a cell costs 10 to 30 % less of
    // its CPU time (measured).
    command.env("LC_ALL", "C").env("MALLOC_ARENA_MAX", "1");
    let lingering = Lingering::prepare(&mut command)
        .map_err(|errno| LabError::system("open a socket pair for libvirtd", errno))?;
    let daemon = Daemon::start("libvirtd", None, &mut command)?;
    lingering.serve();
    Ok(daemon)
}

/// Waits until the socket is listened on and connects; the file is there a moment earlier.
async fn connect(daemon: &Daemon) -> Result<Connect, LabError> {
    daemon
        .until("libvirtd's socket", START, || {
            UnixStream::connect(SOCKET).is_ok()
        })
        .await?;
    // libvirt prints every error to stderr unless told not to; ours are returned.
    virt::error::clear_error_callback();
    tokio::task::block_in_place(|| Connect::open(Some("qemu:///system")))
        .map_err(|error| LabError::libvirt("open qemu:///system", &error))
}

/// Where libvirtd listens, and notes what runs and what is bound: what the next one would
/// take up again. The filters are elsewhere.
const RUNNING: &str = "/run/libvirt";

/// Makes the next libvirtd know nothing of what the last one ran, and leaves no socket that
/// could be connected to before it listens.
fn forget_running() -> Result<(), LabError> {
    std::fs::remove_dir_all(RUNNING)
        .and_then(|()| std::fs::create_dir(RUNNING))
        .map_err(|source| LabError::File {
            path: RUNNING.into(),
            source,
        })
}

/// Longest wait for the removal of a domain that has ended; seconds where both
/// cores are busy with other things (measured).
const REMOVAL: Duration = Duration::from_secs(20);

/// Calls libvirt again while an ended domain of the same name is being removed.
/// It does not find such a domain any more, and refuses a new one all the same
/// (`virDomainObjListAdd` in its `virdomainobjlist.c`). The daemon speaks English.
fn once_removed<T>(
    call: impl Fn() -> Result<T, virt::error::Error>,
) -> Result<T, virt::error::Error> {
    let end = Instant::now() + REMOVAL;
    tokio::task::block_in_place(|| {
        loop {
            match call() {
                Err(error)
                    if error.message().contains("already being removed")
                        && Instant::now() < end =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                done => return done,
            }
        }
    })
}

/// The private libvirtd and the connection to it.
#[derive(Debug)]
pub struct Libvirt {
    serving: Mutex<Serving>,
}

#[derive(Debug)]
struct Serving {
    daemon: Daemon,
    connect: Connect,
    /// Ended on purpose; see [`Libvirt::rest`].
    rests: bool,
    /// What comes in its place, where that has been started ahead of time.
    successor: Option<Daemon>,
}

impl Serving {
    /// Connects to what [`start`] has started.
    async fn of(daemon: Daemon) -> Result<Self, LabError> {
        let connect = connect(&daemon).await?;
        Ok(Self {
            daemon,
            connect,
            rests: false,
            successor: None,
        })
    }

    /// Ends this one and starts another, which is not waited for.
    fn succeed(&self) -> Result<Daemon, LabError> {
        self.daemon.end();
        forget_running()?;
        start()
    }
}

impl Libvirt {
    /// Connects to what [`start`] has started.
    pub async fn connect(daemon: Daemon) -> Result<Self, LabError> {
        let serving = Serving::of(daemon).await?;
        Ok(Self {
            serving: Mutex::new(serving),
        })
    }

    /// Puts a libvirtd that has run nothing in the place of this one, which is killed
    /// and whose domains must have ended. It takes 50 ms; libvirt's own way to give up a
    /// filter takes 400, and each of its commands costs more the longer it has run, since
    /// its heap grows and is copied for each (measured). Domains and bindings that
    /// are still held belong to the old connection and answer with errors.
    pub async fn renew(&self) -> Result<(), LabError> {
        let ahead = self.serving().successor.take();
        let daemon = match ahead {
            Some(daemon) => daemon,
            None => self.serving().succeed()?,
        };
        let serving = Serving::of(daemon).await?;
        *self.serving() = serving;
        Ok(())
    }

    /// Starts ahead of time what [`Libvirt::renew`] puts in the place of one that rests:
    /// it takes longer to start than a guest takes to end. What hinders it is met again there.
    pub fn prepare(&self) {
        let mut serving = self.serving();
        if serving.rests && serving.successor.is_none() {
            serving.successor = serving.succeed().ok();
        }
    }

    /// Ends it until [`Libvirt::renew`], unless something is wrong with it, which is then
    /// still to be found. One that lives when a domain ends runs thirty commands to give
    /// that one's filter up.
    pub fn rest(&self) {
        let mut serving = self.serving();
        if serving.daemon.fault().is_none() {
            serving.rests = true;
            serving.daemon.end();
        }
    }

    /// Whether it has been left on purpose.
    pub fn rests(&self) -> bool {
        self.serving().rests
    }

    /// Why nothing it says can be trusted; none while it runs or rests.
    pub fn fault(&self) -> Option<String> {
        let serving = self.serving();
        if serving.rests {
            return None;
        }
        serving.daemon.fault()
    }

    fn serving(&self) -> MutexGuard<'_, Serving> {
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

    /// QEMU's version, `10.0.2`.
    pub fn qemu_version(&self) -> String {
        let version = self.connection().hyp_version();
        version.map_or_else(|_| "unknown".into(), dotted)
    }

    /// Whether it still answers: what it says after its death is no refusal.
    pub fn alive(&self) -> bool {
        let connect = self.connection();
        tokio::task::block_in_place(|| connect.is_alive()).unwrap_or(false)
    }

    /// Creates a transient domain, its CPUs still stopped. Like everything in the
    /// lab it ends with the lab's namespaces; libvirt's own "ends with the
    /// connection" would forbid to save it.
    pub fn create_paused(&self, xml: &str) -> Result<Domain, LabError> {
        let flags = virt_sys::VIR_DOMAIN_START_PAUSED | virt_sys::VIR_DOMAIN_START_VALIDATE;
        let connect = self.connection();
        once_removed(|| connect.create_domain_xml(xml, flags))
            .map_err(|error| LabError::libvirt("start the domain", &error))
    }

    /// Writes the state of a domain to a file and ends it. The file is made by libvirt.
    pub fn save(domain: &Domain, file: &Path) -> Result<(), LabError> {
        let doing = || format!("save the domain to {}", file.display());
        let path = CString::new(file.as_os_str().as_bytes())
            .map_err(|error| LabError::host(format!("{}: {error}", doing()), "rename it"))?;
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
    pub fn restore_paused(
        &self,
        file: &Path,
        name: &str,
        xml: Option<&str>,
    ) -> Result<Domain, LabError> {
        let path = file.to_string_lossy();
        let flags = virt_sys::VIR_DOMAIN_SAVE_PAUSED;
        let connect = self.connection();
        once_removed(|| {
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
    pub fn plug_interface(domain: &Domain, xml: &str) -> Result<(), LabError> {
        domain
            .attach_device_flags(xml, virt_sys::VIR_DOMAIN_AFFECT_LIVE)
            .map_err(|error| LabError::libvirt("plug the interface", &error))
    }

    /// Defines a filter and returns what libvirt made of it.
    ///
    /// # Errors
    /// libvirt's own words when it refuses the filter.
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

    /// Forgets a filter.
    ///
    /// # Errors
    /// When there is none of that name, or an interface uses it.
    pub fn undefine_filter(&self, name: &str) -> Result<(), LabError> {
        let connect = self.connection();
        tokio::task::block_in_place(|| connect.lookup_nwfilter_by_name(name)?.undefine())
            .map_err(|error| LabError::libvirt(format!("undefine filter {name}"), &error))
    }

    /// Replaces the interface of a running domain; how the filter comes and goes.
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
    #[test]
    fn versions_are_dotted() {
        assert_eq!(super::dotted(11_003_000), "11.3.0");
        assert_eq!(super::dotted(7_002_019), "7.2.19");
    }
}
