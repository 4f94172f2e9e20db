//! The cost of the statements over people and over the log, as SQLite plans them.

use super::{
    activities, analytics, blocks, conversations, erase, export, exports, follows, messages,
    migrate, online, people, prune, sign_ins,
};

/// What every statement over people does must cost what it returns, not what there is.
#[test]
fn no_statement_scans_a_table() {
    let (_folder, connection) = empty_database();
    let statements = [
        people::BY_IDS,
        people::BY_NAMES,
        people::PROFILE,
        people::PAIR,
        people::MATES,
        people::FOLLOWEES,
        people::LISTED,
        follows::FOLLOWERS,
        follows::FOLLOWING,
        blocks::BLOCKS,
        conversations::LIST,
        conversations::PARTICIPANTS,
        messages::PAGE,
        // What erasing a user does by itself.
        "UPDATE conversations SET pair_low = NULL WHERE pair_low = ?1",
        "UPDATE conversations SET pair_high = NULL WHERE pair_high = ?1",
        "UPDATE messages SET sender_id = NULL WHERE sender_id = ?1",
        "DELETE FROM participants WHERE user_id = ?1",
        "DELETE FROM follows WHERE followee_id = ?1",
        "DELETE FROM blocks WHERE blocked_id = ?1",
        "DELETE FROM sessions WHERE user_id = ?1",
        "DELETE FROM sign_ins WHERE user_id = ?1",
        erase::MESSAGES,
        erase::SETTLE,
        sign_ins::OF_USER,
        export::SESSIONS,
        export::FOLLOWING,
        export::FOLLOWERS,
        export::BLOCKS,
        export::CONVERSATIONS,
        export::PARTICIPANTS,
        exports::FOLLOWS,
        exports::SESSIONS,
        analytics::CLOSED_AT,
        analytics::OPEN_AT,
        online::ONLINE,
        online::OPEN_OF,
        online::LAST_OF,
        prune::going::WHOLE[0],
        prune::going::WHOLE[1],
        prune::going::BRIEF[0],
        prune::going::BRIEF[1],
        prune::going::SESSIONS,
        prune::DELETE_SESSION,
        prune::DELETE_ACTIVITY,
        // What the database does by itself when a user or a target goes.
        "DELETE FROM user_activity_logs WHERE user_id = ?1",
    ];
    for sql in statements.into_iter().chain(erase::ROWS) {
        let steps = plan(&connection, sql);
        for step in &steps {
            let scanned = step.strip_prefix("SCAN ").unwrap_or("j");
            let name = scanned.split(' ').next().unwrap_or_default();
            // Lists that are the statement's own: what was asked for, and what was made on the way.
            assert!(
                ["j", "m", "mates", "page"].contains(&name)
                    && !(name == "m" && sql == messages::PAGE),
                "{step}\nof {steps:#?}\nin {sql}"
            );
            assert!(
                !step.contains("FOR ORDER BY")
                    || sql == conversations::LIST
                    || sql == conversations::PARTICIPANTS
                    || sql == export::PARTICIPANTS,
                "{step}\nin {sql}"
            );
        }
    }
}

/// A page of the log is read from the newest on, from the index that fits its filter, and never sorted.
#[test]
fn no_page_of_the_log_is_sorted() {
    let (_folder, connection) = empty_database();
    for sql in activities::every_selection() {
        let steps = plan(&connection, &sql);
        let is_fitting = match sql.contains("WHERE 1 AND") {
            true => steps.iter().all(|step| step.starts_with("SEARCH ")),
            false => steps == ["SCAN l"],
        };
        let is_bounded = !sql.contains("activity_rollups")
            || steps
                .iter()
                .any(|step| step.contains("(user_id=? AND id>? AND id<?)"));
        assert!(is_fitting && is_bounded, "{steps:#?}\nin {sql}");
    }
}

/// A database without rows, in a folder that goes with it.
fn empty_database() -> (tempfile::TempDir, rusqlite::Connection) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plan.db");
    migrate::up(&path).expect("a database");
    let connection = rusqlite::Connection::open(&path).expect("opens");
    (folder, connection)
}

/// The steps of a statement.
fn plan(connection: &rusqlite::Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .expect("a plan");
    let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
    statement
        .query_map(rusqlite::params_from_iter(nulls), |row| row.get(3))
        .expect("a plan")
        .collect::<Result<_, _>>()
        .expect("a plan")
}
