//! `--domain-xml`: filter, MAC address and parameters of a guest's own interface.

use assert_cmd::Command;
use rstest::rstest;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(300);

/// Three interfaces: fenced by the generated filter, by the user's own, and not at all; and
/// two that no filter holds.
const GUEST: &str = "<domain type='kvm'><name>web</name><devices>\
     <interface type='bridge'><mac address='52:54:00:aa:bb:01'/><source bridge='br0'/>\
     <target dev='vnet3'/><model type='e1000'/><filterref filter='lan-only'/></interface>\
     <interface type='bridge'><mac address='52:54:00:aa:bb:02'/><source bridge='br0'/>\
     <model type='pcnet'/><alias name='net1'/><filterref filter='own'>\
     <parameter name='NET' value='192.168.1.0'/></filterref></interface>\
     <interface type='bridge'><mac address='52:54:00:aa:bb:03'/><source bridge='br0'/></interface>\
     <interface type='direct'><mac address='52:54:00:aa:bb:04'/><source dev='eno1'/></interface>\
     <interface type='bridge'><mac address='52:54:00:aa:bb:05'/><source bridge='br0'/>\
     <filterref filter='a'/><filterref filter='b'/></interface>\
     </devices></domain>";

/// Lets frames of one guest alone through.
const OWN: &str = "<filter name='own'>\
     <rule action='drop' direction='out' priority='-500'><mac match='no' srcmacaddr='52:54:00:aa:bb:02'/></rule>\
     <rule action='drop' direction='out'><ip match='no' dstipaddr='$NET' dstipmask='24'/></rule></filter>";

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in [("web.xml", GUEST), ("own.xml", OWN)] {
            std::fs::write(dir.path().join(name), text).expect("room for a file");
        }
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Exit code and what is printed; the policy is the built-in example.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_lanfence"))
            .args(arguments)
            .current_dir(self.path())
            .timeout(DEADLINE)
            .output()
            .expect("it ends within the deadline");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        (code, text(&output.stdout), text(&output.stderr))
    }
}

fn web(verb: &str, interface: &str, more: &[&'static str]) -> Vec<String> {
    let all = [verb, "--domain-xml", "web.xml", "--interface", interface];
    all.iter()
        .chain(more)
        .map(|word| (*word).to_owned())
        .collect()
}

#[test]
fn check_takes_filter_mac_and_parameters_from_the_guest() {
    let folder = Folder::new();
    let check = |arguments: Vec<String>| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, out, error) = folder.run(&arguments);
        let json: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{error}"));
        (code, json)
    };
    let (code, generated) = check(web("check", "vnet3", &["--format", "json"]));
    assert_eq!(code, 0);
    assert_eq!(generated["filter"], "lan-only");
    assert_eq!(
        generated["guest"],
        "web, interface 52:54:00:aa:bb:01, e1000"
    );

    let (_, own) = check(web("check", "net1", &["own.xml", "--format", "json"]));
    assert_eq!(own["filter"], "own");
    assert_eq!(own["parameters"][0]["name"], "NET");
    let passes = |json: &Value, id: &str| {
        let probes = json["probes"].as_array().expect("a list");
        let probe = probes.iter().find(|probe| probe["id"] == id);
        probe.unwrap_or_else(|| panic!("no {id}"))["verdict"] == "pass"
    };
    // Only with the guest's own MAC address a frame of it gets through.
    assert!(passes(&own, "lan-unicast/tcp-peer"), "{}", own["probes"]);
    let other = [
        "check",
        "own.xml",
        "--param",
        "NET=192.168.1.0",
        "--format",
        "json",
    ];
    let (_, other) = check(other.map(str::to_owned).to_vec());
    assert!(!passes(&other, "lan-unicast/tcp-peer"));
}

/// The guest of the cell has the machine that the definition names.
#[test]
fn verify_takes_the_machine_too() {
    let folder = Folder::new();
    let guest = GUEST.replace(
        "<devices>",
        "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><devices>",
    );
    std::fs::write(folder.path().join("web.xml"), guest).unwrap();
    let mut arguments = web("verify", "vnet3", &["--nic", "virtio", "--out", "out"]);
    // A cell that is not green keeps the definition of its guest.
    arguments.extend(["--inject", "sensor"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, out, error) = folder.run(&arguments);
    assert_eq!(code, 5, "{out}{error}");
    assert!(out.contains("machine pc-q35-7.2"), "{out}");
    let domain = folder.path().join("out/linux-virtio/domain.xml");
    let domain = std::fs::read_to_string(domain).expect("evidence");
    assert!(domain.contains("pc-q35-"), "{domain}");
}

#[rstest]
#[case::explain("explain", &[], "$MAC") ]
#[case::lint("lint", &[], "0 errors")]
fn the_others_take_them_too(#[case] verb: &str, #[case] more: &[&'static str], #[case] part: &str) {
    let folder = Folder::new();
    let text = OWN.replace("52:54:00:aa:bb:02", "$MAC");
    std::fs::write(folder.path().join("own.xml"), text).unwrap();
    let mut arguments = web(verb, "52:54:00:AA:BB:02", more);
    arguments.push("own.xml".to_owned());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, out, error) = folder.run(&arguments);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains(part), "{out}");
}

