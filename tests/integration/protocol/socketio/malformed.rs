//! Packets that are none: each ends the session at once.

use super::connected;
use crate::harness::{Transport, over_socketio};
use crate::protocol::Echo;

over_socketio!(
    an_unknown_type_ends_the_session,
    a_bad_payload_of_an_event_ends_the_session,
    a_reserved_name_ends_the_session,
    a_bad_acknowledgement_ends_the_session,
    a_bad_number_ends_the_session,
    a_bad_disconnect_ends_the_session,
    a_bad_number_of_attachments_ends_the_session,
    a_placeholder_for_no_attachment_ends_the_session,
    an_attachment_that_nothing_announced_ends_the_session,
    text_where_an_attachment_was_announced_ends_the_session,
    packets_of_the_server_end_the_session,
);

/// Each of `packets` ends a session that is connected to `/`, with nothing said before.
async fn each_ends(transport: Transport, packets: &[&str]) {
    let echo = Echo::start().await;
    for packet in packets {
        let mut peer = connected(&echo, transport).await;
        peer.say(packet).await;
        peer.is_closed().await;
    }
}

async fn an_unknown_type_ends_the_session(transport: Transport) {
    each_ends(
        transport,
        &["4", "47", "48[]", "49", "4abc", "4-1", "4 2[\"a\"]", "4é"],
    )
    .await;
}

async fn a_bad_payload_of_an_event_ends_the_session(transport: Transport) {
    let packets = [
        "42",
        "42{}",
        "42[]",
        "42null",
        "42\"message\"",
        "42[\"message\"",
        "42[\"message\"]x",
        "42[\"message\",]",
        "42['message']",
        "42[null]",
        "42[true]",
        "42[{}]",
        "42[[\"message\"]]",
        "42/,[]",
        "42/",
        "42/custom",
    ];
    each_ends(transport, &packets).await;
}

async fn a_reserved_name_ends_the_session(transport: Transport) {
    let packets = [
        "42[\"connect\"]",
        "42[\"connect_error\",{}]",
        "421[\"disconnect\"]",
        "42[\"disconnecting\"]",
        "42[\"newListener\"]",
        "42[\"removeListener\"]",
        "42[\"dis\\u0063onnect\"]",
    ];
    each_ends(transport, &packets).await;
}

async fn a_bad_acknowledgement_ends_the_session(transport: Transport) {
    let packets = [
        "431", "431{}", "431null", "431[", "43[]", "43", "43x[]", "46[]", "461-[]",
    ];
    each_ends(transport, &packets).await;
}

async fn a_bad_number_ends_the_session(transport: Transport) {
    let packets = [
        "42abc[\"message-with-ack\"]",
        "42-1[\"message-with-ack\"]",
        "421.5[\"message-with-ack\"]",
        "421 [\"message-with-ack\"]x",
        "4299999999999999999999999[\"message-with-ack\"]",
    ];
    each_ends(transport, &packets).await;
}

async fn a_bad_disconnect_ends_the_session(transport: Transport) {
    each_ends(
        transport,
        &["41{}", "41[]", "41abc", "41/custom,", "41/random"],
    )
    .await;
}

async fn a_bad_number_of_attachments_ends_the_session(transport: Transport) {
    let packets = [
        "45",
        "45[\"message\"]",
        "45-[\"message\"]",
        "451[\"message\"]",
        "45x-[\"message\"]",
        "45-1-[\"message\"]",
        "451.0-[\"message\"]",
        "45 1-[\"message\"]",
        "4517-[\"message\"]",
        "459999999999-[\"message\"]",
        "4599999999999999999999999-[\"message\"]",
        "461[]",
        "46x-1[]",
        "4617-1[]",
    ];
    each_ends(transport, &packets).await;
}

async fn a_placeholder_for_no_attachment_ends_the_session(transport: Transport) {
    let mut packets = Vec::new();
    for num in ["1", "-1", "0.5", "\"0\"", "null", "99999999999999999999"] {
        let place = format!(r#"{{"_placeholder":true,"num":{num}}}"#);
        packets.push(format!(r#"451-["message",{place}]"#));
        packets.push(format!(r#"451-["message",[{{"a":{place}}}]]"#));
        packets.push(format!("461-1[{place}]"));
    }
    packets.push(r#"451-["message",{"_placeholder":true}]"#.into());
    let packets: Vec<_> = packets.iter().map(String::as_str).collect();
    each_ends(transport, &packets).await;
}

async fn an_attachment_that_nothing_announced_ends_the_session(transport: Transport) {
    let echo = Echo::start().await;
    let mut peer = connected(&echo, transport).await;
    peer.say_binary(&[1]).await;
    peer.is_closed().await;
    // One too many.
    let mut peer = connected(&echo, transport).await;
    peer.say(r#"451-["message",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.say_binary(&[1]).await;
    peer.hear(r#"451-["message-back",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.hear_binary(&[1]).await;
    peer.say_binary(&[2]).await;
    peer.is_closed().await;
}

async fn text_where_an_attachment_was_announced_ends_the_session(transport: Transport) {
    let echo = Echo::start().await;
    for text in [r#"42["message"]"#, "41", "40/custom,", "451-[\"message\"]"] {
        let mut peer = connected(&echo, transport).await;
        peer.say(r#"452-["message",{"_placeholder":true,"num":0}]"#)
            .await;
        peer.say_binary(&[1]).await;
        peer.say(text).await;
        peer.is_closed().await;
    }
}

async fn packets_of_the_server_end_the_session(transport: Transport) {
    each_ends(
        transport,
        &["44", "44{}", "44{\"message\":\"no\"}", "44/custom,{}"],
    )
    .await;
}
