//! Users, the graph, and what one may know of another.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;
use std::sync::Arc;

const ALL: Page = Page {
    before: None,
    limit: 100,
};

#[tokio::test]
async fn users_are_found_changed_and_erased() {
    let f = fixture();
    let id = f
        .store
        .create_user(NewUser {
            id: Some(UserId(77)),
            external_id: Some("x1".into()),
            password_hash: Some("phc".into()),
            profile: ProfileFields {
                email: Some("Anna@example.org".into()),
                bio: Some("hello".into()),
                display_name: Some(String::new()),
                ..ProfileFields::default()
            },
            ..new_user("Anna")
        })
        .await
        .expect("created");
    assert_eq!(id, UserId(77));
    let by_name = f.store.user_by_username("aNNA").await.expect("read");
    let user = by_name.expect("any case");
    assert_eq!(
        (user.username.as_str(), user.display_name.as_deref()),
        ("Anna", None)
    );
    let found = f.store.user_by_external_id("x1").await.expect("read");
    assert_eq!(found.map(|user| user.id), Some(id));
    for login in ["anna", "anna@EXAMPLE.org"] {
        let found = f.store.credentials(login).await.expect("read");
        assert_eq!(
            found.and_then(|found| found.password_hash).as_deref(),
            Some("phc"),
            "{login}"
        );
    }
    for (field, user) in [
        ("username", new_user("ANNA")),
        (
            "email",
            NewUser {
                profile: ProfileFields {
                    email: Some("anna@example.org".into()),
                    ..ProfileFields::default()
                },
                ..new_user("other")
            },
        ),
        (
            "externalId",
            NewUser {
                external_id: Some("x1".into()),
                ..new_user("other")
            },
        ),
        (
            "id",
            NewUser {
                id: Some(id),
                ..new_user("other")
            },
        ),
    ] {
        let taken = f.store.create_user(user).await;
        assert!(
            matches!(taken, Err(StoreError::Conflict(found)) if found == field),
            "{field}: {taken:?}"
        );
    }
    let change = UserChange {
        username: Some(Username::new("anna2").expect("valid")),
        profile: ProfileFields {
            bio: Some(String::new()),
            display_name: Some("Anna A".into()),
            ..ProfileFields::default()
        },
        role: Some(Role::Admin),
        activity_status: Some(ActivityStatus::Nobody),
        ..UserChange::default()
    };
    assert!(f.store.update_user(id, change).await.expect("changed"));
    let user = f.store.user(id).await.expect("read").expect("there");
    assert_eq!(user.username.as_str(), "anna2");
    assert_eq!((user.bio, user.display_name), (None, Some("Anna A".into())));
    assert_eq!(
        (user.role, user.activity_status),
        (Role::Admin, ActivityStatus::Nobody)
    );
    assert_eq!(user.email.as_deref(), Some("Anna@example.org"));
    let nobody = f.store.update_user(UserId(5), UserChange::default()).await;
    assert!(!nobody.expect("no error"));
    assert!(f.store.delete_user(id).await.expect("erased"));
    assert!(!f.store.delete_user(id).await.expect("gone"));
    // An id is not given away again.
    assert!(f.user("next").await > id);
    let page = f.store.users_page(Some(id), 10).await.expect("listed");
    assert_eq!(page.len(), 1);
}

#[tokio::test]
async fn follows_are_counted_listed_and_cascade() {
    let f = fixture();
    let (a, b, c) = (f.user("aa").await, f.user("bb").await, f.user("cc").await);
    let follow = |one, other| f.store.follow(one, other, at(5));
    assert!(follow(a, b).await.expect("new"));
    assert!(!follow(a, b).await.expect("again"));
    assert!(follow(a, c).await.expect("new"));
    assert!(follow(c, b).await.expect("new"));
    assert!(matches!(follow(a, a).await, Err(StoreError::Forbidden)));
    assert!(matches!(
        follow(a, UserId(999)).await,
        Err(StoreError::NoSuchUser)
    ));
    let counts = async |id| {
        let user = f.store.user(id).await.expect("read").expect("there");
        (user.followers_count, user.following_count)
    };
    assert_eq!(counts(a).await, (0, 2));
    assert_eq!(counts(b).await, (2, 0));
    // Newest first, by pages.
    let one = Page {
        before: None,
        limit: 1,
    };
    let (first, next) = f.store.followers(Some(a), b, one).await.expect("listed");
    assert_eq!(first[0].id, c);
    let (second, end) = f
        .store
        .followers(
            Some(a),
            b,
            Page {
                before: next,
                limit: 1,
            },
        )
        .await
        .expect("listed");
    assert_eq!((second[0].id, end), (a, None));
    let (following, _) = f.store.following(None, a, ALL).await.expect("listed");
    assert_eq!(following.iter().map(|p| p.id).collect::<Vec<_>>(), [c, b]);
    assert!(following.iter().all(|p| p.facts == PairFacts::default()));
    f.store.delete_user(c).await.expect("erased");
    assert_eq!(counts(a).await, (0, 1));
    assert_eq!(counts(b).await, (1, 0));
    assert!(f.store.unfollow(a, b).await.expect("gone"));
    assert!(!f.store.unfollow(a, b).await.expect("again"));
    assert_eq!(counts(b).await, (0, 0));
}

