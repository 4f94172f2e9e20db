//! Namespaces: connecting to one, being refused, leaving it.

use super::connected;
use crate::harness::{Transport, over_socketio};
use crate::protocol::Echo;
use crate::protocol::peer::{Heard, Layer, Peer, Polling};
use std::collections::BTreeSet;
use std::time::Duration;

over_socketio!(
    each_namespace_has_a_socket_of_its_own,
    the_payload_reaches_the_application,
    an_unknown_namespace_is_refused,
    a_query_after_the_namespace_is_not_part_of_it,
    one_namespace_is_left_and_the_other_stays,
    a_namespace_that_was_left_can_be_joined_again,
    who_left_the_last_namespace_stays,
    packets_before_connect_end_the_session,
    a_payload_that_is_no_object_ends_the_session,
    connecting_twice_ends_the_session,
    who_does_not_connect_in_time_is_closed,
    who_was_refused_is_closed_in_time,
);

async fn each_namespace_has_a_socket_of_its_own(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
    let sids = BTreeSet::from([peer.connect("/").await, peer.connect("/custom").await]);
    assert_eq!(sids.len(), 2);
    peer.say(r#"42["message",1]"#).await;
    peer.hear(r#"42["message-back",1]"#).await;
    peer.say(r#"42/custom,["message",2]"#).await;
    peer.hear(r#"42/custom,["message-back",2]"#).await;
}

#[tokio::test]
async fn the_id_of_a_socket_is_not_that_of_the_session() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Socket).await;
    polling.say("40").await;
    let (_, body) = polling.get().await;
    assert!(body.starts_with(r#"40{"sid":""#), "{body}");
    assert!(!body.contains(polling.sid()), "{body}");
}

async fn the_payload_reaches_the_application(transport: Transport) {
    let echo = Echo::start().await;
    for (prefix, payload, seen) in [
        ("", "", "{}"),
        ("", "{}", "{}"),
        ("", r#"{"token":"123"}"#, r#"{"token":"123"}"#),
        ("/,", "", "{}"),
        ("/custom,", "", "{}"),
        ("/custom", "", "{}"),
        ("/custom,", r#"{"token":"abc, é"}"#, r#"{"token":"abc, é"}"#),
    ] {
        let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
        peer.say(&format!("40{prefix}{payload}")).await;
        let prefix = if prefix.starts_with("/c") {
            "/custom,"
        } else {
            ""
        };
        peer.accepted(prefix).await;
        peer.hear(&format!(r#"42{prefix}["auth",{seen}]"#)).await;
    }
}

async fn an_unknown_namespace_is_refused(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
    for namespace in ["/random", "/custom2", "/custom/more", "/Custom", "/custom/"] {
        peer.say(&format!(r#"40{namespace},{{"token":"1"}}"#)).await;
        peer.hear(&format!(
            r#"44{namespace},{{"message":"Invalid namespace"}}"#
        ))
        .await;
    }
    // That costs nothing else.
    peer.connect("/custom").await;
}

async fn a_query_after_the_namespace_is_not_part_of_it(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
    peer.say("40/custom?token=abc,").await;
    peer.accepted("/custom,").await;
    peer.hear(r#"42/custom,["auth",{}]"#).await;
    peer.say(r#"42/custom?token=abc,["message"]"#).await;
    peer.hear(r#"42/custom,["message-back"]"#).await;
}

async fn one_namespace_is_left_and_the_other_stays(transport: Transport) {
    let echo = Echo::start().await;
    for (left, stays) in [("/custom,", ""), ("/custom", ""), ("", "/custom,")] {
        let mut peer = connected(&echo, transport).await;
        peer.connect("/custom").await;
        peer.say(&format!("41{left}")).await;
        // No answer is due.
        peer.say(&format!(r#"42{stays}["message","here"]"#)).await;
        peer.hear(&format!(r#"42{stays}["message-back","here"]"#))
            .await;
        peer.say(&format!(r#"42{left},["message","gone"]"#).replace(",,", ","))
            .await;
        peer.is_closed().await;
    }
}

async fn a_namespace_that_was_left_can_be_joined_again(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
    let first = peer.connect("/").await;
    peer.say("41").await;
    assert_ne!(peer.connect("/").await, first);
    peer.say(r#"42["message"]"#).await;
    peer.hear(r#"42["message-back"]"#).await;
}

async fn who_left_the_last_namespace_stays(transport: Transport) {
    let echo = Echo::with(|settings| settings.ping_interval = Duration::from_millis(300)).await;
    let mut peer = connected(&echo, transport).await;
    peer.say("41").await;
    let mut next = peer.next().await;
    // A ping may have come before.
    if next == "2".into() {
        peer.say("3").await;
        next = peer.next().await;
    }
    assert_eq!(next, "2".into());
}

async fn packets_before_connect_end_the_session(transport: Transport) {
    let echo = Echo::start().await;
    for early in [
        r#"42["message"]"#,
        r#"421["message-with-ack"]"#,
        r#"451-["message",{"_placeholder":true,"num":0}]"#,
        "431[]",
        "41",
        r#"42/custom,["message"]"#,
        "41/custom,",
    ] {
        let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
        peer.say(early).await;
        peer.is_closed().await;
    }
    let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
    peer.say_binary(&[1]).await;
    peer.is_closed().await;
    // Being in one namespace is no entry to another.
    let mut peer = connected(&echo, transport).await;
    peer.say(r#"42/custom,["message"]"#).await;
    peer.is_closed().await;
}

async fn a_payload_that_is_no_object_ends_the_session(transport: Transport) {
    let echo = Echo::start().await;
    for bad in [
        "abc",
        "[]",
        "null",
        "\"x\"",
        "{",
        "{}x",
        "/custom,[1]",
        "/custom,{",
    ] {
        let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
        peer.say(&format!("40{bad}")).await;
        peer.is_closed().await;
    }
}

async fn connecting_twice_ends_the_session(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    peer.say("40").await;
    peer.is_closed().await;
}

async fn who_does_not_connect_in_time_is_closed(transport: Transport) {
    let echo = Echo::with(|settings| settings.connect_timeout = Duration::from_millis(300)).await;
    let mut kept = connected(&echo, transport).await;
    let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
    peer.is_closed().await;
    kept.say(r#"42["message"]"#).await;
    kept.hear(r#"42["message-back"]"#).await;
}

async fn who_was_refused_is_closed_in_time(transport: Transport) {
    let echo = Echo::with(|settings| settings.connect_timeout = Duration::from_millis(300)).await;
    let mut peer = Peer::open(&echo, Layer::Socket, transport).await;
    peer.say("40/random,").await;
    assert!(matches!(peer.next().await, Heard::Text(_)));
    peer.is_closed().await;
}
