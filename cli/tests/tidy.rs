//! The rules of the house that a compiler does not hold: which crate may depend on which, that cores are pure, how long a
//! file may get. Reads the sources as text; fails with the place and the rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file there may be, in lines.
const LINES_MAX: usize = 900;

/// What each crate may depend on, of ours. An arrow that is not here points up, or is new and belongs here with a reason.
const ARROWS: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("supervision", &[]),
    ("assignors", &[]),
    ("assignors/range", &["assignor"]),
    ("assignors/round-robin", &["assignor"]),
    ("assignors/sticky", &["assignor"]),
    ("assignors/simulate", &["assignor"]),
    ("offsets", &["protocol", "supervision"]),
    ("coordinator", &["offsets", "protocol", "supervision"]),
    ("client", &["protocol", "supervision"]),
    (
        "consumer",
        &[
            "assignor",
            "assignor-range",
            "assignor-round-robin",
            "assignor-sticky",
            "client",
            "protocol",
            "supervision",
        ],
    ),
    (
        "broker",
        &["coordinator", "offsets", "protocol", "supervision"],
    ),
    (
        "cli",
        &[
            "assignor",
            "assignor-range",
            "assignor-round-robin",
            "assignor-simulate",
            "assignor-sticky",
            "broker",
            "client",
            "consumer",
            "protocol",
            "supervision",
        ],
    ),
    (
        "examples",
        &[
            "assignor",
            "assignor-range",
            "assignor-round-robin",
            "broker",
            "client",
            "consumer",
            "coordinator",
            "offsets",
            "protocol",
            "supervision",
        ],
    ),
    // As a package that somebody else publishes.
    ("examples/plugin-lag", &["assignor"]),
    // It speaks to brokers over the wire alone, ours as any other; of the clients it measures ours.
    ("bench", &["client", "consumer", "protocol"]),
];

/// What a core may not name, and why.
const IMPURE: &[(&str, &str)] = &[
    ("tokio", "a runtime"),
    ("ractor", "actors"),
    ("callboard_supervision", "actors"),
    ("metrics::", "metrics; effects tell the shell what to count"),
    ("rand::", "randomness is an input"),
    ("Instant::now", "time is an input"),
    ("SystemTime", "time is an input"),
    ("Uuid::new_v4", "randomness is an input"),
    ("std::fs", "files belong to shells"),
    ("std::net", "sockets belong to shells"),
    ("std::thread", "threads belong to shells"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the cli lies in the workspace")
        .to_path_buf()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust source of the workspace, with its path from the root.
fn sources() -> BTreeMap<String, String> {
    let root = root();
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = ARROWS.iter().map(|(folder, _)| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in
            fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("a folder that can be read").path();
            if path.is_dir() {
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("below the root");
                found.insert(name.to_string_lossy().into_owned(), read(&path));
            }
        }
    }
    assert!(found.len() > 100, "only {} sources were found", found.len());
    found
}

fn is_test(path: &str) -> bool {
    ["/tests/", "/benches/", "/examples/"]
        .iter()
        .any(|folder| path.contains(folder))
        || path.ends_with("tests.rs")
        || path.ends_with("testing.rs")
}

/// A source without its comments and without what only tests see.
fn code(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut lines = source.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            let indent = &line[..line.len() - line.trim_start().len()];
            let ends = [format!("{indent}}}"), format!("{indent}}};")];
            let mut item = lines
                .by_ref()
                .map(|(_, line)| line)
                .skip_while(|line| line.trim_start().starts_with("#[") || line.contains("///"));
            let first = item.next().unwrap_or_default();
            if !first.ends_with([';', '}', ',']) {
                item.find(|line| ends.iter().any(|end| line == end));
            }
            continue;
        }
        let code = line.split("//").next().unwrap_or_default();
        found.push((number + 1, code));
    }
    found
}

fn is_core(path: &str) -> bool {
    let mut parts = path.split('/').skip_while(|part| *part != "src");
    parts.any(|part| part == "core" || part == "core.rs")
}

#[test]
fn dependencies_point_down() {
    for (folder, allowed) in ARROWS {
        let manifest = read(&root().join(folder).join("Cargo.toml"));
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            // Tests may look sideways; what ships may not.
            if section != "[dependencies]" {
                continue;
            }
            if let Some(name) = line
                .split(['.', ' ', '='])
                .next()
                .and_then(|name| name.strip_prefix("callboard-"))
            {
                assert!(
                    allowed.contains(&name),
                    "{folder} depends on callboard-{name}: no arrow of ARCHITECTURE.md points there"
                );
            }
        }
    }
}

