//! Boots, flushes, sessions.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;
use std::sync::Arc;
use uuid::Uuid;

fn session(n: u128, user_id: UserId, started: i64, ended: Option<(i64, EndReason)>) -> SessionRow {
    SessionRow {
        id: SessionId(Uuid::from_u128(n)),
        user_id,
        device_id: Some("phone".into()),
        client: Arc::new(ClientInfo {
            device_type: Some(DeviceType::Ios),
            ip_address: Some("203.0.113.7".into()),
            ..ClientInfo::default()
        }),
        started_at: at(started),
        ended: ended.map(|(time, reason)| (at(time), reason)),
    }
}

fn presence(user_id: UserId, is_online: bool, last_seen: Option<i64>) -> PresenceColumns {
    PresenceColumns {
        user_id,
        is_online,
        last_seen: last_seen.map(at),
    }
}

#[tokio::test]
async fn a_crash_is_put_right_by_the_next_boot() {
    let f = fixture();
    let online = f.user("online").await;
    let grace = f.user("grace").await;
    let late = f.user("late").await;
    let offline = f.user("offline").await;
    let boot = f.store.begin_boot(at(10_000)).await.expect("a boot");
    f.store.prove_life(boot, at(50_000)).await.expect("proven");
    let batch = FlushBatch {
        presence: vec![
            presence(online, true, Some(15_000)),
            presence(grace, true, None),
            presence(late, true, None),
            presence(offline, false, Some(12_000)),
        ],
        sessions: vec![
            session(1, online, 20_000, None),
            session(2, online, 11_000, Some((15_000, EndReason::Client))),
            session(3, grace, 20_000, Some((49_000, EndReason::Lost))),
            session(4, late, 52_000, None),
            session(5, offline, 11_000, Some((12_000, EndReason::Signout))),
        ],
        ..FlushBatch::default()
    };
    f.store.flush(boot, batch).await.expect("flushed");
    // No end_boot: it died here.
    let next = f.store.begin_boot(at(90_000)).await.expect("a boot");
    assert_ne!(boot, next);
    let mut seen = Vec::new();
    for id in [online, grace, late, offline] {
        let user = f.store.user(id).await.expect("read").expect("there");
        assert!(!user.is_online, "nobody is stuck online");
        seen.push(user.last_seen.map(Timestamp::as_millis));
    }
    assert_eq!(
        seen,
        [Some(50_000), Some(49_000), Some(52_000), Some(12_000)]
    );
    let ends = |n: u128| {
        let id = Uuid::from_u128(n).to_string();
        rusqlite::Connection::open(&f.path)
            .expect("opens")
            .query_row(
                "SELECT ended_at, end_reason FROM sessions WHERE id = ?1",
                [id],
                |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
            )
            .expect("a row")
    };
    assert_eq!(ends(1), (50_000, "crash".into()));
    assert_eq!(ends(2), (15_000, "client".into()));
    assert_eq!(ends(3), (49_000, "lost".into()));
    assert_eq!(ends(4), (52_000, "crash".into()));
    assert_eq!(ends(5), (12_000, "signout".into()));
    // The dead boot ends at its last proof, and is not looked at again.
    assert_eq!(
        f.number("SELECT ended_at FROM boots WHERE id = 1"),
        Some(50_000)
    );
    f.store.end_boot(next, at(95_000)).await.expect("ended");
    f.store.begin_boot(at(99_000)).await.expect("a boot");
    assert_eq!(ends(1), (50_000, "crash".into()));
}

#[tokio::test]
async fn last_seen_does_not_go_back_at_a_crash() {
    let f = fixture();
    let user = f.user("anna").await;
    let boot = f.store.begin_boot(at(1_000)).await.expect("a boot");
    let batch = FlushBatch {
        presence: vec![presence(user, true, Some(9_000))],
        sessions: vec![session(1, user, 2_000, Some((8_000, EndReason::Lost)))],
        ..FlushBatch::default()
    };
    f.store.flush(boot, batch).await.expect("flushed");
    f.store.begin_boot(at(20_000)).await.expect("a boot");
    let user = f.store.user(user).await.expect("read").expect("there");
    assert_eq!(user.last_seen, Some(at(9_000)));
}

#[tokio::test]
async fn a_flush_moves_forward_only_and_leaves_the_erased_out() {
    let f = fixture();
    let stays = f.user("stays").await;
    let goes = f.user("goes").await;
    let boot = f.store.begin_boot(at(1)).await.expect("a boot");
    let (sign_in, _) = f
        .store
        .create_sign_in(
            stays,
            NewSignIn {
                token_hash: [1; 32],
                created_at: at(5_000),
                expires_at: at(900_000),
                client: Arc::default(),
            },
        )
        .await
        .expect("signed in");
    f.store.delete_user(goes).await.expect("erased");
    let batch = |active: i64| FlushBatch {
        presence: vec![presence(goes, true, None), presence(stays, true, None)],
        sessions: vec![session(1, goes, 10, None), session(2, stays, 10, None)],
        active: vec![(goes, at(active)), (stays, at(active))],
        used: vec![(SignInId(999), at(active)), (sign_in, at(active))],
    };
    for active in [7_000, 6_000] {
        f.store.flush(boot, batch(active)).await.expect("flushed");
        let user = f.store.user(stays).await.expect("read").expect("there");
        assert_eq!(user.last_active_at, Some(at(7_000)));
        assert!(user.is_online);
    }
    let page = Page {
        before: None,
        limit: 10,
    };
    let list = f.store.sign_ins(stays, at(8_000), page).await;
    assert_eq!(list.expect("listed").0[0].last_used_at, at(7_000));
    assert_eq!(f.number("SELECT count(*) FROM sessions"), Some(1));
}

#[tokio::test]
async fn a_resumed_session_is_open_again() {
    let f = fixture();
    let user = f.user("anna").await;
    let boot = f.store.begin_boot(at(1)).await.expect("a boot");
    for (ended, open) in [
        (None, 1),
        (Some((20, EndReason::Lost)), 0),
        (None, 1),
        (Some((40, EndReason::Client)), 0),
    ] {
        let batch = FlushBatch {
            sessions: vec![session(1, user, 10, ended)],
            ..FlushBatch::default()
        };
        f.store.flush(boot, batch).await.expect("flushed");
        let found = f.number("SELECT count(*) FROM sessions WHERE ended_at IS NULL");
        assert_eq!(found, Some(open));
    }
    assert_eq!(f.number("SELECT ended_at FROM sessions"), Some(40));
}
