//! Counting equal rows of a file of any size: in a temporary database, which SQLite keeps in memory as long as it is
//! small and in a file without a name beyond that.

use super::Fault;
use rusqlite::Connection;

/// Memory for it in KiB; beyond that it goes to the disk.
const CACHE_KIB: i64 = 32 * 1024;

/// Keys come as ids do, in order of time where the file is: then the tree grows at its end only.
const FIRST: &str =
    "INSERT INTO seen (content, times) VALUES (?1, 1) ON CONFLICT (content) DO NOTHING";
const NEXT: &str = "UPDATE seen SET times = times + 1 WHERE content = ?1 RETURNING times";

#[derive(Debug)]
pub struct Ordinals(Connection);

impl Ordinals {
    pub fn new() -> Result<Self, Fault> {
        let connection = Connection::open("")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        // One transaction for ever: nobody needs it to be there tomorrow.
        connection.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
             CREATE TABLE seen (content BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID; BEGIN",
        )?;
        Ok(Self(connection))
    }

    /// How often `content` was given before.
    pub fn next(&mut self, content: &[u8; 16]) -> Result<u64, Fault> {
        if self.0.prepare_cached(FIRST)?.execute([content])? == 1 {
            return Ok(0);
        }
        let times: i64 = self
            .0
            .prepare_cached(NEXT)?
            .query_row([content], |row| row.get(0))?;
        Ok(times.unsigned_abs() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_content_counts_for_itself() {
        let mut ordinals = Ordinals::new().expect("a temporary database");
        let content = |n: u32| u128::from(n % 7).to_be_bytes();
        for n in 0..70 {
            let before = ordinals.next(&content(n)).expect("counted");
            assert_eq!(before, u64::from(n / 7), "{n}");
        }
    }
}
