//! Bad input through the public verbs: bounded time and memory, one error that
//! says where, and never a panic.

use assert_cmd::Command;
use rstest::rstest;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Far more than any of these needs, on a busy machine and without optimisation.
const DEADLINE: Duration = Duration::from_secs(300);

/// KiB of address space that a run may take; the program itself maps some 100,000.
const MEMORY: u32 = 1_500_000;

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lanfence.toml");

/// Files in a folder of their own.
struct Folder(TempDir);

impl Folder {
    fn of(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("room for a file");
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Exit code and what it printed, with the folder's name taken out.
    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new("sh")
            .args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_lanfence"))
            .args(arguments)
            .current_dir(self.0.path())
            .timeout(DEADLINE)
            .output()
            .expect("it ends within the deadline");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        (code, text(&output.stdout), text(&output.stderr))
    }
}

fn rule(element: &str) -> String {
    format!("<rule action='drop' direction='out'>{element}</rule>")
}

fn filter(inside: &str) -> String {
    format!("<filter name='x'>\n{inside}\n</filter>\n")
}

/// What `part` makes of every number below `count`, joined.
fn repeated(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect::<Vec<_>>().concat()
}

/// A list of `count` addresses as parameters for the filter `y`.
fn list(name: &str, count: usize) -> String {
    let mut out = "<filterref filter='y'>".to_owned();
    for at in 0..count {
        let (high, low) = (at / 256, at % 256);
        let _ = write!(out, "<parameter name='{name}' value='10.0.{high}.{low}'/>");
    }
    out + "</filterref>"
}

/// That both verbs refuse the file with one line that holds the parts.
fn refused(folder: &Folder, parts: &[&str]) {
    for verb in [
        ["check", ".", "--policy", POLICY].as_slice(),
        &["explain", ".", "--frame", &"00".repeat(60)],
    ] {
        let (code, _, stderr) = folder.run(verb);
        assert_eq!(code, 2, "{stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{part} is missing: {stderr}");
        }
        assert_eq!(stderr.matches("error:").count(), 1, "{stderr}");
        assert!(stderr.len() < 1000, "{} bytes: {stderr}", stderr.len());
    }
}

#[rstest]
#[case::deep_nesting(&filter(&"<rule>".repeat(100_000)), "./x.xml:2:1:")]
#[case::deep_elements(&filter(&rule(&"<ip>".repeat(100_000))), "./x.xml:2:41: <ip> is nested too deeply")]
#[case::entities(
    "<!DOCTYPE f [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;&a;'>]>\n<filter name='&b;'/>",
    "./x.xml:1:1: a document type"
)]
#[case::external_entity(
    "<!DOCTYPE f SYSTEM 'file:///etc/passwd'><filter name='x'/>",
    "./x.xml:1:1: a document type"
)]
#[case::undefined_entity(&filter(&rule("<ip comment='&lol;'/>")), "./x.xml:2:37: the value of comment")]
#[case::zero_character(&filter(&rule("<ip comment='&#0;'/>")), "./x.xml:2:37: the value of comment")]
#[case::megabyte_value(&filter(&rule(&format!("<ip dstipaddr='{}'/>", "1".repeat(1 << 20)))), "./x.xml:2:37: `1111")]
#[case::megabyte_variable(&filter(&rule(&format!("<ip dstipaddr='${}'/>", "A".repeat(1 << 20)))), "./x.xml:2:1: rule 1 of x uses $AAAA")]
#[case::megabyte_comment(&filter(&rule(&format!("<ip comment='{}'/>", "A".repeat(1 << 20)))), "./x.xml:2:37: the comment")]
#[case::many_attributes(&filter(&rule(&format!("<ip {}/>", repeated(50_000, |at| format!("a{at}='' "))))), "./x.xml:2:37: <ip> has more than 64 attributes")]
#[case::many_rules(&filter(&"<rule action='drop' direction='in'/>\n".repeat(100_000)), "./x.xml:20002:1: rule 20001 of x: the filter expands to more than 20000 rules")]
#[case::too_large(&filter(&" ".repeat(5 << 20)), "./x.xml:1:1: the file has")]
#[case::refers_to_itself(&filter("<filterref filter='x'/>"), "./x.xml:2:1: the filters refer to each other in a circle: x -> x")]
#[case::missing(&filter("<rule action='drop' direction='out'/>\n<filterref filter='nowhere'/>"), "./x.xml:3:1: filter x refers to nowhere")]
#[case::unset(&filter(&rule("<ip dstipaddr='$NOWHERE'/>")), "./x.xml:2:1: rule 1 of x uses $NOWHERE")]
#[case::binary("\u{0}\u{1}\u{2}", "./x.xml:1:1:")]
#[case::empty("", "./x.xml:1:1: there is no <filter>")]
fn a_file(#[case] text: &str, #[case] part: &str) {
    refused(&Folder::of(&[("x.xml", text)]), &[part]);
}

