//! How columns become words of the model.

use crate::model::*;
use rusqlite::types::Type;
use rusqlite::{Result, Row};
use std::str::FromStr;

/// A word that its type knows, such as a role.
pub fn word<T: FromStr<Err = String>>(row: &Row<'_>, index: usize) -> Result<T> {
    parse(row.get_ref(index)?.as_str()?, index)
}

/// The same, or null.
pub fn optional_word<T: FromStr<Err = String>>(row: &Row<'_>, index: usize) -> Result<Option<T>> {
    row.get_ref(index)?
        .as_str_or_null()?
        .map(|text| parse(text, index))
        .transpose()
}

fn parse<T: FromStr<Err = String>>(text: &str, index: usize) -> Result<T> {
    text.parse().map_err(|message: String| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, message.into())
    })
}

/// A time.
pub fn time(row: &Row<'_>, index: usize) -> Result<Timestamp> {
    row.get(index).map(Timestamp::from_millis)
}

/// A time, or null.
pub fn optional_time(row: &Row<'_>, index: usize) -> Result<Option<Timestamp>> {
    Ok(row
        .get::<_, Option<i64>>(index)?
        .map(Timestamp::from_millis))
}

/// A session's id.
pub fn session_id(row: &Row<'_>, index: usize) -> Result<SessionId> {
    let text = row.get_ref(index)?.as_str()?;
    let id = text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
    });
    id.map(SessionId)
}

/// A name that was checked when it was stored.
pub fn username(row: &Row<'_>, index: usize) -> Result<Username> {
    Ok(Username::from_stored(row.get_ref(index)?.as_str()?))
}

/// The facts of a pair.
pub fn facts(row: &Row<'_>, index: usize) -> Result<PairFacts> {
    row.get(index).map(PairFacts::from_bits)
}

/// Four columns: device type, address, country, User-Agent.
pub fn client(row: &Row<'_>, index: usize) -> Result<ClientInfo> {
    Ok(ClientInfo {
        device_type: optional_word(row, index)?,
        ip_address: row.get(index + 1)?,
        country_code: row.get(index + 2)?,
        region: None,
        user_agent: row.get(index + 3)?,
    })
}

/// As the text of a JSON array, which SQLite takes apart again: one parameter for any number of values.
pub fn json_ids<'a>(ids: impl IntoIterator<Item = &'a UserId>) -> String {
    let mut text = String::from("[");
    for (index, id) in ids.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&id.to_string());
    }
    text.push(']');
    text
}