#[rstest]
#[case::several(&["check", "--domain-xml", "web.xml"])]
#[case::not_there(&["check", "--domain-xml", "web.xml", "--interface", "vnet9"])]
#[case::no_filterref(&["check", "--domain-xml", "web.xml", "--interface", "52:54:00:aa:bb:03"])]
#[case::macvtap(&["explain", "--domain-xml", "web.xml", "--interface", "52:54:00:aa:bb:04"])]
#[case::two_filterrefs(&["lint", "--domain-xml", "web.xml", "--interface", "52:54:00:aa:bb:05"])]
#[case::no_file(&["check", "--domain-xml", "web.xml", "--interface", "net1"])]
#[case::another_file(&["explain", "--domain-xml", "web.xml", "--interface", "vnet3", "own.xml"])]
#[case::a_parameter(&["check", "--domain-xml", "web.xml", "--interface", "vnet3", "--param", "A=1"])]
#[case::a_mac(&["check", "--domain-xml", "web.xml", "--interface", "vnet3", "--mac", "52:54:00:00:00:01"])]
#[case::no_definition(&["check", "--domain-xml", "own.xml"])]
fn what_does_not_say_which_filter_is_meant(#[case] arguments: &[&str]) {
    let (code, out, error) = Folder::new().run(arguments);
    assert_eq!((code, out.as_str()), (2, ""), "{error}");
    let case = std::thread::current();
    let case = case.name().unwrap().rsplit("::").next().unwrap();
    insta::assert_snapshot!(case, error);
}

#[test]
fn lint_understands_definitions() {
    let folder = Folder::new();
    let network =
        "<network><name>n</name><forward mode='hostdev'/>\n<filterref filter='own'/></network>";
    let interface =
        "<interface type='network'><source network='n'/>\n <filterref filter='own'/></interface>";
    std::fs::create_dir(folder.path().join("all")).unwrap();
    for (name, text) in [
        ("n.xml", network),
        ("nic.xml", interface),
        ("web.xml", GUEST),
    ] {
        std::fs::write(folder.path().join("all").join(name), text).unwrap();
    }
    let (code, out, error) = folder.run(&["lint", "all"]);
    assert_eq!((code, error.as_str()), (1, ""), "{out}");
    insta::assert_snapshot!("definitions", out);
    let (_, json, _) = folder.run(&["lint", "all", "--format", "json", "--allow", "no-filterref"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["lint"].as_array().map(Vec::len), Some(3), "{json:#}");
    assert_eq!(json["lint"][0]["place"], "all/n.xml:2:1");
    let (_, sarif, _) = folder.run(&["lint", "all/nic.xml", "--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&sarif).expect("JSON");
    assert_eq!(
        sarif["runs"][0]["results"],
        serde_json::json!([]),
        "the network is not given"
    );
    // With a filter beside them, that is looked at as well.
    let (code, out, _) = folder.run(&["lint", "all/n.xml", "own.xml", "--allow", "all"]);
    assert_eq!(code, 0, "{out}");
    let filtered = GUEST
        .replace("direct", "bridge")
        .replace("<filterref filter='b'/>", "");
    std::fs::write(folder.path().join("good.xml"), filtered).unwrap();
    assert_eq!(
        folder
            .run(&["lint", "good.xml", "--allow", "no-filterref"])
            .0,
        0
    );
    let broken = "<domain><devices/></domain>";
    std::fs::write(folder.path().join("broken.xml"), broken).unwrap();
    let (code, _, error) = folder.run(&["lint", "broken.xml"]);
    assert_eq!(code, 2);
    assert!(
        error.starts_with("error: broken.xml: <domain> has no <name>"),
        "{error}"
    );
}

/// The lab's guest has the MAC address of the user's guest: the filter lets no other through.
#[cfg(feature = "lab")]
#[test]
fn verify_proves_the_guests_own_interface() {
    let folder = Folder::new();
    let verified = |arguments: &[&str]| {
        let (_, _, error) =
            folder.run(&[&["verify", "--tap", "--json", "run.json"], arguments].concat());
        let path = folder.path().join("run.json");
        let text = std::fs::read_to_string(path).unwrap_or_else(|_| panic!("{error}"));
        serde_json::from_str::<Value>(&text).expect("a report")
    };
    let passes = |run: &Value| {
        let probes = run["cells"][0]["probes"].as_array().expect("a list");
        let probe = probes
            .iter()
            .find(|probe| probe["id"] == "lan-unicast/tcp-peer");
        probe.expect("it is in every cell")["verdict"]["verdict"] == "pass"
    };
    let own = verified(&["--domain-xml", "web.xml", "--interface", "net1", "own.xml"]);
    let source = own["filter"]["source"].as_str().expect("a text");
    assert_eq!(
        source,
        "own.xml, for web, interface 52:54:00:aa:bb:02, pcnet"
    );
    assert!(passes(&own), "{}", own["cells"][0]["error"]);
    let other = verified(&["own.xml", "--param", "NET=192.168.1.0"]);
    assert!(!passes(&other));
}

/// Who carries the frames of a virtio NIC decides what becomes of checksums.
#[rstest]
#[case::by_qemu("<driver name='qemu'/>", "virtio-qemu")]
#[case::by_vhost_net("<driver name='vhost' queues='2'/>", "virtio-vhost")]
#[case::not_pinned("<driver queues='2'/>", "virtio")]
fn the_back_end_that_a_definition_pins_is_that_of_the_cell(
    #[case] driver: &str,
    #[case] nic: &str,
) {
    let folder = Folder::new();
    let guest = format!(
        "<domain type='kvm'><name>web</name><devices><interface type='bridge'>\
         <mac address='52:54:00:aa:bb:01'/><source bridge='br0'/><model type='virtio'/>{driver}\
         <filterref filter='lan-only'/></interface></devices></domain>"
    );
    std::fs::write(folder.path().join("web.xml"), guest).expect("room for a file");
    let (code, out, error) = folder.run(&["check", "--domain-xml", "web.xml", "--format", "json"]);
    assert_eq!(code, 0, "{out}{error}");
    let json: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        json["guest"],
        format!("web, interface 52:54:00:aa:bb:01, {nic}")
    );
}