#[test]
fn every_crate_of_the_workspace_has_its_arrows() {
    let workspace = read(&root().join("Cargo.toml"));
    let members = workspace
        .split_once("members = [")
        .and_then(|(_, rest)| rest.split_once(']'))
        .expect("a workspace")
        .0;
    let members: BTreeSet<&str> = members.split('"').skip(1).step_by(2).collect();
    let known: BTreeSet<&str> = ARROWS.iter().map(|(folder, _)| *folder).collect();
    assert_eq!(members, known);
}

#[test]
fn cores_are_pure() {
    let mut cores = 0;
    for (path, source) in sources() {
        if !is_core(&path) || is_test(&path) {
            continue;
        }
        cores += 1;
        for (number, line) in code(&source) {
            for (name, why) in IMPURE {
                assert!(
                    !line.contains(name),
                    "{path}:{number} names {name} in a core: {why}"
                );
            }
        }
    }
    assert!(cores > 20, "only {cores} files of cores were found");
}

#[test]
fn offsets_know_no_kind_of_group() {
    let sources = sources();
    let offsets = "coordinator/src/core/offsets/";
    let files = sources.iter().filter(|(path, _)| path.starts_with(offsets));
    let mut looked_at = 0;
    for (path, source) in files {
        looked_at += 1;
        for (number, line) in code(source) {
            assert!(
                !line.contains("classic"),
                "{path}:{number} names the classic group: offsets ask an Owner"
            );
        }
    }
    assert!(looked_at > 3, "only {looked_at} files were looked at");
}

#[test]
fn only_supervision_starts_actors() {
    for (path, source) in sources() {
        if path.starts_with("supervision/") || is_test(&path) {
            continue;
        }
        for (number, line) in code(&source) {
            for name in ["Actor::spawn", "where_is(", "OutputPort", "ractor::pg"] {
                assert!(
                    !line.contains(name),
                    "{path}:{number} uses {name}: actors are started by callboard_supervision and never looked up"
                );
            }
        }
    }
}

/// What holds a test to `callboard_supervision::testing::Limit`, and the file that starts the limit.
const LIMITED: &[(&str, &str)] = &[
    ("Limit::start", "supervision/src/testing/limit.rs"),
    ("Stage::new", "supervision/src/testing.rs"),
    ("Bench::start", "broker/src/testing/bench.rs"),
    ("Bench::begin", "broker/src/testing/bench.rs"),
    ("with_topic(\"t\")", "broker/src/testing/bench.rs"),
    ("World::", "consumer/tests/common/mod.rs"),
    ("World::", "consumer/src/tests/mod.rs"),
    ("each(|log|", "offsets/tests/journal_conformance.rs"),
    ("House::", "offsets/tests/writer.rs"),
    ("House::", "broker/src/topics/tests.rs"),
    ("House::", "coordinator/src/tests/house.rs"),
    ("House::", "examples/tests/run.rs"),
    ("Example::", "examples/tests/run.rs"),
    ("Process::start", "cli/tests/cli/support.rs"),
    ("run(", "cli/tests/cli/support.rs"),
    ("succeed(", "cli/tests/cli/support.rs"),
];

/// What may wait for another thread, process or peer.
const WAITS: &[&str] = &[
    ".await",
    ".recv()",
    ".join().",
    ".wait().",
    ".output()",
    "block_on(",
    "thread::scope",
];

/// The functions under a test's attribute: where, and the lines.
fn tests(source: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let attribute = line.trim_start();
        if !attribute.starts_with("#[test]") && !attribute.starts_with("#[tokio::test") {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - attribute.len()]);
        let body = lines[at..].iter().take_while(|line| **line != end);
        let body: Vec<&str> = body.copied().collect();
        found.push((at + 1, body.join("\n")));
    }
    found
}

#[test]
fn no_test_waits_without_a_limit() {
    let sources = sources();
    let mut waiting = 0;
    for (path, source) in &sources {
        if path.ends_with("tidy.rs") {
            continue;
        }
        for (number, body) in tests(source) {
            if WAITS.iter().any(|wait| body.contains(wait)) {
                waiting += 1;
                assert!(
                    LIMITED.iter().any(|(name, _)| body.contains(name)),
                    "{path}:{number} may wait for ever: hold a callboard_supervision::testing::Limit"
                );
            }
        }
    }
    assert!(waiting > 100, "only {waiting} tests that wait were found");
    for (name, file) in LIMITED {
        let starts = ["Limit::start()", "Stage::new()", "pub fn start() -> Self"];
        assert!(
            starts.iter().any(|start| sources[*file].contains(start)),
            "{name} starts no limit in {file}"
        );
    }
}

