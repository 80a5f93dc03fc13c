//! What lanfence tells the guest on the kernel command line.

/// lanfence's words on the kernel command line; everything else is the kernel's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cmdline {
    /// `lanfence.nonce=…`, repeated in the READY line.
    pub nonce: String,
    /// `lanfence.modules=ne:io=0x300:irq=9,cdc_ether`: drivers of NICs that no
    /// PCI ID announces, each with its module parameters.
    pub modules: Vec<Wanted>,
    /// `lanfence.prepare`: a snapshot of the guest will be taken before it has a NIC. What
    /// every guest restored from it would do first is done before.
    pub prepare: bool,
}

/// A driver to load whether or not its device can be seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Driver name as in `/lib/modules/order`.
    pub driver: String,
    /// Module parameters as `finit_module` takes them, separated by blanks.
    pub parameters: String,
}

/// Where QEMU's `ne2k_isa` sits by default; the driver probes nothing by itself.
const NE_DEFAULT: &str = "io=0x300";

impl Cmdline {
    /// Reads the words that concern the agent. A word given twice counts with its last value,
    /// as the kernel does it.
    pub fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for word in text.split_ascii_whitespace() {
            if let Some(nonce) = word.strip_prefix("lanfence.nonce=") {
                nonce.clone_into(&mut found.nonce);
            } else if word == "lanfence.prepare" {
                found.prepare = true;
            } else if let Some(list) = word.strip_prefix("lanfence.modules=") {
                found.modules = list
                    .split(',')
                    .filter(|one| !one.is_empty())
                    .map(Wanted::parse)
                    .collect();
            }
        }
        found
    }
}

impl Wanted {
    fn parse(text: &str) -> Self {
        let (driver, parameters) = text.split_once(':').unwrap_or((text, ""));
        let parameters = match (driver, parameters) {
            ("ne", "") => NE_DEFAULT.to_owned(),
            _ => parameters.replace(':', " "),
        };
        Self {
            driver: driver.to_owned(),
            parameters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(driver: &str, parameters: &str) -> Wanted {
        Wanted {
            driver: driver.into(),
            parameters: parameters.into(),
        }
    }

    #[test]
    fn reads_its_own_words_only() {
        let got = Cmdline::parse("console=ttyS0 quiet lanfence.nonce=a1b2 panic=-1\n");
        assert_eq!(got.nonce, "a1b2");
        assert_eq!(got.modules, []);
    }

    #[test]
    fn reads_drivers_with_parameters() {
        let got = Cmdline::parse("lanfence.modules=ne:io=0x300:irq=9,cdc_ether");
        assert_eq!(
            got.modules,
            [wanted("ne", "io=0x300 irq=9"), wanted("cdc_ether", "")]
        );
    }

    #[test]
    fn ne_without_parameters_is_told_where_qemu_puts_it() {
        let got = Cmdline::parse("lanfence.modules=ne,");
        assert_eq!(got.modules, [wanted("ne", NE_DEFAULT)]);
    }

    #[test]
    fn only_the_whole_word_prepares() {
        assert!(Cmdline::parse("quiet lanfence.prepare\n").prepare);
        for other in ["lanfence.prepared", "lanfence.prepare=0", "prepare"] {
            assert!(!Cmdline::parse(other).prepare, "{other}");
        }
    }

    #[test]
    fn the_last_value_counts() {
        let got = Cmdline::parse("lanfence.nonce=old lanfence.nonce=new xlanfence.nonce=no");
        assert_eq!(got.nonce, "new");
    }

    #[test]
    fn nothing_is_fine() {
        assert_eq!(Cmdline::parse(""), Cmdline::default());
    }
}
