//! The modules of a crate as its files say them: what each defines, hands on and names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// Segments of a path, from the crate's root.
pub type Segments = Vec<String>;

/// One file of a crate.
#[derive(Debug, Default)]
pub struct Module {
    /// Where it lies, relative to the repository.
    pub file: PathBuf,
    /// Names of the items that it defines.
    defined: BTreeSet<String>,
    /// Names that it hands on (`pub use`), with what they stand for; `*` for globs.
    handed_on: Vec<(String, Segments)>,
    /// Names that it imports, with what they stand for.
    imported: BTreeMap<String, Segments>,
    /// Every path that its code names, outside of tests.
    named: Vec<Segments>,
    /// Names of the modules below it that are only there for tests.
    for_tests: Vec<String>,
}

/// The modules of a crate by their paths.
pub struct Crate {
    /// Its modules; that of its root has no segments.
    pub modules: BTreeMap<Segments, Module>,
}

impl Crate {
    /// Reads the crate whose root file lies in this directory of the repository, but for
    /// the directories that belong to another crate.
    pub fn read(repository: &Path, root: &str, others: &[&str]) -> Self {
        let mut modules = BTreeMap::new();
        for file in rust_files(&repository.join(root)) {
            let relative = file.strip_prefix(repository).expect("below the repository");
            if others.iter().any(|other| relative.starts_with(other)) {
                continue;
            }
            // The program is a crate of its own beside the library.
            if file.ends_with("main.rs") && file.with_file_name("lib.rs").exists() {
                continue;
            }
            let path = module_path(relative.strip_prefix(root).expect("below the root"));
            modules.insert(path, parse(&file, relative));
        }
        let mut read = Self { modules };
        read.leave_tests_out();
        read
    }

    /// Takes out the modules that are only there for tests: they may need what they test.
    fn leave_tests_out(&mut self) {
        let tests: Vec<Segments> = self
            .modules
            .iter()
            .flat_map(|(path, module)| {
                let below = |name: &String| [path.clone(), vec![name.clone()]].concat();
                module.for_tests.iter().map(below).collect::<Vec<_>>()
            })
            .collect();
        self.modules
            .retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
    }

    /// The files that each file needs for what its own code names.
    pub fn edges(&self) -> BTreeMap<&Path, BTreeSet<&Path>> {
        let mut edges = BTreeMap::new();
        for (path, module) in &self.modules {
            let mut needed = BTreeSet::new();
            let imports = module.imported.values();
            for name in imports.chain(&module.named) {
                let full = self.absolute(path, module, name);
                if let Some(file) = full.and_then(|full| self.home(&full, 0)) {
                    needed.insert(file);
                }
            }
            needed.remove(module.file.as_path());
            edges.insert(module.file.as_path(), needed);
        }
        edges
    }

    /// A path from the crate's root; none where it leads out of the crate.
    fn absolute(&self, path: &Segments, module: &Module, name: &Segments) -> Option<Segments> {
        let (first, rest) = name.split_first()?;
        let base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => path.clone(),
            "super" => {
                let mut base = path.clone();
                base.pop()?;
                return self.absolute(&base, module, &[&["self".to_owned()][..], rest].concat());
            }
            _ => match module.imported.get(first) {
                Some(import) if import != name => {
                    let import = self.absolute(path, module, import)?;
                    return Some([import, rest.to_vec()].concat());
                }
                _ => {
                    let child = [path.clone(), vec![first.clone()]].concat();
                    self.modules.contains_key(&child).then_some(())?;
                    return Some([child, rest.to_vec()].concat());
                }
            },
        };
        match rest.split_first() {
            Some((next, _)) if next == "super" => self.absolute(&base, module, &rest.to_vec()),
            _ => Some([base, rest.to_vec()].concat()),
        }
    }

    /// The file that defines what a path from the root stands for; none for a module
    /// itself, which is only a way to its items.
    fn home(&self, full: &Segments, depth: usize) -> Option<&Path> {
        let mut at = Segments::new();
        for (place, segment) in full.iter().enumerate() {
            let below = [at.clone(), vec![segment.clone()]].concat();
            if self.modules.contains_key(&below) {
                at = below;
                continue;
            }
            let module = self.modules.get(&at)?;
            if module.defined.contains(segment) || depth > 8 {
                return Some(&module.file);
            }
            let rest = &full[place + 1..];
            for (name, stands_for) in &module.handed_on {
                let target = match name.as_str() {
                    "*" => [stands_for.clone(), vec![segment.clone()]].concat(),
                    name if name == segment => stands_for.clone(),
                    _ => continue,
                };
                let target = self.absolute(&at, module, &[&target[..], rest].concat());
                let home = target.and_then(|target| self.home(&target, depth + 1));
                // What is not found here and has this very name is another crate's.
                if home.is_some() || name != "*" {
                    return home;
                }
            }
            return Some(&module.file);
        }
        None
    }
}