#[test]
fn differences_from_kafka_are_on_their_page_and_shown_by_a_test() {
    let page = read(&root().join("docs/differences.md"));
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let mut listed = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row
            .split('|')
            .map(|cell| cell.trim().trim_matches('`'))
            .collect();
        let [_, name, theirs, ours, test, _] = cells[..] else {
            panic!("not five cells: {row}");
        };
        assert!(
            !theirs.is_empty() && !ours.is_empty(),
            "{name} says nothing"
        );
        assert!(listed.insert(name, test).is_none(), "{name} is there twice");
    }
    assert!(listed.len() > 10, "only {} were found", listed.len());

    let mut shown = BTreeSet::new();
    for (path, source) in sources() {
        if path.ends_with("tidy.rs") {
            continue;
        }
        for marked in source.split("Difference: `").skip(1) {
            let (name, after) = marked
                .split_once('`')
                .unwrap_or_else(|| panic!("{path}: a difference's name has no end"));
            let test = listed
                .get(name)
                .unwrap_or_else(|| panic!("{path}: {name} is not in docs/differences.md"));
            // The mark stands before its test, and no other test between them.
            let head = after.split_once('{').map_or(after, |(head, _)| head);
            assert!(
                head.contains(&format!("fn {test}()")),
                "{path}: {name} does not stand before {test}"
            );
            shown.insert(name.to_owned());
        }
    }
    for name in listed.keys() {
        assert!(
            shown.contains(*name),
            "no test is marked as the difference {name}"
        );
    }
}

#[test]
fn what_is_better_than_kafka_is_a_difference() {
    let page = read(&root().join("docs/differences.md"));
    let rules = read(&root().join("coordinator/tests/RULES.md"));
    let better = rules.lines().filter(|line| line.starts_with("| better:"));
    let mut rows = 0;
    for row in better {
        rows += 1;
        let shown = row.split('`').skip(1).step_by(2);
        assert!(
            shown
                .into_iter()
                .any(|test| page.contains(&format!("`{test}`"))),
            "not in docs/differences.md: {row}"
        );
    }
    assert!(rows > 3, "only {rows} rules are better");
}