#[tokio::test]
async fn a_block_ends_follows_and_forbids() {
    let f = fixture();
    let (a, b, c) = (f.user("aa").await, f.user("bb").await, f.user("cc").await);
    f.store.follow(a, b, at(1)).await.expect("new");
    f.store.follow(b, a, at(1)).await.expect("new");
    let (pair, created) = f
        .store
        .create_conversation(a, vec![b], at(2))
        .await
        .expect("begun");
    assert!(created);
    assert!(f.store.block(b, a, at(3)).await.expect("new"));
    assert!(!f.store.block(b, a, at(3)).await.expect("again"));
    assert_eq!(f.number("SELECT count(*) FROM follows"), Some(0));
    for (one, other) in [(a, b), (b, a)] {
        assert!(matches!(
            f.store.follow(one, other, at(4)).await,
            Err(StoreError::Forbidden)
        ));
        assert!(matches!(
            f.store.send_message(one, pair, "x".into(), at(4)).await,
            Err(StoreError::Forbidden)
        ));
        assert!(matches!(
            f.store.create_conversation(one, vec![other], at(4)).await,
            Err(StoreError::Forbidden)
        ));
        assert!(matches!(
            f.store
                .create_conversation(one, vec![c, other], at(4))
                .await,
            Err(StoreError::Forbidden)
        ));
    }
    // In a group, blocks do not stop anybody.
    let (group, _) = f
        .store
        .create_conversation(c, vec![a, b], at(5))
        .await
        .expect("begun");
    let sent = f.store.send_message(a, group, "x".into(), at(6)).await;
    assert!(sent.expect("sent").is_some());
    let (blocked, _) = f.store.blocks(b, ALL).await.expect("listed");
    assert_eq!(blocked[0].id, a);
    assert!(blocked[0].facts.blocked());
    assert!(f.store.unblock(b, a).await.expect("gone"));
    assert!(f.store.follow(a, b, at(7)).await.expect("new"));
}

#[tokio::test]
async fn conversations_are_begun_once_listed_read_and_left() {
    let f = fixture();
    let (a, b, c) = (f.user("aa").await, f.user("bb").await, f.user("cc").await);
    let begin = |creator, others| f.store.create_conversation(creator, others, at(10));
    let (pair, true) = begin(a, vec![b, b, a]).await.expect("begun") else {
        panic!("it is new");
    };
    assert_eq!(begin(b, vec![a]).await.expect("found"), (pair, false));
    let (group, true) = begin(c, vec![a, b]).await.expect("begun") else {
        panic!("it is new");
    };
    assert_ne!(begin(c, vec![a, b]).await.expect("begun").0, group);
    assert!(matches!(
        begin(a, vec![UserId(999)]).await,
        Err(StoreError::NoSuchUser)
    ));
    assert!(matches!(
        begin(a, vec![a]).await,
        Err(StoreError::Forbidden)
    ));
    let send = async |from, to, text: &str, time| {
        f.store
            .send_message(from, to, text.into(), at(time))
            .await
            .expect("sent")
    };
    assert!(send(c, pair, "no", 20).await.is_none());
    let first = send(a, pair, "one", 20).await.expect("a participant");
    assert!(first.is_first);
    assert_eq!(first.recipients, [b]);
    assert!(
        !send(a, pair, "two", 21)
            .await
            .expect("a participant")
            .is_first
    );
    send(b, pair, "three", 22).await;
    let all = ConversationPage {
        before: None,
        limit: 10,
    };
    let (list, next) = f.store.conversations(b, all).await.expect("listed");
    assert_eq!((list.len(), next), (3, None));
    assert_eq!((list[0].id, list[0].unread_count), (pair, 2));
    let newest = list[0].last_message.as_ref().expect("a message");
    assert_eq!(newest.text, "three");
    assert!(list[1].last_message.is_none());
    assert_eq!(
        list[0]
            .participants
            .iter()
            .map(|p| p.id)
            .collect::<Vec<_>>(),
        [a, b]
    );
    // Page by page the same.
    let mut paged = Vec::new();
    let mut page = ConversationPage {
        before: None,
        limit: 1,
    };
    loop {
        let (one, next) = f.store.conversations(b, page).await.expect("listed");
        paged.extend(one.into_iter().map(|summary| summary.id));
        page.before = next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(paged, list.iter().map(|s| s.id).collect::<Vec<_>>());
    // Opening marks read; the mark is written behind the answer, in order with what follows.
    let two = Page {
        before: None,
        limit: 2,
    };
    let detail = f.store.conversation(b, pair, two).await.expect("read");
    let detail = detail.expect("a participant");
    let texts =
        |messages: &[MessageRow]| messages.iter().map(|m| m.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&detail.messages), ["three", "two"]);
    let rest = Page {
        before: detail.next,
        limit: 2,
    };
    let rest = f.store.conversation(b, pair, rest).await.expect("read");
    assert_eq!(texts(&rest.expect("a participant").messages), ["one"]);
    assert!(
        f.store
            .conversation(c, pair, two)
            .await
            .expect("read")
            .is_none()
    );
    f.store.unfollow(a, b).await.expect("behind the mark");
    let (list, _) = f.store.conversations(b, all).await.expect("listed");
    assert_eq!(list[0].unread_count, 0);
    // The erased leave their words and no name; what nobody is left in goes.
    f.store.delete_user(a).await.expect("erased");
    let left = f.store.conversation(b, pair, ALL).await.expect("read");
    let left = left.expect("a participant");
    assert_eq!(left.messages.len(), 3);
    assert!(left.messages[1].sender_id.is_none());
    f.store.delete_user(b).await.expect("erased");
    f.store.delete_user(c).await.expect("erased");
    assert_eq!(f.number("SELECT count(*) FROM conversations"), Some(0));
    assert_eq!(f.number("SELECT count(*) FROM messages"), Some(0));
}

