//! Everything of a kind, page by page, and what the last server says of itself.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;
use std::sync::Arc;
use uuid::Uuid;

#[tokio::test]
async fn follows_by_name_in_the_order_they_were_made() {
    let f = fixture();
    let (ann, bob, carl) = (
        f.user("Ann").await,
        f.user("bob").await,
        f.user("carl").await,
    );
    let pairs = [(carl, ann), (ann, bob), (bob, carl), (ann, carl)];
    for (follower, followee) in pairs {
        let made = f.store.follow(follower, followee, at(5)).await;
        assert!(made.expect("an answer"));
    }
    let walk = async || {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let page = f.store.follows_after(after, 2).await.expect("a page");
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { break };
            after = Some(last.row_id);
            names.extend(
                page.iter()
                    .map(|row| format!("{}>{}", row.follower, row.followee)),
            );
        }
        names
    };
    assert_eq!(
        walk().await,
        ["carl>Ann", "Ann>bob", "bob>carl", "Ann>carl"]
    );
    assert!(f.store.delete_user(bob).await.expect("erased"));
    assert_eq!(walk().await, ["carl>Ann", "Ann>carl"]);
}

#[tokio::test]
async fn sessions_by_their_beginning_also_where_many_began_at_once() {
    let f = fixture();
    let ann = f.user("ann").await;
    let boot = f.store.begin_boot(at(0)).await.expect("a boot");
    let starts = [30, 10, 20, 20, 20, 10, 40];
    let row = |(n, start): (usize, &i64)| SessionRow {
        id: SessionId(Uuid::from_u128(n as u128)),
        user_id: ann,
        device_id: None,
        client: Arc::default(),
        started_at: at(*start),
        ended: (n != 3).then_some((at(50), EndReason::Lost)),
    };
    let batch = FlushBatch {
        sessions: starts.iter().enumerate().map(row).collect(),
        ..FlushBatch::default()
    };
    f.store.flush(boot, batch).await.expect("written");
    for limit in 1..=8 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = f.store.sessions_after(after, limit).await.expect("a page");
            let Some(last) = page.last() else { break };
            after = Some(last.cursor);
            found.extend(page.iter().map(|entry| entry.session.id.0.as_u128()));
            assert_eq!(page[0].username.as_str(), "ann");
        }
        assert_eq!(found, [1, 5, 2, 3, 4, 0, 6], "{limit}");
    }
    let all = f.store.sessions_after(None, 9).await.expect("a page");
    let open = all.iter().filter(|entry| entry.session.ended.is_none());
    assert_eq!(open.count(), 1);
}

#[tokio::test]
async fn the_last_boot_and_whether_it_is_open() {
    let f = fixture();
    let last = async || f.store.last_boot().await.expect("an answer");
    let boot = |millis, is_open| {
        Some(LastBoot {
            proof_at: at(millis),
            is_open,
        })
    };
    assert_eq!(last().await, None);
    let first = f.store.begin_boot(at(100)).await.expect("a boot");
    assert_eq!(last().await, boot(100, true));
    f.store.prove_life(first, at(200)).await.expect("alive");
    assert_eq!(last().await, boot(200, true));
    // It died; the next one is what counts.
    let second = f.store.begin_boot(at(900)).await.expect("a boot");
    assert_eq!(last().await, boot(900, true));
    let alive = last().await.expect("a boot");
    for (now, dead_since) in [(0, None), (15_900, None), (15_901, Some(at(900)))] {
        assert_eq!(alive.dead_since(at(now)), dead_since, "{now}");
    }
    f.store.end_boot(second, at(950)).await.expect("ended");
    assert_eq!(last().await, boot(950, false));
    let ended = last().await.expect("a boot");
    assert_eq!(ended.dead_since(at(951)), Some(at(950)));
}