#[test]
fn a_signal_is_listened_for_once() {
    let mut texts = sources();
    texts.insert("README.md".to_owned(), read(&root().join("README.md")));
    for (path, source) in texts {
        for (number, line) in source.lines().enumerate() {
            // In a loop it is made anew in each turn, and a signal that comes while the last one is handled is lost.
            assert!(
                path.ends_with("tidy.rs") || !line.contains("ctrl_c() =>"),
                "{path}:{}: make the signal before the select!",
                number + 1
            );
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for (path, source) in sources() {
        if path.ends_with("tidy.rs") {
            continue;
        }
        for (number, line) in source.lines().enumerate() {
            for name in [
                "todo!(",
                "unimplemented!(",
                "dbg!(",
                "#[ignore",
                "FIXME",
                "XXX",
            ] {
                assert!(!line.contains(name), "{path}:{} has {name}", number + 1);
            }
        }
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    for (path, source) in sources() {
        let lines = source.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{path} has {lines} lines, {LINES_MAX} is the most: split it along a noun"
        );
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, source) in sources() {
        let first = source.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//!"),
            "{path} opens with {first:?}, not with what it is"
        );
    }
}

/// The module of the broker that a source belongs to, and how deep below the crate it is.
fn module(path: &str) -> Option<(&str, usize)> {
    let inside = path.strip_prefix("broker/src/")?.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let mut parts = inside.split('/');
    let first = parts.next().filter(|first| *first != "lib")?;
    Some((first, 1 + parts.count()))
}

/// What a text names right behind `prefix`: `a` and `B` of `crate::a::x` and `crate::{a::{x, y}, B}`.
fn named<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let word = |text: &'a str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        &text[..end.unwrap_or(text.len())]
    };
    let mut found = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        // Not the end of a longer path.
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c)) {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(word(rest));
            continue;
        };
        let (mut depth, mut begins) = (0, true);
        for (at, c) in group.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                c if begins && !c.is_whitespace() => {
                    found.push(word(&group[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn imports_are_read() {
    let text = "use crate::a::x;\nuse crate::{\n    b::{c, d},\n    E, f,\n};\nlet g = crate::g::h(); mycrate::i; $crate::j";
    assert_eq!(named(text, "crate::"), ["a", "b", "E", "f", "g"]);
    let source = "a // b\n#[cfg(test)]\n#[path = \"x\"]\nmod x;\nc\n#[cfg(test)]\nmod y {\n    d\n}\nimpl Z {\n    #[cfg(test)]\n    fn e(\n        f,\n    ) {\n    }\n    g\n}\n#[cfg(test)]\nuse h::{\n    i,\n};\nj";
    let kept: Vec<&str> = code(source)
        .into_iter()
        .map(|(_, line)| line.trim())
        .collect();
    assert_eq!(kept, ["a", "c", "impl Z {", "g", "}", "j"]);
    assert_eq!(module("broker/src/log/core/mod.rs"), Some(("log", 2)));
    assert_eq!(module("broker/src/listener.rs"), Some(("listener", 1)));
}

/// Which modules of the broker each of them imports, and where. A module is a file or a folder right below `broker/src`.
fn broker_imports() -> BTreeMap<String, BTreeMap<String, String>> {
    let sources = sources();
    let mut homes = BTreeMap::new();
    for line in sources["broker/src/lib.rs"].lines() {
        let Some((home, names)) = line
            .strip_prefix("pub use ")
            .and_then(|line| line.split_once("::"))
        else {
            continue;
        };
        let names = names.split(|c: char| !c.is_alphanumeric() && c != '_');
        homes.extend(names.map(|name| (name, home)));
    }
    let mut imports = BTreeMap::new();
    for (path, source) in &sources {
        let Some((module, depth)) = module(path).filter(|_| !is_test(path)) else {
            continue;
        };
        let of_module: &mut BTreeMap<_, _> = imports.entry(module.to_owned()).or_default();
        let lines: Vec<&str> = code(source).into_iter().map(|(_, line)| line).collect();
        let text = lines.join("\n");
        let up = "super::".repeat(depth);
        for name in named(&text, "crate::").into_iter().chain(named(&text, &up)) {
            let to = homes.get(name).copied().unwrap_or(name);
            if to != module {
                of_module.insert(to.to_owned(), path.clone());
            }
        }
    }
    imports
}

/// Goes on from the last module of `way`; panics when it comes back to one of them.
fn walk(
    imports: &BTreeMap<String, BTreeMap<String, String>>,
    way: &mut Vec<(String, String)>,
    done: &mut BTreeSet<String>,
) {
    let Some((module, _)) = way.last().cloned() else {
        return;
    };
    for (to, path) in imports.get(&module).into_iter().flatten() {
        let begin = way.iter().position(|(module, _)| module == to);
        way.push((to.clone(), path.clone()));
        if let Some(begin) = begin {
            let steps = way[begin + 1..].iter();
            let steps: Vec<String> = steps
                .map(|(to, path)| format!("{path} imports {to}"))
                .collect();
            panic!(
                "modules of the broker import each other in a circle: {}",
                steps.join(", ")
            );
        }
        if !done.contains(to) {
            walk(imports, way, done);
        }
        way.pop();
    }
    done.insert(module);
}

#[test]
fn modules_of_the_broker_do_not_import_each_other_in_a_circle() {
    let imports = broker_imports();
    let edges: usize = imports.values().map(BTreeMap::len).sum();
    assert!(
        imports.len() > 20 && edges > 50,
        "only {edges} imports of {} modules were found",
        imports.len()
    );
    let mut done = BTreeSet::new();
    for module in imports.keys() {
        let mut way = vec![(module.clone(), String::new())];
        walk(&imports, &mut way, &mut done);
    }
}

#[test]
fn what_ships_does_not_know_the_tests() {
    for (module, imports) in broker_imports() {
        if let Some(path) = imports.get("testing") {
            panic!("{path}, of {module}, imports testing: what ships has no part of it");
        }
    }
}

#[test]
fn files_that_pages_name_are_there() {
    let sources = sources();
    let mut named = 0;
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/on-disk.md"] {
        let text = read(&root().join(page));
        for file in text.split('`').filter(|word| word.ends_with(".rs")) {
            named += 1;
            let inside = format!("/{file}");
            assert!(
                sources
                    .keys()
                    .any(|path| path == file || path.ends_with(&inside)),
                "{page} names {file}, which is not there"
            );
        }
    }
    assert!(named > 30, "only {named} files are named");
}
