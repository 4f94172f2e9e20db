//! Where an address is: country and region from a database in the MaxMind format.

use serde::Deserialize;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

/// A database of addresses, held in memory.
pub struct Geo(maxminddb::Reader<Vec<u8>>);

impl fmt::Debug for Geo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Geo(…)")
    }
}

/// Where an address is, as far as the database knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// ISO 3166-1 alpha-2.
    pub country_code: Option<String>,
    /// The largest part of the country, by its English name.
    pub region: Option<String>,
}

/// What is read of a record; databases of cities and of countries have it, also those of others than MaxMind.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    country: Option<Country<'a>>,
    #[serde(borrow)]
    subdivisions: Option<Vec<Subdivision<'a>>>,
}

#[derive(Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Subdivision<'a> {
    #[serde(borrow)]
    names: Option<Names<'a>>,
}

#[derive(Deserialize)]
struct Names<'a> {
    en: Option<&'a str>,
}

impl Geo {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is no such database.
    pub fn open(path: &Path) -> Result<Self, maxminddb::MaxMindDbError> {
        maxminddb::Reader::open_readfile(path).map(Self)
    }

    /// Where `address` is.
    pub fn locate(&self, address: IpAddr) -> Place {
        let found = self
            .0
            .lookup(address.to_canonical())
            .and_then(|found| found.decode::<Record<'_>>());
        match found {
            Ok(Some(record)) => {
                let country = record.country.and_then(|country| country.iso_code);
                let largest = record.subdivisions.into_iter().flatten().next();
                let region = largest.and_then(|part| part.names?.en);
                Place {
                    country_code: country.map(str::to_owned),
                    region: region.map(str::to_owned),
                }
            }
            Ok(None) => Place::default(),
            Err(error) => {
                // Without the address, which is not to be logged.
                tracing::debug!(%error, "an address could not be looked up");
                Place::default()
            }
        }
    }
}

#[cfg(test)]
mod tests;
