//! A view as a CSV file.

use super::app::Sheet;
use super::text;
use crate::model::{Timestamp, Zone};
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Files of one second and one view, more than anyone makes.
const MOST: u32 = 100;

/// Writes `sheet` into a new file in `folder`, whose name tells the view and the time in UTC, and says which. A file
/// that is there stays as it is. It is for its owner alone: what people do is in it.
///
/// # Errors
/// The file cannot be made or written.
pub fn write(folder: &Path, view: &str, now: Timestamp, sheet: &Sheet) -> io::Result<PathBuf> {
    let stamp = text::clock(now, Zone::UTC, "%Y%m%dT%H%M%SZ");
    for number in 1..=MOST {
        let name = match number {
            1 => format!("lastseen-{view}-{stamp}.csv"),
            _ => format!("lastseen-{view}-{stamp}-{number}.csv"),
        };
        let path = folder.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(mut file) => {
                file.write_all(&csv(sheet)?)?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn csv(sheet: &Sheet) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&sheet.header)?;
    for row in &sheet.rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Timestamp::from_millis(1_800_000_000_000);
        let sheet = |value: &str| Sheet {
            header: vec!["name", "value"],
            rows: vec![vec!["a".to_owned(), value.to_owned()]],
        };
        let first = write(folder.path(), "online", now, &sheet("x,\"y\"\nz")).expect("written");
        let second = write(folder.path(), "online", now, &sheet("2")).expect("written");
        let name = |path: &Path| path.file_name().map(|name| name.to_owned());
        assert_eq!(
            name(&first),
            Some("lastseen-online-20270115T080000Z.csv".into())
        );
        assert_eq!(
            name(&second),
            Some("lastseen-online-20270115T080000Z-2.csv".into())
        );
        let text = std::fs::read_to_string(&first).expect("text");
        assert_eq!(text, "name,value\na,\"x,\"\"y\"\"\nz\"\n");
        assert!(write(&folder.path().join("no such"), "online", now, &sheet("3")).is_err());
    }
}
