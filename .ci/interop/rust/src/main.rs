//! A device that is `rust_socketio`, told what to do by lines of JSON on standard input; see `lib/child.mjs`.

use rust_socketio::client::Client;
use rust_socketio::{ClientBuilder, Event, Payload, TransportType};
use serde_json::{Value, json};
use std::error::Error;
use std::io::{Lines, StdinLock, Write, stdin, stdout};
use std::time::Duration;

const ACK: Duration = Duration::from_secs(5);
/// Milliseconds between two attempts to come back, from and to.
const RECONNECT_MS: (u64, u64) = (100, 500);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(mode)) = (arguments.next(), arguments.next()) else {
        return Err("usage: lastseen-interop URL default|polling|websocket".into());
    };
    let mut commands = stdin().lines();
    let auth = commands
        .next()
        .ok_or("no line with the payload of CONNECT")??;
    let client = connect(&url, &mode, serde_json::from_str(&auth)?)?;
    obey(&client, commands)
}

fn connect(url: &str, mode: &str, auth: Value) -> Result<Client, Box<dyn Error>> {
    let (transport, name) = match mode {
        // With the upgrade, and without if that fails; which of the two the client does not tell.
        "default" => (TransportType::Any, Value::Null),
        "polling" => (TransportType::Polling, json!("polling")),
        "websocket" => (TransportType::Websocket, json!("websocket")),
        other => return Err(format!("no mode: {other}").into()),
    };
    let client = ClientBuilder::new(url)
        .transport_type(transport)
        .auth(auth)
        .reconnect_delay(RECONNECT_MS.0, RECONNECT_MS.1)
        .on(Event::Connect, move |_, _| {
            say(&json!({"state": "connected", "transport": name}));
        })
        .on(Event::Close, |_, _| {
            say(&json!({"state": "disconnected", "reason": null}));
        })
        // Errors of the client and the server's `error` event come the same way.
        .on(Event::Error, |payload, _| {
            let data = first(payload);
            match data.as_str() {
                Some(reason) => say(&json!({"state": "refused", "reason": reason})),
                None => say(&json!({"event": "error", "data": data})),
            }
        })
        .on_any(|event, payload, _| {
            say(&json!({"event": event.as_str(), "data": first(payload)}));
        })
        .connect()?;
    Ok(client)
}

/// Until it is told to close, or nobody is there to tell it anything.
fn obey(client: &Client, commands: Lines<StdinLock<'static>>) -> Result<(), Box<dyn Error>> {
    for line in commands {
        let command: Value = serde_json::from_str(&line?)?;
        if let Some(name) = command["emit"].as_str() {
            let number = command["ack"].clone();
            client.emit_with_ack(name, command["data"].clone(), ACK, move |payload, _| {
                // An acknowledgement comes as the whole list of its arguments.
                let data = match first(payload) {
                    Value::Array(mut arguments) if arguments.len() == 1 => arguments.remove(0),
                    other => other,
                };
                say(&json!({"ack": number, "data": data}));
            })?;
        } else if command.get("close").is_some() {
            client.disconnect()?;
            return Ok(());
        }
    }
    Ok(())
}

fn first(payload: Payload) -> Value {
    match payload {
        Payload::Text(values) => values.into_iter().next().unwrap_or_default(),
        other => json!(format!("{other:?}")),
    }
}

fn say(line: &Value) {
    // Nobody reads any more: the device is about to be ended.
    let _ = writeln!(stdout().lock(), "{line}");
}
