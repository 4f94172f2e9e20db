//! The environment, read once and handed in, so that tests need not change the process's own.

use super::ConfigError;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// The `LASTSEEN_*` variables. The default has none. `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, OsString>);

impl Env {
    /// Those of this process.
    pub fn of_process() -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with("LASTSEEN_").then_some((name, value))
        });
        Self(ours.collect())
    }

    /// These.
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.into());
        Self(variables.into_iter().map(own).collect())
    }

    /// A variable's text; `None` when it is not set.
    ///
    /// # Errors
    /// When it is no UTF-8.
    pub fn get(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        let value = self.0.get(name);
        let text = value.map(|value| {
            value
                .to_str()
                .ok_or_else(|| ConfigError(format!("environment variable {name}: must be UTF-8")))
        });
        text.transpose()
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