#[test]
fn files_that_are_no_text() {
    let folder = Folder::of(&[]);
    std::fs::write(folder.path("x.xml"), [0xff, 0xfe, 0x3c, 0, 0x66, 0]).unwrap();
    refused(&folder, &["./x.xml:1:"]);
}

#[test]
fn a_circle_of_three() {
    let link = |name: &str, to: &str| {
        format!("<filter name='{name}'>\n  <filterref filter='{to}'/>\n</filter>")
    };
    let folder = Folder::of(&[
        ("a.xml", &link("a", "b")),
        ("b.xml", &link("b", "c")),
        ("c.xml", &link("c", "a")),
    ]);
    refused(
        &folder,
        &["./a.xml:2:3: the filters refer to each other in a circle: a -> b -> c -> a"],
    );
}

#[test]
fn a_tree_that_doubles_with_every_level() {
    let mut files = Vec::new();
    for level in 0..40 {
        let text = format!(
            "<filter name='f{level:02}'><filterref filter='f{0:02}'/><filterref filter='f{0:02}'/></filter>",
            level + 1
        );
        files.push((format!("f{level:02}.xml"), text));
    }
    files.push(("f40.xml".into(), "<filter name='f40'/>".into()));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    refused(&Folder::of(&files), &["more than 20000 rules"]);
}

#[test]
fn a_thousand_levels() {
    let link = |level: usize| {
        (
            format!("f{level:04}.xml"),
            format!(
                "<filter name='f{level}'>\n<filterref filter='f{}'/></filter>",
                level + 1
            ),
        )
    };
    let mut files: Vec<(String, String)> = (0..1000).map(link).collect();
    files.push(("f1000.xml".into(), "<filter name='f1000'/>".into()));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    refused(
        &Folder::of(&files),
        &["./f0099.xml:2:1:", "more than 100 levels"],
    );
}

#[rstest]
#[case::unequal_lists(
    "<ip srcipaddr='$A' dstipaddr='$B'/>",
    "./y.xml:2:1: rule 1 of y: the lists $A, $B advance together"
)]
#[case::past_the_end(
    "<ip srcipaddr='$A[70000]'/>",
    "./y.xml:2:1: rule 1 of y: $A has 1000 values"
)]
#[case::millions(
    "<ip srcipaddr='$A[@1]' dstipaddr='$A[@2]'/>",
    "./y.xml:2:1: rule 1 of y: the filter expands to more than 20000 rules"
)]
#[case::a_billion(
    "<ip srcipaddr='$A[@1]' dstipaddr='$A[@2]' srcmacaddr='$A[@3]'/>",
    "./y.xml:2:1: rule 1 of y: the filter expands to more than 20000 rules"
)]
#[case::wrong_values(
    "<mac srcmacaddr='$A'/>",
    "./y.xml:2:1: rule 1 of y: `10.0.0.0` cannot be the srcmacaddr of <mac>"
)]
fn lists(#[case] element: &str, #[case] part: &str) {
    let inside = list("A", 1000);
    // A second list that is one shorter, for the same reference.
    let inside = inside.replace(
        "</filterref>",
        &list("B", 999)["<filterref filter='y'>".len()..],
    );
    let folder = Folder::of(&[
        ("x.xml", &filter(&inside)),
        ("y.xml", &filter(&rule(element)).replace("'x'", "'y'")),
    ]);
    refused(&folder, &[part]);
}

#[test]
fn many_references_with_a_long_list_each() {
    // Two megabytes of values that ten thousand references would hold copies of.
    let values = list("A", 50_000);
    let references = "<filterref filter='z'><parameter name='B' value='1'/></filterref>\n";
    let middle = format!("<filter name='y'>\n{}</filter>", references.repeat(10_000));
    let leaf = format!("<filter name='z'>{}</filter>", rule("<ip srcipaddr='$A'/>"));
    let folder = Folder::of(&[
        ("x.xml", &filter(&values)),
        ("y.xml", &middle),
        ("z.xml", &leaf),
    ]);
    refused(
        &folder,
        &["./z.xml:1:18: rule 1 of z: the filter expands to more than 20000 rules"],
    );
}

