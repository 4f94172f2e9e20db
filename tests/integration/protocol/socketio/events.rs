//! EVENT, ACK and their binary kin.

use super::connected;
use crate::harness::{Transport, over_socketio};
use crate::protocol::Echo;
use crate::protocol::peer::{Layer, Polling};

over_socketio!(
    arguments_come_back_as_they_were,
    an_event_is_acknowledged_with_its_number,
    attachments_come_in_their_order,
    placeholders_may_be_anywhere,
    a_binary_event_is_acknowledged_with_attachments,
    namespaces_keep_events_and_acknowledgements_apart,
    unknown_events_are_ignored,
    acknowledgements_that_nobody_waits_for_are_ignored,
    order_is_kept_between_kinds,
);

async fn arguments_come_back_as_they_were(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    for args in [
        "",
        r#",1,"2",{"3":[true]}"#,
        r#",null"#,
        r#",[],{},"",0.5,1e3,-0"#,
        r#",{"b":1,"a":2,"b":3}"#,
        r#","é\u00e9\"\\\n""#,
        r#",12345678901234567890"#,
        r#",{"_placeholder":false,"num":7}"#,
        r#","1-/custom,2[]""#,
    ] {
        peer.say(&format!(r#"42["message"{args}]"#)).await;
        peer.hear(&format!(r#"42["message-back"{args}]"#)).await;
    }
    // Spaces between are nobody's business.
    peer.say(r#"42[ "message" , 1 ]"#).await;
    peer.hear(r#"42["message-back",1]"#).await;
}

async fn an_event_is_acknowledged_with_its_number(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    for id in ["0", "1", "456", "9007199254740991"] {
        peer.say(&format!(
            r#"42{id}["message-with-ack",1,"2",{{"3":[false]}}]"#
        ))
        .await;
        peer.hear(&format!(r#"43{id}[1,"2",{{"3":[false]}}]"#))
            .await;
        peer.say(&format!(r#"42{id}["message-with-ack"]"#)).await;
        peer.hear(&format!("43{id}[]")).await;
    }
}

async fn attachments_come_in_their_order(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    let args = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    peer.say(&format!(r#"452-["message",{args}]"#)).await;
    peer.say_binary(&[1, 2, 3]).await;
    peer.say_binary(&[4, 5, 6]).await;
    peer.hear(&format!(r#"452-["message-back",{args}]"#)).await;
    peer.hear_binary(&[1, 2, 3]).await;
    peer.hear_binary(&[4, 5, 6]).await;
    // As many as are allowed, and empty ones too.
    peer.say(r#"4516-["message"]"#).await;
    for i in 0..16 {
        peer.say_binary(&vec![i; usize::from(i)]).await;
    }
    peer.hear(r#"4516-["message-back"]"#).await;
    for i in 0..16 {
        peer.hear_binary(&vec![i; usize::from(i)]).await;
    }
}

async fn placeholders_may_be_anywhere(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    let args = r#"{"a":[{"b":{"_placeholder":true,"num":1}}]},[[{"num":0,"_placeholder":true}]]"#;
    peer.say(&format!(r#"452-["message",{args}]"#)).await;
    peer.say_binary(b"first").await;
    peer.say_binary(b"second").await;
    peer.hear(&format!(r#"452-["message-back",{args}]"#)).await;
    peer.hear_binary(b"first").await;
    peer.hear_binary(b"second").await;
}

async fn a_binary_event_is_acknowledged_with_attachments(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    let args = r#"{"_placeholder":true,"num":0},"x",{"_placeholder":true,"num":1}"#;
    peer.say(&format!(r#"452-789["message-with-ack",{args}]"#))
        .await;
    peer.say_binary(&[1, 2, 3]).await;
    peer.say_binary(&[4, 5, 6]).await;
    peer.hear(&format!("462-789[{args}]")).await;
    peer.hear_binary(&[1, 2, 3]).await;
    peer.hear_binary(&[4, 5, 6]).await;
}

async fn namespaces_keep_events_and_acknowledgements_apart(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    peer.connect("/custom").await;
    peer.say(r#"42/custom,5["message-with-ack","in"]"#).await;
    peer.hear(r#"43/custom,5["in"]"#).await;
    peer.say(r#"425["message-with-ack","out"]"#).await;
    peer.hear(r#"435["out"]"#).await;
    peer.say(r#"451-/custom,6["message-with-ack",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.say_binary(&[7]).await;
    peer.hear(r#"461-/custom,6[{"_placeholder":true,"num":0}]"#)
        .await;
    peer.hear_binary(&[7]).await;
    peer.say(r#"451-/custom,["message",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.say_binary(&[8]).await;
    peer.hear(r#"451-/custom,["message-back",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.hear_binary(&[8]).await;
}

async fn unknown_events_are_ignored(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    // Numbers may be names, as with the JavaScript client.
    for event in [
        r#"42["other"]"#,
        r#"42[7]"#,
        r#"427["other"]"#,
        r#"42["message-with-ack"]"#,
    ] {
        peer.say(event).await;
    }
    peer.say(r#"42["message"]"#).await;
    peer.hear(r#"42["message-back"]"#).await;
}

async fn acknowledgements_that_nobody_waits_for_are_ignored(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    peer.say("430[]").await;
    peer.say(r#"4399["x"]"#).await;
    peer.say(r#"461-3[{"_placeholder":true,"num":0}]"#).await;
    peer.say_binary(&[1]).await;
    peer.say(r#"42["message"]"#).await;
    peer.hear(r#"42["message-back"]"#).await;
}

async fn order_is_kept_between_kinds(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    for i in 0..20 {
        peer.say(&format!(r#"42["message",{i}]"#)).await;
        peer.say(&format!(
            r#"451-{i}["message-with-ack",{{"_placeholder":true,"num":0}}]"#
        ))
        .await;
        peer.say_binary(&[i]).await;
    }
    for i in 0..20 {
        peer.hear(&format!(r#"42["message-back",{i}]"#)).await;
        peer.hear(&format!(r#"461-{i}[{{"_placeholder":true,"num":0}}]"#))
            .await;
        peer.hear_binary(&[i]).await;
    }
}

#[tokio::test]
async fn over_polling_a_packet_and_its_attachments_share_a_body() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Socket).await;
    polling.say("40").await;
    let (_, body) = polling.get().await;
    assert!(body.ends_with("\x1e42[\"auth\",{}]"), "{body}");
    let args = r#"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#;
    let binary = "\x1ebAQID\x1ebBAUG";
    polling
        .say(&format!(
            "42[\"message\"]\x1e452-[\"message\",{args}]{binary}"
        ))
        .await;
    polling
        .hear(&format!(
            "42[\"message-back\"]\x1e452-[\"message-back\",{args}]{binary}"
        ))
        .await;
    // Or each has one of its own.
    for body in [
        &*format!("452-7[\"message-with-ack\",{args}]"),
        "bAQID",
        "bBAUG",
    ] {
        polling.say(body).await;
    }
    polling.hear(&format!("462-7[{args}]{binary}")).await;
}

#[tokio::test]
async fn over_polling_acknowledgements_of_many_events_are_not_lost() {
    let echo = Echo::start().await;
    let polling = Polling::open(&echo, Layer::Socket).await;
    polling.say("40").await;
    let events: Vec<_> = (0..500)
        .map(|i| format!("42{i}[\"message-with-ack\",{i}]"))
        .collect();
    let body = events.join("\x1e");
    let mut heard = Vec::new();
    let listens = async {
        while heard.len() < 2 + events.len() {
            let (status, body) = polling.get().await;
            assert_eq!(status, 200);
            heard.extend(body.split('\x1e').map(str::to_owned));
        }
    };
    tokio::join!(polling.say(&body), listens);
    let expected: Vec<_> = (0..500).map(|i| format!("43{i}[{i}]")).collect();
    assert_eq!(heard[2..], expected);
}