#[tokio::test]
async fn pair_facts_are_the_same_everywhere_and_from_both_sides() {
    let f = fixture();
    let mut ids = Vec::new();
    for n in 0..6 {
        ids.push(f.user(&format!("user{n}")).await);
    }
    let me = ids[0];
    f.store.follow(me, ids[1], at(1)).await.expect("new");
    f.store.follow(ids[2], me, at(1)).await.expect("new");
    f.store.block(ids[3], me, at(1)).await.expect("new");
    let (talk, _) = f
        .store
        .create_conversation(me, vec![ids[4]], at(2))
        .await
        .expect("begun");
    let (group, _) = f
        .store
        .create_conversation(ids[5], vec![me, ids[1]], at(2))
        .await
        .expect("begun");
    let send = |from, to| f.store.send_message(from, to, "hi".into(), at(3));
    send(me, talk).await.expect("sent");
    send(ids[5], group).await.expect("sent");
    let expected = [
        0,
        PairFacts::FOLLOWS | PairFacts::PARTNERS,
        PairFacts::FOLLOWED,
        PairFacts::BLOCKED,
        PairFacts::PARTNERS | PairFacts::WROTE,
        PairFacts::PARTNERS | PairFacts::WRITTEN_TO,
    ];
    let mut asked = ids.clone();
    asked.reverse();
    asked.push(UserId(4_242));
    let people = f
        .store
        .people(Some(me), PeopleRef::Ids(asked))
        .await
        .expect("read");
    assert!(people[6].is_none());
    let names = (0..6).map(|n| format!("USER{n}")).collect();
    let named = f
        .store
        .people(Some(me), PeopleRef::Names(names))
        .await
        .expect("read");
    let interests = f
        .store
        .interests(me, false, false, ids.clone())
        .await
        .expect("read");
    for (n, bits) in expected.into_iter().enumerate() {
        let facts = PairFacts::from_bits(bits);
        let other = ids[n];
        let person = people[5 - n].as_ref().expect("there");
        assert_eq!((person.id, person.facts), (other, facts));
        let person = named[n].as_ref().expect("there");
        assert_eq!((person.id, person.facts), (other, facts));
        let pair = f.store.pair_facts(me, other).await.expect("read");
        assert_eq!(pair, facts);
        let mirrored = f.store.pair_facts(other, me).await.expect("read");
        assert_eq!(mirrored, facts.mirrored());
        let profile = f
            .store
            .profile(Some(me), &format!("user{n}"))
            .await
            .expect("read");
        assert_eq!(profile.expect("there").1, facts);
        let interest = interests.iter().find(|interest| interest.id == other);
        // Nobody is interested in themselves.
        assert_eq!(interest.map(|i| i.facts), (n > 0).then_some(facts));
    }
    let of = async |followees, partners| {
        let mut found: Vec<_> = f
            .store
            .interests(me, followees, partners, vec![])
            .await
            .expect("read")
            .into_iter()
            .map(|interest| interest.id)
            .collect();
        found.sort();
        found
    };
    assert_eq!(of(true, false).await, [ids[1]]);
    assert_eq!(of(false, true).await, [ids[1], ids[4], ids[5]]);
    assert_eq!(of(true, true).await, [ids[1], ids[4], ids[5]]);
    let strangers = f
        .store
        .people(None, PeopleRef::Ids(ids.clone()))
        .await
        .expect("read");
    assert!(
        strangers
            .iter()
            .flatten()
            .all(|person| person.facts == PairFacts::default())
    );
}