#[test]
fn the_largest_filter_that_is_read_is_checked_too() {
    let rule = |at: usize| {
        format!(
            "<rule action='drop' direction='out' priority='{}'><ip dstipaddr='10.{}.{}.0' dstipmask='24' protocol='udp' dstportstart='{}'/></rule>\n",
            at % 1000,
            at / 250 % 250,
            at % 250,
            at % 60_000
        )
    };
    let text = filter(&repeated(20_000, rule));
    let folder = Folder::of(&[("x.xml", &text)]);
    let (code, stdout, stderr) = folder.run(&["check", "x.xml", "--policy", POLICY]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stdout.contains("FAIL"), "{stdout}");
}

#[test]
fn frames_cut_at_every_byte() {
    let folder = Folder::of(&[(
        "x.xml",
        &filter(
            &(rule("<ip protocol='tcp' dstportstart='80'/>")
                + &rule("<tcp flags='SYN/SYN'/>")
                + &rule("<icmpv6 type='1'/>")),
        ),
    )]);
    let whole = [
        // TCP with options over IPv4 with options, ARP, ICMPv6 behind a hop-by-hop header.
        "525400000001525400000101080046000034000000004006\
         7ccdc0a8014dcb00710a940400009c4001bb0000000100000000600220000000000002040\
         5b40000",
        "ffffffffffff525400000101080600010800060400015254000001 01c0a8014d000000000000c0a80101",
        "33330000000152540000010186dd60000000001000fffe8000000000000000000000000000770000ff02000000000000000000000000000\
         13a00050200000000870000000000000000000000",
    ];
    let mut arguments = vec!["explain".to_owned(), "x.xml".to_owned()];
    for frame in whole {
        let digits: String = frame.chars().filter(char::is_ascii_hexdigit).collect();
        for bytes in 0..=digits.len() / 2 {
            arguments.push(format!("--frame={}", &digits[..2 * bytes]));
        }
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, stdout, stderr) = folder.run(&arguments);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout.matches("from the guest, ").count(),
        arguments.len() - 2
    );
}

#[rstest]
#[case::no_capture(&[0; 24], "f.pcap:")]
#[case::empty(&[], "f.pcap:")]
#[case::cut_header(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0], "f.pcap:")]
#[case::endless_packet(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f], "f.pcap:")]
#[case::endless_block(&[0x0a, 0x0d, 0x0d, 0x0a, 0xff, 0xff, 0xff, 0x7f, 0x4d, 0x3c, 0x2b, 0x1a], "f.pcap:")]
fn captures(#[case] bytes: &[u8], #[case] part: &str) {
    let folder = Folder::of(&[("x.xml", &filter(""))]);
    std::fs::write(folder.path("f.pcap"), bytes).unwrap();
    let (code, _, stderr) = folder.run(&["explain", "x.xml", "--pcap", "f.pcap"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(part), "{stderr}");
}

#[rstest]
#[case::deep_arrays(&format!("[lan]\nprefixes = {}", "[".repeat(100_000)), "p.toml:2:")]
#[case::deep_tables(&format!("{}=1", "a.".repeat(100_000) + "a"), "p.toml:1:")]
#[case::megabyte_value(&format!("[lan]\nprefixes = [\"{}\"]", "1".repeat(1 << 20)), "p.toml:2:")]
#[case::megabyte_name(&format!("name = \"{}\"\n[lan]\nprefixes = [\"10.0.0.0/8\"]", "n".repeat(1 << 20)), "p.toml:1:")]
#[case::many_prefixes(&format!("[lan]\nprefixes = [{}]", repeated(100_000, |at| format!("\"10.{}.{}.0/24\",", at / 256 % 256, at % 256))), "p.toml:2:")]
#[case::binary("\u{0}\u{1}", "p.toml:1:")]
#[case::empty("", "p.toml:1:")]
fn policies(#[case] text: &str, #[case] part: &str) {
    let folder = Folder::of(&[("p.toml", text)]);
    for verb in ["generate", "check"] {
        let (code, _, stderr) = folder.run(&[verb, "--policy", "p.toml"]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
        assert!(stderr.len() < 2000, "{} bytes", stderr.len());
    }
}
