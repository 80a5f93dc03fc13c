//! The DHCP clients of the cells: the grid that table and Markdown share, and
//! what its checksums mean for old guests.

use crate::frame::Checksum;
use crate::report::findings::{labels, list};
use crate::report::matrix;
use crate::report::model::{BackEnd, Cell, ClientRun, DhcpClient, DhcpClients, Run};
use crate::report::text::clean;

/// Title of the section.
pub const TITLE: &str = "DHCP clients of other systems";

/// What to know to read the grid.
pub const REMARK: &str = "milliseconds to get the lease + to renew it; in parentheses: without the filter; real: the \
     software itself, the others are played";

/// What the NIC's owner can do.
const CURE: &str = "The cure is pcnet, rtl8139 or e1000, or <driver name='qemu'/>.";

/// Where the unfinished checksums come from (measured: docs/measurements.md#M46).
const WHERE: &str = "So it is where the DHCP server runs on the host itself, at a bridge of the host's \
                     own. libvirt's own networks finish these checksums (an iptables CHECKSUM rule, or \
                     a tc filter with firewall_backend = \"nftables\"); --segment network lays one out.";

/// A grid: what the first column is called, the others, and the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Name of the first column.
    pub corner: &'static str,
    /// Names of the others.
    pub columns: Vec<String>,
    /// The first entry of each row, and the rest.
    pub rows: Vec<(String, Vec<String>)>,
}

/// The clients by cell, or the cells by client where there are many; none where no
/// cell had clients.
pub fn grid(run: &Run) -> Option<Grid> {
    let cells = cells(run);
    let all = all(&cells)?;
    let columns: Vec<Vec<String>> = cells.iter().map(|(_, of)| entries(of, &all)).collect();
    let labels = cells.iter().map(|(label, _)| label.clone());
    if matrix::suits(run) {
        let names = all.iter().map(|client| clean(&client.name));
        return Some(Grid {
            corner: "cell",
            columns: names.chain(["tap".into(), "guest".into()]).collect(),
            rows: labels.zip(columns).collect(),
        });
    }
    let sums = ["checksums at the tap", "checksums at the guest"];
    let names = all.iter().copied().map(heading);
    let names = names.chain(sums.map(str::to_owned)).enumerate();
    let row = |at: usize| columns.iter().map(|column| column[at].clone()).collect();
    Some(Grid {
        corner: "client",
        columns: labels.collect(),
        rows: names.map(|(at, name)| (name, row(at))).collect(),
    })
}

fn cells(run: &Run) -> Vec<(String, &DhcpClients)> {
    let labelled = labels(run).into_iter().zip(&run.cells);
    labelled
        .filter_map(|(label, cell)| Some((label, cell.dhcp.as_ref()?)))
        .filter(|(_, of)| !of.clients.is_empty())
        .collect()
}

/// Every client once: those of the cell with most of them, then those of the others.
fn all<'a>(cells: &[(String, &'a DhcpClients)]) -> Option<Vec<&'a DhcpClient>> {
    let (_, longest) = cells.iter().max_by_key(|(_, of)| of.clients.len())?;
    let others = cells.iter().flat_map(|(_, of)| &of.clients);
    let mut all: Vec<&DhcpClient> = Vec::new();
    for client in longest.clients.iter().chain(others) {
        if all.iter().all(|known| known.name != client.name) {
            all.push(client);
        }
    }
    Some(all)
}

fn heading(client: &DhcpClient) -> String {
    let how = if client.strict { ", checks sums" } else { "" };
    format!("{}{how}", clean(&client.system))
}

/// A cell's entries: one a client of `like`, then the checksums.
fn entries(of: &DhcpClients, like: &[&DhcpClient]) -> Vec<String> {
    let entry = |wanted: &&DhcpClient| {
        let found = of.clients.iter().find(|client| client.name == wanted.name);
        found.map_or_else(|| "-".into(), entry)
    };
    let mut all: Vec<String> = like.iter().map(entry).collect();
    all.extend([of.at_tap(), of.at_guest()].map(|sum| sum.map_or("-", word).to_owned()));
    all
}

fn entry(client: &DhcpClient) -> String {
    let figures = match &client.filtered {
        Some(run) => figures(run),
        None => format!("({})", figures(&client.control)),
    };
    if client.real {
        format!("real: {figures}")
    } else {
        figures
    }
}

