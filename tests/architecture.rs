//! Holds the house to its plan: floors, doors, circles, sizes, opening sentences, and documents that
//! are true.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the house should fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Low to high. A module imports only from floors below its own.
const FLOORS: &[&[&str]] = &[
    &["money", "period", "meter", "digest", "failpoint", "owner_only"],
    &["names"],
    &["usage", "access", "invoice"],
    &["dialect", "pricing"],
    &["routing", "metering", "ledger", "upstream"],
    &["reconcile"],
    &["journal", "store"],
    &["gateway", "bookkeeping"],
    &["ingress", "dashboard", "sandbox"],
    &["config", "telemetry"],
    &["serve"],
    &["cli"],
    &["main", "lib"],
];

/// Which rooms may name a heavy dependency.
const DOORS: &[(&str, &[&str])] = &[
    ("sqlx", &["journal", "store"]),
    ("rusqlite", &["journal"]),
    ("hyper_util::client", &["upstream"]),
    ("hyper_rustls", &["upstream"]),
    ("axum", &["ingress", "dashboard", "sandbox", "serve"]),
    ("askama", &["dashboard"]),
    ("csv", &["invoice", "bookkeeping", "dashboard", "sandbox"]),
    ("tiktoken_rs", &["metering"]),
    ("clap", &["cli", "main"]),
    ("toml", &["pricing", "config"]),
];

/// Rooms that know no runtime: bytes and values in, values out.
const PURE: &[&str] = &[
    "money",
    "period",
    "meter",
    "digest",
    "names",
    "usage",
    "access",
    "invoice",
    "dialect",
    "pricing",
    "routing",
    "metering",
    "ledger",
    "reconcile",
];

/// Lines of code a file may hold, its inline tests not counted.
const LINES_MAX: usize = 400;

struct Source {
    path: PathBuf,
    room: String,
    /// The text up to the inline tests, comments taken out.
    code: String,
    first_line: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_under(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let source_root = root().join("src");
    let mut sources = Vec::new();
    for path in files_under(&source_root, "rs") {
        let inside = path.strip_prefix(&source_root).unwrap();
        // A file of tests only, declared under #[cfg(test)], is no part of the house.
        if inside.file_stem().is_some_and(|stem| stem == "tests")
            || inside.components().any(|part| part.as_os_str() == "tests")
        {
            continue;
        }
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let before_tests = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let code = before_tests
            .lines()
            .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
            .collect::<Vec<_>>()
            .join("\n");
        sources.push(Source {
            room: first.trim_end_matches(".rs").to_owned(),
            code,
            first_line: text.lines().next().unwrap_or_default().to_owned(),
            path: inside.to_owned(),
        });
    }
    sources
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

/// The identifiers that directly follow `prefix`, also inside one level of braces.
fn names_after(code: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let identifier = |text: &str| -> String {
            text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        };
        if let Some(group) = rest.strip_prefix('{') {
            let group = group.split('}').next().unwrap_or_default();
            names.extend(group.split(',').map(identifier));
        } else {
            names.push(identifier(rest));
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The paths that begin behind each `prefix`, groups in braces taken apart.
fn paths_after(code: &str, prefix: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        read_path(&code[at + prefix.len()..], String::new(), &mut paths);
    }
    paths
}

/// Reads one path or group of paths; what is left of the text behind it.
fn read_path<'t>(text: &'t str, begun: String, paths: &mut Vec<String>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        while !rest.is_empty() && !rest.starts_with('}') {
            rest = read_path(rest, begun.clone(), paths).trim_start();
            // Whatever stands here otherwise is no path of a `use`.
            rest = rest.strip_prefix(',').unwrap_or(if rest.starts_with('}') { rest } else { "" });
            rest = rest.trim_start();
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = if begun.is_empty() { name.to_owned() } else { format!("{begun}::{name}") };
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => read_path(rest, path, paths),
        _ => {
            paths.push(path);
            rest
        }
    }
}

/// Which files each file names, as module paths.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let module = |source: &Source| {
        let path = source.path.with_extension("");
        let path = if path.ends_with("mod") { path.parent().unwrap().to_owned() } else { path };
        path.to_str().unwrap().replace('/', "::")
    };
    let sources = sources();
    let modules: BTreeSet<String> = sources.iter().map(module).collect();
    let file_of = |path: &str| {
        let mut path = path;
        loop {
            if modules.contains(path) {
                return Some(path.to_owned());
            }
            (path, _) = path.rsplit_once("::")?;
        }
    };
    let mut imports = BTreeMap::new();
    for source in &sources {
        let own = module(source);
        let parent = own.rsplit_once("::").map_or("", |(parent, _)| parent);
        let beside = paths_after(&source.code, "super::");
        let beside = beside.iter().map(|path| format!("{parent}::{path}"));
        let paths = paths_after(&source.code, "crate::").into_iter().chain(beside);
        let mut named: BTreeSet<String> = paths.filter_map(|path| file_of(&path)).collect();
        named.remove(&own);
        imports.insert(own, named);
    }
    imports
}

fn assert_none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_module_stands_above_what_it_imports() {
    let mut faults = Vec::new();
    for source in sources() {
        let Some(floor) = floor_of(&source.room) else {
            faults.push(format!("{}: {} is on no floor", source.path.display(), source.room));
            continue;
        };
        for named in names_after(&source.code, "crate::") {
            let not_below = floor_of(&named).is_some_and(|other| other >= floor);
            if named != source.room && not_below {
                let (path, room) = (source.path.display(), &source.room);
                faults.push(format!("{path}: {room} may not import {named}"));
            }
        }
        if source.code.contains("super::super") {
            faults.push(format!("{}: say crate:: instead of super::super", source.path.display()));
        }
    }
    assert_none(faults);
}

