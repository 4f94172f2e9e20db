//! Bulk upserts.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;

const RULES: UpsertRules = UpsertRules {
    require_id: false,
    may_change_admins: false,
    now: Timestamp::from_millis(5),
};

fn row(id: Option<i64>, external_id: Option<&str>, name: &str) -> UserUpsert {
    UserUpsert {
        id: id.map(UserId),
        external_id: external_id.map(String::from),
        username: Username::new(name).expect("valid"),
        profile: ProfileFields::default(),
        role: None,
    }
}

fn counts(inserted: usize, updated: usize, unchanged: usize) -> UpsertCounts {
    UpsertCounts {
        inserted,
        updated,
        unchanged,
    }
}

#[tokio::test]
async fn users_are_matched_by_id_then_external_id_then_name() {
    let f = fixture();
    let upsert = async |rows: Vec<UserUpsert>| {
        let done = f.store.upsert_users(rows, RULES).await;
        done.expect("no error").expect("taken")
    };
    let rows = || {
        vec![
            row(Some(10), Some("x10"), "ten"),
            row(None, Some("x11"), "eleven"),
            row(None, None, "twelve"),
        ]
    };
    assert_eq!(upsert(rows()).await, counts(3, 0, 0));
    assert_eq!(upsert(rows()).await, counts(0, 0, 3));
    // Renamed by id, renamed by external id, described by name; and a name only changed in case is a change.
    let mut described = row(None, None, "Twelve");
    described.profile.bio = Some("a dozen".into());
    let changed = vec![
        row(Some(10), None, "dix"),
        row(None, Some("x11"), "onze"),
        described,
        row(None, None, "treize"),
    ];
    assert_eq!(upsert(changed).await, counts(1, 3, 0));
    let ten = f
        .store
        .user(UserId(10))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(
        (ten.username.as_str(), ten.external_id.as_deref()),
        ("dix", Some("x10"))
    );
    let twelve = f.store.user_by_username("twelve").await.expect("read");
    let twelve = twelve.expect("there");
    assert_eq!(
        (twelve.username.as_str(), twelve.bio.as_deref()),
        ("Twelve", Some("a dozen"))
    );
    // Who has neither password nor external id is taken for the host's user of that name.
    assert_eq!(
        upsert(vec![row(None, Some("x12"), "twelve")]).await,
        counts(0, 1, 0)
    );
    let found = f.store.user_by_external_id("x12").await.expect("read");
    assert_eq!(found.map(|user| user.id), Some(twelve.id));
}

#[tokio::test]
async fn bad_users_are_named_and_nothing_stays() {
    let f = fixture();
    f.store
        .create_user(NewUser {
            password_hash: Some("phc".into()),
            ..new_user("local")
        })
        .await
        .expect("created");
    let admin = f
        .store
        .create_user(NewUser {
            role: Role::Admin,
            ..new_user("boss")
        })
        .await
        .expect("created");
    let rules = UpsertRules {
        require_id: true,
        ..RULES
    };
    let mut taken_email = row(Some(22), None, "mail2");
    taken_email.profile.email = Some("A@b.c".into());
    let mut email = row(Some(21), None, "mail1");
    email.profile.email = Some("a@b.c".into());
    let rows = vec![
        row(Some(20), None, "fine"),
        row(Some(99), None, "BOSS"),
        row(None, None, "no_id"),
        row(Some(0), None, "zero"),
        row(Some(i64::MAX), None, "huge"),
        email,
        taken_email,
        row(None, Some("x"), "local"),
    ];
    let done = f.store.upsert_users(rows, rules).await.expect("no error");
    let bad: Vec<_> = done
        .expect_err("refused")
        .into_iter()
        .map(|(index, error)| (index, error.field))
        .collect();
    assert_eq!(
        bad,
        [
            (1, "username"),
            (2, "id"),
            (3, "id"),
            (4, "id"),
            (6, "email"),
            (7, "username")
        ]
    );
    assert_eq!(f.number("SELECT count(*) FROM users"), Some(2));
    // An admin who is so already is no change; a change is refused, or made where it may be.
    let same = f
        .store
        .upsert_users(vec![row(Some(admin.0), None, "boss")], RULES);
    assert_eq!(same.await.expect("no error"), Ok(counts(0, 0, 1)));
    let renamed = || {
        vec![
            row(Some(30), None, "thirty"),
            row(Some(admin.0), None, "chief"),
        ]
    };
    assert!(matches!(
        f.store.upsert_users(renamed(), RULES).await,
        Err(StoreError::Forbidden)
    ));
    assert_eq!(f.number("SELECT count(*) FROM users"), Some(2));
    let rules = UpsertRules {
        may_change_admins: true,
        ..RULES
    };
    let done = f.store.upsert_users(renamed(), rules).await;
    assert_eq!(done.expect("no error"), Ok(counts(1, 1, 0)));
}

#[tokio::test]
async fn follows_all_or_nothing() {
    let f = fixture();
    let (a, b) = (f.user("aa").await, f.user("bb").await);
    f.store.block(a, b, at(1)).await.expect("blocked");
    let pair = |follower: &str, followee: &str| FollowUpsert {
        follower: follower.into(),
        followee: followee.into(),
    };
    let bad = f
        .store
        .upsert_follows(vec![
            pair("aa", "bb"),
            pair("nobody", "bb"),
            pair("aa", "nobody"),
            pair("AA", "aa"),
        ])
        .await
        .expect("no error")
        .expect_err("refused");
    let bad: Vec<_> = bad.into_iter().map(|(n, error)| (n, error.field)).collect();
    assert_eq!(bad, [(1, "follower"), (2, "followee"), (3, "followee")]);
    assert_eq!(f.number("SELECT count(*) FROM follows"), Some(0));
    let rows = vec![pair("Aa", "bB"), pair("bb", "aa"), pair("aa", "bb")];
    let done = f.store.upsert_follows(rows).await.expect("no error");
    assert_eq!(done, Ok(counts(2, 0, 1)));
    let user = f.store.user(a).await.expect("read").expect("there");
    assert_eq!((user.followers_count, user.following_count), (1, 1));
}
