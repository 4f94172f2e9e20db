//! Users, the graph, and what one may know of another.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;

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