/// A file can be read with those below it alone: no chain of imports comes back to where it began.
#[test]
fn no_files_need_each_other() {
    let mut left = imports();
    assert!(left.values().flatten().count() > 500, "the imports are not found any more");
    loop {
        let before = left.len();
        // Off with the files that name none of those left, and with those none of them names.
        let files: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, named| named.iter().any(|file| files.contains(file)));
        let named: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|file, _| named.contains(file));
        if left.len() == before {
            break;
        }
    }
    let files: BTreeSet<String> = left.keys().cloned().collect();
    let words = |file: &String, named: &BTreeSet<String>| {
        let named: Vec<_> = named.intersection(&files).map(String::as_str).collect();
        format!("{file} is in a circle of files: it names {}", named.join(", "))
    };
    assert_none(left.iter().map(|(file, named)| words(file, named)).collect());
}

#[test]
fn heavy_dependencies_come_in_by_their_door_only() {
    let mut faults = Vec::new();
    for source in sources() {
        for (dependency, rooms) in DOORS {
            let used = source.code.match_indices(&format!("{dependency}::")).any(|(at, _)| {
                let before = source.code[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if used && !rooms.contains(&source.room.as_str()) {
                faults.push(format!("{}: no door for {dependency}", source.path.display()));
            }
        }
        if PURE.contains(&source.room.as_str()) && source.code.contains("tokio::") {
            faults.push(format!("{}: a pure room knows no runtime", source.path.display()));
        }
        let tells_time =
            source.code.contains("Utc::now") || source.code.contains("SystemTime::now");
        if tells_time && !["serve", "cli"].contains(&source.room.as_str()) {
            faults.push(format!("{}: only serve and cli read the clock", source.path.display()));
        }
    }
    assert_none(faults);
}

#[test]
fn files_are_short_and_open_with_a_sentence() {
    let mut faults = Vec::new();
    for source in sources() {
        let path = source.path.display();
        let lines = source.code.lines().filter(|line| !line.trim().is_empty()).count();
        if lines > LINES_MAX {
            faults.push(format!("{path}: {lines} lines of code, limit {LINES_MAX}"));
        }
        if !source.first_line.starts_with("//! ") {
            faults.push(format!("{path}: the first line says what it is: `//! ...`"));
        }
        for drawer in ["utils", "util", "types", "common", "helpers", "misc"] {
            let named_so = |part: std::path::Component<'_>| {
                Path::new(part.as_os_str()).file_stem().is_some_and(|stem| stem == drawer)
            };
            if source.path.components().any(named_so) {
                faults.push(format!("{path}: `{drawer}` is a drawer, not a room"));
            }
        }
    }
    assert_none(faults);
}

#[test]
fn a_folders_mod_file_is_not_imported_by_its_children() {
    let mut faults = Vec::new();
    for source in sources() {
        let is_child = source.path.components().count() == 2
            && source.path.file_name().is_some_and(|name| name != "mod.rs");
        if !is_child {
            continue;
        }
        for named in names_after(&source.code, &format!("crate::{}::", source.room)) {
            let folder = root().join("src").join(&source.room);
            if !folder.join(format!("{named}.rs")).exists() && !folder.join(&named).exists() {
                let path = source.path.display();
                faults.push(format!("{path}: import {named} from the file that defines it"));
            }
        }
    }
    assert_none(faults);
}

#[test]
fn every_path_the_documents_name_exists() {
    let mut faults = Vec::new();
    let folders = ["src/", "tests/", "templates/", "migrations/", "pricing/", "benches/", ".ci/"];
    for document in ["README.md", "ARCHITECTURE.md", "migrations/README.md", "pricing/README.md"] {
        let Ok(text) = fs::read_to_string(root().join(document)) else {
            faults.push(format!("{document} is missing"));
            continue;
        };
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
                && folders.iter().any(|folder| quoted.starts_with(folder));
            if is_path && !root().join(quoted).exists() {
                faults.push(format!("{document} names {quoted}, which does not exist"));
            }
        }
    }
    assert_none(faults);
}

#[test]
fn every_page_template_has_its_handler_of_the_same_name() {
    let mut faults = Vec::new();
    for template in files_under(&root().join("templates"), "html") {
        let name = template.file_stem().unwrap().to_str().unwrap().to_owned();
        let shared = ["base", "error", "macros"].contains(&name.as_str()) || name.starts_with('_');
        let pages = root().join("src/dashboard");
        let has_handler = pages.join(format!("{name}.rs")).exists() || pages.join(&name).exists();
        if !shared && !has_handler {
            faults.push(format!("templates/{name}.html has no src/dashboard/{name}.rs"));
        }
    }
    assert_none(faults);
}

#[test]
fn the_tests_that_link_the_crate_are_one_binary() {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let is_target =
            path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").exists();
        let inside = path.strip_prefix(root()).unwrap();
        if is_target
            && ![Path::new("tests/architecture.rs"), Path::new("tests/it")].contains(&inside)
        {
            faults
                .push(format!("{}: a room of tests/it, not a binary of its own", inside.display()));
        }
    }
    assert_none(faults);
}