#[tokio::test]
async fn odd_names_find_nobody() {
    let f = fixture();
    f.user("anna").await;
    let names = ["", "a\0b", "anna\0", "\"]", "ä\u{10ffff}", "Anna"]
        .map(String::from)
        .to_vec();
    let people = f
        .store
        .people(None, PeopleRef::Names(names))
        .await
        .expect("read");
    let found: Vec<_> = people.iter().map(Option::is_some).collect();
    assert_eq!(found, [false, false, false, false, false, true]);
    assert!(
        f.store
            .user_by_username("anna\0")
            .await
            .expect("read")
            .is_none()
    );
}

#[tokio::test]
async fn sign_ins_keys_secrets_and_addresses() {
    let f = fixture();
    let user = f.user("anna").await;
    let sign_in = |hash: u8, created: i64, expires: i64| NewSignIn {
        user_id: user,
        token_hash: [hash; 32],
        created_at: at(created),
        expires_at: at(expires),
        client: Arc::new(ClientInfo {
            device_type: Some(DeviceType::Web),
            ..ClientInfo::default()
        }),
    };
    let create = |new| f.store.create_sign_in(new);
    let first = create(sign_in(1, 5_000, 9_000)).await.expect("signed in");
    create(sign_in(2, 4_000, 90_000)).await.expect("signed in");
    let row = f.store.user(user).await.expect("read").expect("there");
    assert_eq!(
        (row.last_login_at, row.last_active_at),
        (Some(at(5_000)), Some(at(5_000)))
    );
    let found = f.store.sign_in_by_hash([1; 32]).await.expect("read");
    let found = found.expect("there");
    assert_eq!((found.id, found.user_id), (first, user));
    assert!(
        f.store
            .sign_in_by_hash([9; 32])
            .await
            .expect("read")
            .is_none()
    );
    assert!(matches!(
        create(NewSignIn {
            user_id: UserId(99),
            ..sign_in(3, 1, 2)
        })
        .await,
        Err(StoreError::NoSuchUser)
    ));
    assert_eq!(
        f.store
            .sign_ins(user, at(6_000))
            .await
            .expect("listed")
            .len(),
        2
    );
    f.store
        .remember_address([7; 32], at(1))
        .await
        .expect("kept");
    let later = at(1)
        .plus(ADDRESS_MEMORY)
        .plus(std::time::Duration::from_secs(1));
    assert!(f.store.knows_address([7; 32], at(1)).await.expect("read"));
    assert!(!f.store.knows_address([7; 32], at(2)).await.expect("read"));
    assert_eq!(f.store.purge_expired(at(9_000)).await.expect("purged"), 1);
    assert!(f.store.knows_address([7; 32], at(1)).await.expect("read"));
    f.store.purge_expired(later).await.expect("purged");
    assert!(!f.store.knows_address([7; 32], at(1)).await.expect("read"));
    let third = create(sign_in(4, 1, 2)).await.expect("signed in");
    assert!(
        !f.store
            .revoke_sign_in(UserId(99), third)
            .await
            .expect("not theirs")
    );
    assert_eq!(
        f.store.revoke_sign_ins(user).await.expect("revoked"),
        [third]
    );

    let key = |name, hash: u8| {
        f.store
            .create_api_key(name, KeyRole::Service, [hash; 32], at(1))
    };
    let id = key("app", 1).await.expect("made");
    assert!(matches!(
        key("app", 2).await,
        Err(StoreError::Conflict("name"))
    ));
    assert_eq!(
        f.store
            .api_key_by_hash([1; 32])
            .await
            .expect("read")
            .map(|k| k.id),
        Some(id)
    );
    assert!(
        f.store
            .revoke_api_key(&id.to_string(), at(2))
            .await
            .expect("revoked")
    );
    assert!(
        f.store
            .api_key_by_hash([1; 32])
            .await
            .expect("read")
            .is_none()
    );
    key("app", 2).await.expect("the name is free again");
    assert!(f.store.revoke_api_key("app", at(2)).await.expect("revoked"));
    assert!(!f.store.revoke_api_key("app", at(2)).await.expect("gone"));
    assert!(f.store.api_keys().await.expect("listed").is_empty());

    let secret = f.store.secret("addresses").await.expect("made");
    assert_eq!(f.store.secret("addresses").await.expect("kept"), secret);
    assert_ne!(f.store.secret("other").await.expect("made"), secret);
}
