use super::super::completions;
use super::*;
use clap::ValueEnum as _;
use clap_complete::Shell;
use std::collections::BTreeMap;
use std::path::Path;

/// Writes the checked-in pages anew instead of comparing them.
const REWRITE: &str = "LASTSEEN_REWRITE";

fn made() -> BTreeMap<String, String> {
    let text = |page: Page| (page.file, String::from_utf8(page.text).expect("text"));
    pages().expect("pages").into_iter().map(text).collect()
}

#[test]
fn the_pages_that_are_checked_in_are_those_of_the_definitions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let made = made();
    if std::env::var_os(REWRITE).is_some_and(|value| value == "1") {
        fs::remove_dir_all(&folder).expect("the old pages go");
        fs::create_dir(&folder).expect("a folder");
        for (file, text) in &made {
            fs::write(folder.join(file), text).expect("written");
        }
    }
    let mut kept = BTreeMap::new();
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let text = fs::read_to_string(&path).expect("text");
        kept.insert(name.expect("a name").to_owned(), text);
    }
    let names = |pages: &BTreeMap<String, String>| pages.keys().cloned().collect::<Vec<_>>();
    let hint = "LASTSEEN_REWRITE=1 cargo test --lib cli::man writes them anew";
    assert_eq!(names(&kept), names(&made), "{hint}");
    for (file, text) in &made {
        assert!(
            kept[file] == *text,
            "man/{file} is not what it would be; {hint}"
        );
    }
}

/// Every command by its words, with its definition.
fn commands() -> Vec<(String, clap::Command)> {
    fn add(command: &clap::Command, all: &mut Vec<(String, clap::Command)>) {
        all.push((page::name(command).to_owned(), command.clone()));
        page::inner(command).for_each(|inner| add(inner, all));
    }
    let mut root = command().disable_help_subcommand(true);
    root.build();
    let mut all = Vec::new();
    add(&root, &mut all);
    assert!(all.len() > 15, "{}", all.len());
    all
}

#[test]
fn help_pages_and_completions_know_every_command_and_flag() {
    let pages = made();
    let scripts: Vec<(Shell, String)> = Shell::value_variants()
        .iter()
        .map(|shell| {
            let script = String::from_utf8(completions::script(*shell));
            (*shell, script.expect("text"))
        })
        .collect();
    for (name, command) in commands() {
        // As roff has it: a hyphen that is not one to break at.
        let page = pages[&format!("{name}.1")].replace("\\-", "-");
        let help = command.clone().render_long_help().to_string();
        for argument in command.get_arguments() {
            let shown = match argument.get_long() {
                Some(long) => format!("--{long}"),
                None => {
                    let names = argument.get_value_names().expect("a positional");
                    names[0].to_string()
                }
            };
            assert!(help.contains(&shown), "the help of {name} lacks {shown}");
            assert!(page.contains(&shown), "the page of {name} lacks {shown}");
            let Some(long) = argument.get_long() else {
                continue;
            };
            for (shell, script) in &scripts {
                // fish writes them without dashes.
                let written = match shell {
                    Shell::Fish => format!("-l {long}"),
                    _ => shown.clone(),
                };
                let line = |line: &&str| line.contains(&written);
                assert!(
                    script.lines().find(line).is_some(),
                    "{shell} lacks {name} {shown}"
                );
            }
        }
        for inner in page::inner(&command) {
            let word = inner.get_name();
            assert!(help.contains(word), "the help of {name} lacks {word}");
            let shown = format!("{}(1)", page::name(inner));
            assert!(page.contains(&shown), "the page of {name} lacks {shown}");
            for (shell, script) in &scripts {
                assert!(script.contains(word), "{shell} lacks {name} {word}");
            }
        }
    }
}

#[test]
fn bash_completes_each_command_with_its_own_words() {
    let script = String::from_utf8(completions::script(Shell::Bash)).expect("text");
    for (name, command) in commands() {
        let words: Vec<&str> = command.get_bin_name().unwrap_or(&name).split(' ').collect();
        let label = words.join("__subcmd__").replace('-', "__subcmd__");
        let (_, rest) = script
            .split_once(&format!("\n        {label})\n"))
            .unwrap_or_else(|| panic!("no {label}"));
        let (_, rest) = rest.split_once("opts=\"").expect("words");
        let (words, _) = rest.split_once('"').expect("an end");
        let words: Vec<&str> = words.split(' ').collect();
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        let mut wanted: Vec<String> = flags.map(|flag| format!("--{flag}")).collect();
        wanted.extend(page::inner(&command).map(|inner| inner.get_name().to_owned()));
        for wanted in wanted {
            assert!(
                words.contains(&wanted.as_str()),
                "{name}: {wanted} is not in {words:?}"
            );
        }
    }
}

#[test]
fn every_page_has_its_sections_and_keeps_the_lines_of_examples() {
    for (name, command) in commands() {
        let page = &made()[&format!("{name}.1")];
        let has = |section: &str| page.contains(&format!("\n.SH {section}\n"));
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
            assert!(has(section), "{name}: {section}");
        }
        assert!(has("\"EXIT STATUS\"") && has("\"SEE ALSO\""), "{name}");
        let takes_database = command
            .get_arguments()
            .any(|argument| argument.get_long() == Some("database"));
        for section in ["ENVIRONMENT", "FILES"] {
            assert!(has(section) || !takes_database, "{name}: {section}");
        }
        let (_, examples) = page.split_once(".SH EXAMPLES\n").expect("examples");
        let (examples, _) = examples.split_once("\n.fi").expect("an end");
        let lines = examples
            .lines()
            .filter(|line| line.starts_with("lastseen "));
        assert!(
            examples.contains(".nf\n") && lines.count() > 0,
            "{name}: {examples}"
        );
        assert!(!page.contains(env!("CARGO_PKG_VERSION")), "{name}");
    }
}
