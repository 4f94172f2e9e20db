//! Conversations and messages.

use crate::model::*;
use crate::store::sqlite::testing::*;
use crate::store::*;

const ALL: Page = Page {
    before: None,
    limit: 100,
};

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
    // Whoever only reads for the viewer leaves the marks as they are.
    let before = unread(&f, b).await;
    f.store
        .conversation(b, pair, ALL, false)
        .await
        .expect("read");
    // A write that is answered: what an earlier one had queued would be done by now.
    f.store.prove_life(BootId(1), at(1)).await.expect("written");
    assert_eq!(unread(&f, b).await, before);
    assert!(before.iter().any(|count| *count > 0));
    // Opening marks read; the mark is written behind the answer, in order with what follows.
    let two = Page {
        before: None,
        limit: 2,
    };
    let detail = f
        .store
        .conversation(b, pair, two, true)
        .await
        .expect("read");
    let detail = detail.expect("a participant");
    let texts =
        |messages: &[MessageRow]| messages.iter().map(|m| m.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&detail.messages), ["three", "two"]);
    let rest = Page {
        before: detail.next,
        limit: 2,
    };
    let rest = f
        .store
        .conversation(b, pair, rest, true)
        .await
        .expect("read");
    assert_eq!(texts(&rest.expect("a participant").messages), ["one"]);
    assert!(
        f.store
            .conversation(c, pair, two, true)
            .await
            .expect("read")
            .is_none()
    );
    f.store.unfollow(a, b).await.expect("behind the mark");
    let (list, _) = f.store.conversations(b, all).await.expect("listed");
    assert_eq!(list[0].unread_count, 0);
    // The erased take their words with them; what nobody is left in goes.
    f.store.delete_user(a).await.expect("erased");
    let left = f
        .store
        .conversation(b, pair, ALL, true)
        .await
        .expect("read");
    let left = left.expect("a participant");
    assert_eq!(texts(&left.messages), ["three"]);
    assert_eq!(left.participants.len(), 1);
    f.store.delete_user(b).await.expect("erased");
    f.store.delete_user(c).await.expect("erased");
    assert_eq!(f.number("SELECT count(*) FROM conversations"), Some(0));
    assert_eq!(f.number("SELECT count(*) FROM messages"), Some(0));
}

async fn unread(f: &Fixture, viewer: UserId) -> Vec<i64> {
    let all = ConversationPage {
        before: None,
        limit: 100,
    };
    let (list, _) = f.store.conversations(viewer, all).await.expect("listed");
    list.iter().map(|summary| summary.unread_count).collect()
}
