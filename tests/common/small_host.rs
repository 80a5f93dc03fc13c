//! Tests on what looks like a small host: namespaces with a bridge, a libvirtd of their own and
//! real guests of QEMU that do nothing. The verbs for hosts run there as on any host.

use lanfence::host::{Access, Libvirt};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use virt::domain::Domain;

/// Set in the process that is on the host, with the name of its test.
const MARK: &str = "LANFENCE_TEST_SMALL_HOST";

/// Longest life of such a host in seconds.
const LIFE: &str = "600";

/// Names another, for a long run.
const LIFE_VARIABLE: &str = "LANFENCE_SMALL_HOST_LIFE";

/// Longest wait for something that is to happen: of no interest but where it does not happen at all, so
/// that the busiest machine gets there.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Runs the test of this name again on a small host and checks that it passes there; where it
/// already runs there, does what it is to do.
pub fn on_a_small_host(test: &str, body: impl FnOnce(&SmallHost)) {
    if std::env::var(MARK).as_deref() == Ok(test) {
        body(&SmallHost::here());
        return;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanfence"));
    command
        .args(["__host", &std::process::id().to_string()])
        .args(["--libvirt-cache", &cache().display().to_string()])
        .args(["--", "timeout"])
        .arg(std::env::var(LIFE_VARIABLE).unwrap_or_else(|_| LIFE.to_owned()));
    command
        .arg(std::env::current_exe().expect("the test's own program"))
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(MARK, test)
        .env("PATH", lanfence::pool::search_path());
    let output = command.output().expect("lanfence starts");
    let told = told(&output);
    assert!(output.status.success(), "{}\n{told}", output.status);
    assert!(
        told.contains("1 passed"),
        "there is no test {test}:\n{told}"
    );
}

/// Where libvirt keeps what QEMU can do, from one test to the next.
fn cache() -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libvirt-cache");
    std::fs::create_dir_all(&dir).expect("the directory of the tests can be written");
    dir
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The host, in its namespaces.
pub struct SmallHost {
    /// The connection to its libvirt.
    pub libvirt: Libvirt,
}

impl SmallHost {
    fn here() -> Self {
        let libvirt = Libvirt::open(None, Access::Write).expect("libvirtd runs");
        Self { libvirt }
    }

    /// Defines a guest with such interfaces.
    pub fn define(&self, name: &str, interfaces: &str) -> Domain {
        let xml = format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>\
             <os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>\
             <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{interfaces}\
             <memballoon model='none'/></devices></domain>"
        );
        let connect = self.libvirt.connection();
        connect.define_domain_xml(&xml).expect("libvirt takes it")
    }

    /// Defines a guest and starts it.
    pub fn start(&self, name: &str, interfaces: &str) -> Domain {
        let domain = self.define(name, interfaces);
        domain.create().expect("QEMU starts it");
        domain
    }

    /// The device of the guest's first interface.
    pub fn device(&self, guest: &Domain) -> String {
        let [xml, _] = self.definitions(guest);
        let read = lanfence::domain::Domain::parse(&xml).expect("libvirt's own XML");
        let device = read.interfaces.first().and_then(|one| one.target.clone());
        device.expect("it runs")
    }

    /// What the guest runs by, and its persistent definition.
    pub fn definitions(&self, guest: &Domain) -> [String; 2] {
        assert!(self.libvirt.is_alive());
        [0, virt_sys::VIR_DOMAIN_XML_INACTIVE]
            .map(|flags| guest.xml_desc(flags).expect("it is there"))
    }

    /// Has the running guest's interface take another filter, as `virsh update-device` does.
    pub fn exchange(&self, name: &str, filter: &str, other: &str) {
        let guest = self.libvirt.guest(name).expect("it is defined");
        let [live, _] = self.definitions(&guest);
        let (_, interface) = live.split_once("<interface").expect("it has one");
        let (interface, _) = interface.split_once("</interface>").expect("it ends");
        let element = format!("<interface{interface}</interface>").replace(filter, other);
        let flags = virt_sys::VIR_DOMAIN_AFFECT_LIVE;
        guest
            .update_device_flags(&element, flags)
            .expect("libvirt takes it");
    }

    /// lanfence as a user would start it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanfence"));
        command
            .args(arguments)
            .env("LIBVIRT_DEFAULT_URI", self.libvirt.uri())
            // Of this host alone: /run is.
            .env("LANFENCE_CACHE", "/run/lanfence/cache")
            .env("LANFENCE_STATE_DIR", "/run/lanfence/state");
        command
    }

    /// Runs lanfence as a user would.
    pub fn lanfence(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("lanfence starts");
        Ran {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The audit as JSON, with its exit code.
    pub fn audit(&self, arguments: &[&str]) -> (i32, serde_json::Value) {
        let ran = self.lanfence(&[&["audit", "--format", "json"], arguments].concat());
        let json = serde_json::from_str(&ran.out);
        (
            ran.code,
            json.unwrap_or_else(|error| panic!("{error}: {ran:?}")),
        )
    }
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// That it ended with this code.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }
}

/// Runs a program, which must end well.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        told(&output)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_within(LONGEST, what, is_so);
}

/// Waits until something is so, for so long at most.
#[track_caller]
pub fn until_within(longest: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + longest;
    while !is_so() {
        assert!(
            Instant::now() < end,
            "{what} did not happen within {longest:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An interface on the host's bridge.
pub fn on_bridge(last: u8, inside: &str) -> String {
    format!(
        "<interface type='bridge'><mac address='52:54:00:00:00:{last:02x}'/><source bridge='br0'/>\
         <model type='virtio'/>{inside}</interface>"
    )
}