/// All Rust files below a directory, or none where there is no such directory.
pub fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// `verify/guests/mod.rs` is `verify::guests`; the crate's root has no segments.
fn module_path(file: &Path) -> Segments {
    let mut path: Segments = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if matches!(
        path.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        path.pop();
    }
    path
}

fn parse(file: &Path, relative: &Path) -> Module {
    let text = std::fs::read_to_string(file).expect("a readable file");
    let parsed = syn::parse_file(&text)
        .unwrap_or_else(|error| panic!("{} is no Rust: {error}", relative.display()));
    let mut module = Module {
        file: relative.to_owned(),
        ..Module::default()
    };
    Reader {
        module: &mut module,
    }
    .visit_file(&parsed);
    module
}

/// A function as far as its length matters.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
    /// It is one expression, as a list or a `match` over all that there is.
    pub is_table: bool,
}

/// The functions of a file, tests and all.
pub fn functions(file: &syn::File) -> Vec<Function> {
    struct Lengths(Vec<Function>);
    impl Lengths {
        fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
            let first = signature.fn_token.span().start().line;
            let last = block.span().end().line;
            self.0.push(Function {
                name: signature.ident.to_string(),
                lines: last - first + 1,
                is_table: matches!(block.stmts.as_slice(), [_]),
            });
        }
    }
    impl<'ast> Visit<'ast> for Lengths {
        fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
            self.add(&item.sig, &item.block);
            visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
            self.add(&item.sig, &item.block);
            visit::visit_impl_item_fn(self, item);
        }
        fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
            if let Some(block) = &item.default {
                self.add(&item.sig, block);
            }
            visit::visit_trait_item_fn(self, item);
        }
    }
    let mut lengths = Lengths(Vec::new());
    lengths.visit_file(file);
    lengths.0
}

/// Collects what a file says, outside of its tests.
struct Reader<'m> {
    module: &'m mut Module,
}

impl Reader<'_> {
    fn import(&mut self, tree: &syn::UseTree, before: &Segments, public: bool) {
        let with = |name: String| [before.clone(), vec![name]].concat();
        match tree {
            syn::UseTree::Path(path) => {
                self.import(&path.tree, &with(path.ident.to_string()), public);
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                let last = before.last().cloned().unwrap_or_default();
                self.take(last, before.clone(), public);
            }
            syn::UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.take(name.clone(), with(name), public);
            }
            syn::UseTree::Rename(rename) => {
                let (old, new) = (rename.ident.to_string(), rename.rename.to_string());
                self.take(new, with(old), public);
            }
            syn::UseTree::Glob(_) => self.take("*".into(), before.clone(), public),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before, public);
                }
            }
        }
    }

    fn take(&mut self, name: String, stands_for: Segments, public: bool) {
        if public {
            self.module.handed_on.push((name, stands_for));
        } else if name != "*" {
            self.module.imported.insert(name, stands_for);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let (attributes, name) = match item {
            syn::Item::Fn(item) => (&item.attrs, Some(&item.sig.ident)),
            syn::Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Const(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Static(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Type(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Trait(item) => (&item.attrs, Some(&item.ident)),
            syn::Item::Macro(item) => (&item.attrs, item.ident.as_ref()),
            syn::Item::Mod(item) => (&item.attrs, item.content.as_ref().map(|_| &item.ident)),
            syn::Item::Impl(item) => (&item.attrs, None),
            syn::Item::Use(item) => (&item.attrs, None),
            _ => return,
        };
        if attributes.iter().any(is_for_tests) {
            if let syn::Item::Mod(item) = item {
                self.module.for_tests.push(item.ident.to_string());
            }
            return;
        }
        self.module.defined.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        self.import(&item.tree, &Vec::new(), public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        let segments: Segments = segments.map(|part| part.ident.to_string()).collect();
        if segments.len() > 1 {
            self.module.named.push(segments);
        }
        visit::visit_path(self, path);
    }
}

/// `#[cfg(test)]` and its like.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| {
            let text = list.tokens.to_string();
            text.contains("test") && !text.contains("not")
        })
}