fn figures(run: &ClientRun) -> String {
    let ms = |us: Option<u64>| {
        us.map_or_else(
            || "-".into(),
            |us| format!("{}.{}", us / 1000, us % 1000 / 100),
        )
    };
    if run.refused {
        return "refused".into();
    }
    if run.failure.is_some() {
        return "failed".into();
    }
    match run.renewed_us {
        Some(_) => format!("{} + {}", ms(run.bound_us), ms(run.renewed_us)),
        // It does not renew, or there is nothing to renew.
        None => ms(run.bound_us),
    }
}

/// A checksum in words.
fn word(sum: Checksum) -> &'static str {
    match sum {
        Checksum::Complete => "complete",
        Checksum::Partial => "left to offload",
        Checksum::Zero => "none",
        Checksum::Bad => "bad",
    }
}

/// What the checksums mean: one text for each effect, with the cells that have it.
pub fn consequences(run: &Run) -> Vec<String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (label, cell) in labels(run).into_iter().zip(&run.cells) {
        for text in of_cell(cell) {
            match found.iter_mut().find(|(known, _)| *known == text) {
                Some((_, cells)) => cells.push(label.clone()),
                None => found.push((text, vec![label.clone()])),
            }
        }
    }
    let print = |(text, cells): (String, Vec<String>)| format!("{}: {text}", list(&cells, run));
    found.into_iter().map(print).collect()
}

fn of_cell(cell: &Cell) -> Vec<String> {
    let Some(of) = &cell.dhcp else {
        return Vec::new();
    };
    let unfinished = |sum: Option<Checksum>| sum.is_some_and(|sum| !sum.adds_up());
    let mut texts = Vec::new();
    if unfinished(of.at_guest()) && cell.back_end == Some(BackEnd::VhostNet) {
        let state = of.at_guest().map_or("", word);
        texts.push(format!(
            "vhost-net carries the NIC and hands the guest the server's answers as they reach the \
             tap, with UDP checksums that do not add up ({state}). A client that checks checksums \
             ignores them. {WHERE} {CURE}"
        ));
    } else if unfinished(of.at_guest()) {
        let state = of.at_guest().map_or("", word);
        texts.push(format!(
            "the server's answers reach the guest with UDP checksums that do not add up ({state}). \
             A client that checks checksums ignores them. {CURE}"
        ));
    } else if of.clients.iter().any(|client| client.real) {
        texts.extend(
            of.clients
                .iter()
                .filter_map(|client| of_real(client, cell.back_end)),
        );
    } else if unfinished(of.at_tap()) && of.vhost.is_empty() {
        texts.push(
            "the server's answers reach the tap with unfinished UDP checksums, and QEMU's model of \
             the NIC finishes them: a client that checks checksums accepts them"
                .to_owned(),
        );
    } else if unfinished(of.at_tap()) {
        let shown = shown_on_vhost(of);
        texts.push(format!(
            "the server's answers reach the tap with unfinished UDP checksums, and QEMU's own back \
             end finishes them for DHCP. vhost-net does not{shown}. A client that checks checksums \
             would not hear them. {WHERE} {CURE}"
        ));
    }
    let failed = of
        .clients
        .iter()
        .filter(|client| client.control.failure.is_some());
    texts.extend(failed.map(|client| {
        let why = client.control.failure.as_deref().unwrap_or_default();
        format!(
            "without the filter, the client of {}: {}",
            clean(&client.system),
            clean(why)
        )
    }));
    texts
}

/// What real software made of unfinished checksums: those that reach its NIC in any case, and those
/// that it was given.
fn of_real(client: &DhcpClient, back_end: Option<BackEnd>) -> Option<String> {
    let system = clean(&client.system);
    if client.control.refused && back_end == Some(BackEnd::VhostNet) {
        return Some(format!(
            "vhost-net carries the NIC, and {system} itself refused the server's answers, whose UDP \
             checksums are unfinished. {WHERE} {CURE}"
        ));
    }
    let run = client.unfinished.as_ref()?;
    Some(match (run.refused, run.bound_us, &run.failure) {
        (true, ..) => format!(
            "{system} itself refused an offer with an unfinished UDP checksum, as vhost-net hands it to a \
             guest whose virtio driver has said that it finishes checksums"
        ),
        (_, Some(_), None) => format!(
            "{system} itself took an offer with an unfinished UDP checksum: it does not check them"
        ),
        (.., why) => format!(
            "what {system} itself makes of an unfinished UDP checksum is not known: {}",
            clean(why.as_deref().unwrap_or("nothing was seen"))
        ),
    })
}

