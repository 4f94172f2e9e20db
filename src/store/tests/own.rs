//! What is one user's own: erased without a trace, and read whole.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;
use std::fs;
use std::sync::Arc;

const ALL: Page = Page {
    before: None,
    limit: 1_000,
};

async fn say(f: &Fixture, who: UserId, conversation: ConversationId, text: &str, time: i64) {
    let sent = f
        .store
        .send_message(who, conversation, text.into(), at(time));
    sent.await.expect("sent").expect("a participant");
}

/// What is left of texts in the file and its log.
fn holds(f: &Fixture, text: &str) -> bool {
    let log = f.path.with_extension("db-wal");
    [&f.path, &log].into_iter().any(|path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

#[tokio::test]
async fn nothing_of_the_erased_is_left_in_the_file() {
    let f = fixture();
    let secret = |what: &str| format!("marker of a {what} that nobody else wrote");
    let boot = f.store.begin_boot(at(1)).await.expect("a boot");
    let user = NewUser {
        password_hash: Some(secret("hash")),
        external_id: Some(secret("external id")),
        profile: ProfileFields {
            bio: Some(secret("bio")),
            email: Some("marker.of.an@address.example".into()),
            ..ProfileFields::default()
        },
        ..new_user("ann.marker")
    };
    let client = Arc::new(ClientInfo {
        user_agent: Some(secret("client")),
        ..ClientInfo::default()
    });
    let ann = f.store.create_user(user).await.expect("made");
    let bob = f.user("bob").await;
    let sign_in = NewSignIn {
        token_hash: *b"marker of a hash of 32 bytes ...",
        created_at: at(2),
        expires_at: at(900_000),
        client: client.clone(),
    };
    f.store.create_sign_in(ann, sign_in).await.expect("made");
    let session = SessionRow {
        id: SessionId(uuid::Uuid::from_u128(7)),
        user_id: ann,
        device_id: Some("marker of a device".into()),
        client,
        started_at: at(3),
        ended: None,
    };
    let batch = FlushBatch {
        sessions: vec![session],
        ..FlushBatch::default()
    };
    f.store.flush(boot, batch).await.expect("written");
    let pair = f.store.create_conversation(ann, vec![bob], at(4)).await;
    let pair = pair.expect("begun").0;
    let long = secret("message").repeat(200);
    say(&f, ann, pair, &long, 5).await;
    say(&f, bob, pair, "words of somebody who stays", 6).await;
    f.store.close().await;
    let texts = [
        secret("hash"),
        secret("external id"),
        secret("bio"),
        secret("client"),
        secret("message"),
        "ann.marker".into(),
        "marker.of.an@address.example".into(),
        "marker of a hash of 32 bytes ...".into(),
        "marker of a device".into(),
    ];
    for text in &texts {
        assert!(holds(&f, text), "{text} is there to be erased");
    }
    let store = Store::open(&f.path, options()).expect("opens again");
    assert!(store.delete_user(ann).await.expect("erased"));
    // Empties the log into the file.
    store.close().await;
    for text in &texts {
        assert!(!holds(&f, text), "{text}");
    }
    assert!(holds(&f, "words of somebody who stays"));
    assert_eq!(f.number("SELECT count(*) FROM messages"), Some(1));
}

#[tokio::test]
async fn much_goes_in_steps_and_others_keep_what_is_theirs() {
    let f = fixture();
    let (ann, bob, eve) = (
        f.user("ann").await,
        f.user("bob").await,
        f.user("eve").await,
    );
    let begin = async |creator, others| {
        let begun = f.store.create_conversation(creator, others, at(10)).await;
        begun.expect("begun").0
    };
    let pair = begin(ann, vec![bob]).await;
    let alone = begin(ann, vec![eve]).await;
    let group = begin(eve, vec![ann, bob]).await;
    say(&f, bob, pair, "from bob", 20).await;
    for index in 0..1_200 {
        say(&f, ann, pair, &format!("from ann {index}"), 30 + index).await;
    }
    say(&f, ann, alone, "from ann", 2_000).await;
    say(&f, ann, group, "from ann", 2_001).await;
    say(&f, eve, group, "from eve", 2_002).await;
    f.store.follow(ann, bob, at(1)).await.expect("follows");
    f.store.follow(bob, ann, at(1)).await.expect("follows");
    f.store.block(eve, bob, at(1)).await.expect("blocks");
    f.store.block(ann, eve, at(1)).await.expect("blocks");
    let before = f.store.stats().write_commands;
    assert!(f.store.delete_user(ann).await.expect("erased"));
    assert_eq!(f.store.stats().write_commands - before, 3);
    assert!(!f.store.delete_user(ann).await.expect("gone"));

    let list = async |viewer| {
        let page = ConversationPage {
            before: None,
            limit: 10,
        };
        let (list, _) = f.store.conversations(viewer, page).await.expect("listed");
        let entry =
            |c: ConversationSummary| (c.id, c.last_message.map(|m| m.text), c.participants.len());
        list.into_iter().map(entry).collect::<Vec<_>>()
    };
    let text = |text: &str| Some(text.to_owned());
    // In the order of what is left: bob's own word before the beginning of an empty one.
    let of_bob = [(group, text("from eve"), 2), (pair, text("from bob"), 1)];
    assert_eq!(list(bob).await, of_bob);
    let of_eve = [(group, text("from eve"), 2), (alone, None, 1)];
    assert_eq!(list(eve).await, of_eve);
    let times =
        "SELECT group_concat(activity_at) FROM (SELECT activity_at FROM conversations ORDER BY id)";
    let times: String = rusqlite::Connection::open(&f.path)
        .and_then(|c| c.query_row(times, [], |row| row.get(0)))
        .expect("times");
    assert_eq!(times, "20,10,2002");
    for (table, left) in [("follows", 0), ("blocks", 1), ("messages", 2)] {
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(f.number(&sql), Some(left), "{table}");
    }
    let bob = f.store.user(bob).await.expect("read").expect("there");
    assert_eq!((bob.followers_count, bob.following_count), (0, 0));
    // A conversation that is left to one can still be written to, and begun anew with somebody of the old name.
    say(&f, eve, alone, "to nobody", 3_000).await;
    let ann = f.user("ann").await;
    assert_ne!(begin(eve, vec![ann]).await, alone);
}

#[tokio::test]
async fn an_export_reads_page_by_page_what_is_there() {
    let f = fixture();
    let (ann, bob, eve) = (
        f.user("ann").await,
        f.user("bob").await,
        f.user("eve").await,
    );
    let boot = f.store.begin_boot(at(1)).await.expect("a boot");
    let session = |id: u128, user_id, started: i64, ended| SessionRow {
        id: SessionId(uuid::Uuid::from_u128(id)),
        user_id,
        device_id: (id == 1).then(|| "phone".into()),
        client: Arc::default(),
        started_at: at(started),
        ended,
    };
    // Two began in the same millisecond.
    let mine = [
        session(1, ann, 50, None),
        session(2, ann, 40, Some((at(45), EndReason::Lost))),
        session(3, ann, 40, Some((at(41), EndReason::Client))),
        session(4, ann, 10, Some((at(11), EndReason::Crash))),
    ];
    let mut sessions = mine.to_vec();
    sessions.push(session(9, bob, 40, None));
    let batch = FlushBatch {
        sessions,
        ..FlushBatch::default()
    };
    f.store.flush(boot, batch).await.expect("written");
    let (mut read, mut before) = (Vec::new(), None);
    loop {
        let page = f.store.own_sessions(ann, before, 1).await;
        let (rows, next) = page.expect("read");
        assert_eq!(rows.len(), 1);
        read.extend(rows);
        before = next;
        if next.is_none() {
            break;
        }
    }
    let by_id = |rows: &mut Vec<SessionRow>| rows.sort_by_key(|row| row.id.0);
    assert!(read.is_sorted_by(|one, next| one.started_at >= next.started_at));
    by_id(&mut read);
    assert_eq!(read, mine);

    for (who, whom) in [(ann, bob), (ann, eve), (eve, ann)] {
        f.store.follow(who, whom, at(7)).await.expect("follows");
    }
    f.store.block(ann, bob, at(8)).await.expect("blocks");
    f.store.block(eve, bob, at(8)).await.expect("blocks");
    let named = async |relation, page| {
        let (rows, next) = f
            .store
            .own_relations(ann, relation, page)
            .await
            .expect("read");
        let row = |r: RelationRow| (r.username.to_string(), r.since);
        (rows.into_iter().map(row).collect::<Vec<_>>(), next)
    };
    let eve_since = |time| vec![("eve".to_owned(), at(time))];
    assert_eq!(named(Relation::Following, ALL).await, (eve_since(7), None));
    assert_eq!(named(Relation::Followers, ALL).await, (eve_since(7), None));
    let blocked = vec![("bob".to_owned(), at(8))];
    assert_eq!(named(Relation::Blocks, ALL).await, (blocked, None));

    let begun = f.store.create_conversation(eve, vec![ann], at(9)).await;
    let pair = begun.expect("begun").0;
    let begun = f
        .store
        .create_conversation(eve, vec![bob, ann], at(9))
        .await;
    begun.expect_err("eve blocks bob");
    say(&f, ann, pair, "one", 10).await;
    say(&f, eve, pair, "two", 11).await;
    let (conversations, next) = f.store.own_conversations(ann, ALL).await.expect("read");
    assert_eq!((conversations.len(), next), (1, None));
    let ids: Vec<_> = conversations[0].participants.iter().map(|p| p.0).collect();
    assert_eq!(ids, [eve, ann]);
    let one = Page {
        before: None,
        limit: 1,
    };
    let (newest, next) = f.store.own_messages(ann, pair, one).await.expect("read");
    assert_eq!(newest[0].text, "two");
    let rest = Page {
        before: next,
        limit: 1,
    };
    let (oldest, end) = f.store.own_messages(ann, pair, rest).await.expect("read");
    assert_eq!((oldest[0].text.as_str(), end), ("one", None));
    let foreign = f.store.own_messages(bob, pair, ALL).await;
    assert!(matches!(foreign, Err(StoreError::NoSuchUser)));
    assert!(
        f.store
            .own_conversations(bob, ALL)
            .await
            .expect("read")
            .0
            .is_empty()
    );
}
