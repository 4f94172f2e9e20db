//! The flags of `serve`, made from the table of settings, so that a setting cannot be without one.

use super::{SETTINGS, Setting};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The settings given on the command line, as text that has been checked.
#[derive(Clone, Debug, Default)]
pub struct Flags(BTreeMap<&'static str, String>);

impl Flags {
    /// Only `--database`, for the commands that have no other setting's flag.
    pub fn database(path: Option<&str>) -> Self {
        Self::only("database", path)
    }

    /// Only `--listen`, likewise.
    pub fn listen(address: Option<&str>) -> Self {
        Self::only("listen", address)
    }

    fn only(key: &'static str, text: Option<&str>) -> Self {
        let text = text.map(|text| (key, text.to_owned()));
        Self(text.into_iter().collect())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    #[cfg(test)]
    pub(super) fn of(key: &'static str, text: &str) -> Self {
        Self(BTreeMap::from([(key, text.to_owned())]))
    }
}

/// clap keeps names for as long as the program runs.
static NAMES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let help = |setting: &Setting| match setting.default {
        "" => format!("{} [env: {}]", setting.help, setting.env()),
        default => format!(
            "{} [default: {default}] [env: {}]",
            setting.help,
            setting.env()
        ),
    };
    SETTINGS
        .iter()
        .map(|setting| (setting.flag(), help(setting)))
        .collect()
});

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let arguments = SETTINGS.iter().zip(NAMES.iter());
        command.args(arguments.map(|(setting, (flag, help))| {
            let argument = Arg::new(setting.key)
                .long(flag.as_str())
                .value_name(setting.value_name)
                .help(help.as_str())
                .action(if setting.is_list {
                    ArgAction::Append
                } else {
                    ArgAction::Set
                });
            let argument = if setting.is_switch {
                argument
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true")
            } else {
                argument
            };
            if setting.words.is_empty() {
                argument.value_parser(|text: &str| (setting.check)(text).map(|()| text.to_owned()))
            } else {
                argument.value_parser(PossibleValuesParser::new(setting.words))
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in SETTINGS {
            if let Some(texts) = matches.get_many::<String>(setting.key) {
                // No item of a list may hold a comma, so that one text can stand for all of them.
                let texts: Vec<&str> = texts.map(String::as_str).collect();
                self.0.insert(setting.key, texts.join(","));
            }
        }
        Ok(())
    }
}