/// What was seen on a tap as vhost-net reads it.
fn shown_on_vhost(of: &DhcpClients) -> String {
    let names = |refused: bool| {
        let some = of
            .vhost
            .iter()
            .filter(|client| client.control.refused == refused);
        let names: Vec<String> = some.map(|client| clean(&client.system)).collect();
        names.join(", ")
    };
    match (names(true).as_str(), names(false).as_str()) {
        ("", _) => String::new(),
        (refused, "") => format!(" (on a tap that is read as it does, {refused} refused them)"),
        (refused, took) => {
            format!(" (on a tap that is read as it does, {refused} refused them; {took} took them)")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;
    use rstest::rstest;

    #[rstest]
    #[case::done(ClientRun { bound_us: Some(12_345), renewed_us: Some(950), ..ClientRun::default() }, "12.3 + 0.9")]
    #[case::refused(ClientRun { refused: true, failure: Some("x".into()), ..ClientRun::default() }, "refused")]
    #[case::no_renewal(ClientRun { bound_us: Some(204_950), ..ClientRun::default() }, "204.9")]
    #[case::failed(ClientRun { bound_us: Some(1), failure: Some("x".into()), ..ClientRun::default() }, "failed")]
    fn entries_are_short(#[case] run: ClientRun, #[case] expected: &str) {
        assert_eq!(figures(&run), expected);
    }

    #[test]
    fn what_the_guest_gets_counts_more_than_what_the_tap_gets() {
        let mut run = examples::clients();
        let told = consequences(&run).join("\n");
        assert!(
            told.starts_with("virtio: ") && told.contains("QEMU's own back end"),
            "{told}"
        );
        // Only virtio can be given to vhost-net.
        run.cells[1].dhcp.as_mut().unwrap().vhost.clear();
        let told = consequences(&run).join("\n");
        assert!(
            told.contains("model of the NIC finishes them") && !told.contains(CURE),
            "{told}"
        );
        for client in &mut run.cells[1].dhcp.as_mut().unwrap().clients {
            client.control.at_guest = Some(Checksum::Partial);
        }
        let told = consequences(&run).join("\n");
        assert!(
            told.contains("reach the guest") && told.contains(CURE),
            "{told}"
        );
    }

    /// GRUB itself beside a cell in which others are played.
    fn with_grub(unfinished: ClientRun) -> Run {
        let mut run = examples::clients();
        let took = ClientRun {
            bound_us: Some(208_000),
            at_tap: Some(Checksum::Complete),
            ..ClientRun::default()
        };
        run.cells[1].name = "grub/pcnet".into();
        run.cells[1].dhcp = Some(DhcpClients {
            clients: vec![DhcpClient {
                name: "grub".into(),
                system: "GRUB".into(),
                strict: true,
                real: true,
                control: took.clone(),
                filtered: Some(took),
                unfinished: Some(unfinished),
            }],
            vhost: Vec::new(),
        });
        run
    }

    #[test]
    fn real_software_stands_beside_what_is_played_and_is_marked() {
        let grid = grid(&with_grub(ClientRun::default())).expect("a grid");
        let names: Vec<&str> = grid.rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[2], "GRUB, checks sums", "{names:?}");
        assert_eq!(grid.rows[2].1, ["-", "real: 208.0"]);
        assert_eq!(grid.rows[0].1[1], "-", "Windows is not played there");
    }

    #[rstest]
    #[case::refused(ClientRun { refused: true, failure: Some("x".into()), ..ClientRun::default() }, "GRUB itself refused an offer")]
    #[case::taken(ClientRun { bound_us: Some(1), ..ClientRun::default() }, "GRUB itself took an offer")]
    #[case::neither(ClientRun { failure: Some("it sent no DISCOVER".into()), ..ClientRun::default() }, "not known: it sent no DISCOVER")]
    fn what_real_software_makes_of_an_unfinished_sum_is_said(
        #[case] unfinished: ClientRun,
        #[case] words: &str,
    ) {
        let told = consequences(&with_grub(unfinished)).join("\n");
        assert!(told.contains(words), "{told}");
    }

    #[test]
    fn many_cells_get_a_line_each() {
        let mut run = examples::clients();
        while !matrix::suits(&run) {
            let mut more = run.cells[0].clone();
            more.name = format!("linux/{}", run.cells.len());
            run.cells.push(more);
        }
        let grid = grid(&run).unwrap();
        assert_eq!((grid.corner, grid.rows.len()), ("cell", run.cells.len()));
        assert!(
            grid.rows
                .iter()
                .all(|row| row.1.len() == grid.columns.len())
        );
    }

    #[test]
    fn a_run_without_clients_has_no_section() {
        assert_eq!(grid(&examples::green()), None);
        assert!(consequences(&examples::green()).is_empty());
    }
}
