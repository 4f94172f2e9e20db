//! The TOML file: its keys are those of the settings; tables belong to commands.

use super::demo::DemoSettings;
use super::prune::{self, PruneAges};
use super::tui::TuiSettings;
use super::{ConfigError, SETTINGS};
use std::path::{Path, PathBuf};

/// Larger than any config file, and small enough that a wrong file does no harm.
const MAX_SIZE_BYTES: u64 = 1 << 20;

/// A config file whose keys are all known.
pub(super) struct File {
    path: PathBuf,
    table: toml::Table,
}

impl File {
    /// Reads and checks `path`.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display();
        let text = read_text(path)
            .map_err(|why| ConfigError(format!("cannot read config file {shown}: {why}; check the path given by --config or LASTSEEN_CONFIG")))?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let table = text.parse::<toml::Table>().map_err(|error| {
            let line = error.span().map_or(1, |span| {
                let before = text.as_bytes().iter().take(span.start);
                1 + before.filter(|byte| **byte == b'\n').count()
            });
            let message = error.message().replace('\n', " ");
            let shown = path.display();
            ConfigError(format!("config file {shown}, line {line}: {message}"))
        })?;
        let file = Self {
            path: path.to_owned(),
            table,
        };
        file.check_keys()?;
        Ok(file)
    }

    pub(super) fn get(&self, key: &str) -> Option<&toml::Value> {
        self.table.get(key)
    }

    /// The error for a key of this file.
    pub(super) fn wrong(&self, key: &str, why: &str) -> ConfigError {
        ConfigError(format!(
            "config file {}, key {key}: {why}",
            self.path.display()
        ))
    }

    fn unknown(&self, key: &str) -> ConfigError {
        self.wrong(
            key,
            "is not a known key; `lastseen serve --print-config` lists them",
        )
    }

    fn check_keys(&self) -> Result<(), ConfigError> {
        for key in self.table.keys() {
            match key.as_str() {
                "prune" => drop(self.prune()?),
                "demo" => drop(self.demo()?),
                "tui" => drop(self.tui()?),
                "jwt_secret" => {
                    return Err(self.wrong(
                        key,
                        "a secret does not belong here; use jwt_secret_file or LASTSEEN_JWT_SECRET",
                    ));
                }
                _ if SETTINGS.iter().any(|setting| setting.key == key) => {}
                _ => return Err(self.unknown(key)),
            }
        }
        Ok(())
    }

    /// `[prune] older_than, sessions_older_than` and `[prune.keep] ACTION`, all ages: read by every command, so that a
    /// slip is found before the night it matters.
    pub(super) fn prune(&self) -> Result<PruneAges, ConfigError> {
        let mut ages = PruneAges::default();
        let Some(prune) = self.table.get("prune") else {
            return Ok(ages);
        };
        let age = |key: &str, value: &toml::Value| {
            let text = value.as_str().ok_or("must be a string".to_owned());
            text.and_then(prune::parse_age)
                .map_err(|why| self.wrong(key, &why))
        };
        let Some(prune) = prune.as_table() else {
            return Err(self.wrong("prune", "must be a table"));
        };
        for (key, value) in prune {
            let full = format!("prune.{key}");
            match (key.as_str(), value.as_table()) {
                ("older_than", _) => ages.older_than = Some(age(&full, value)?),
                ("sessions_older_than", _) => ages.sessions_older_than = Some(age(&full, value)?),
                ("keep", Some(rules)) => {
                    for (action, value) in rules {
                        let kept = age(&format!("{full}.{action}"), value)?;
                        ages.keep.insert(action.clone(), kept);
                    }
                }
                ("keep", None) => return Err(self.wrong(&full, "must be a table")),
                _ => return Err(self.unknown(&full)),
            }
        }
        Ok(ages)
    }

    /// `[demo] users, seed, speed, for`.
    pub(super) fn demo(&self) -> Result<DemoSettings, ConfigError> {
        let mut settings = DemoSettings::default();
        self.each("demo", |key, value| settings.set_toml(key, value))?;
        Ok(settings)
    }

    /// `[tui] url, token_file, refresh, ascii, mouse`.
    pub(super) fn tui(&self) -> Result<TuiSettings, ConfigError> {
        let mut settings = TuiSettings::default();
        self.each("tui", |key, value| settings.set_toml(key, value))?;
        Ok(settings)
    }

    /// Gives `set` each key of a table, if that is there; it answers `None` for one that it does not know.
    fn each(
        &self,
        name: &str,
        mut set: impl FnMut(&str, &toml::Value) -> Option<Result<(), String>>,
    ) -> Result<(), ConfigError> {
        let Some(table) = self.table.get(name) else {
            return Ok(());
        };
        let Some(table) = table.as_table() else {
            return Err(self.wrong(name, "must be a table"));
        };
        for (key, value) in table {
            let full = format!("{name}.{key}");
            match set(key, value) {
                Some(set) => set.map_err(|why| self.wrong(&full, &why))?,
                None => return Err(self.unknown(&full)),
            }
        }
        Ok(())
    }
}

fn read_text(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let size_bytes = file.take(MAX_SIZE_BYTES + 1).read_to_string(&mut text)?;
    if size_bytes as u64 > MAX_SIZE_BYTES {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(text)
}
