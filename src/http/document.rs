//! The OpenAPI document: how it is made, completed and shown, and what it tells the router about methods.
//!
//! poem-openapi documents each operation's success and one shape of failure; which statuses a failure can have
//! follows from what the operation takes, and is added here rather than by hand in every handler.

use poem::PathPattern;
use poem::http::HeaderValue;
use poem_openapi::{OpenApi, OpenApiService, Tags};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The parts of the API.
#[derive(Tags)]
pub(super) enum Tag {
    /// Signing up, in and out
    Auth,
    /// Profiles
    Users,
    /// Following and blocking
    People,
    /// Asking for presence
    Presence,
    /// Conversations and messages
    Messages,
    /// Mirroring users and follows
    Admin,
    /// Health and metrics
    Health,
}

/// The methods of each path, as the `Allow` header lists them.
#[derive(Clone, Debug, Default)]
pub(super) struct AllowTable(Arc<HashMap<String, HeaderValue>>);

impl AllowTable {
    /// From the routes of `A`, and the paths beside them that can only be read.
    pub(super) fn of<A: OpenApi>(read_only: &[&str]) -> Self {
        let mut methods: HashMap<String, Vec<String>> = HashMap::new();
        for path in A::meta().into_iter().flat_map(|api| api.paths) {
            let entry = methods.entry(router_pattern(&path.path)).or_default();
            entry.extend(path.operations.iter().map(|o| o.method.to_string()));
        }
        for path in read_only {
            methods.insert((*path).into(), vec!["GET".into()]);
        }
        let header = |mut methods: Vec<String>| {
            if methods.iter().any(|m| m == "GET") {
                methods.push("HEAD".into());
            }
            methods.sort_unstable();
            HeaderValue::from_str(&methods.join(", ")).ok()
        };
        let table = methods
            .into_iter()
            .filter_map(|(path, methods)| Some((path, header(methods)?)));
        Self(Arc::new(table.collect()))
    }

    /// The methods of the path that was matched. Empty, which the header may be, for one that is not ours.
    pub(super) fn methods(&self, pattern: Option<&PathPattern>) -> HeaderValue {
        pattern
            .and_then(|pattern| self.0.get(&*pattern.0))
            .cloned()
            .unwrap_or_else(|| HeaderValue::from_static(""))
    }
}

/// `/users/{username}` as the router writes it.
fn router_pattern(path: &str) -> String {
    path.replace('{', ":").replace('}', "")
}

/// The document and the page that shows it.
pub(super) struct Document {
    /// OpenAPI 3, JSON.
    pub json: String,
    /// Swagger UI with the document in it; loads nothing from elsewhere.
    pub html: String,
}

/// Documents `service`.
pub(super) fn document<A: OpenApi>(service: &OpenApiService<A, ()>) -> Document {
    let plain = service.spec();
    let json = complete(&plain).unwrap_or_else(|| plain.clone());
    // The page holds the document literally; in a script, `</` would end it.
    let shown = json.replace("</", "<\\/");
    Document {
        html: service.swagger_ui_html().replace(&plain, &shown),
        json,
    }
}

/// Adds the statuses that failures can have.
fn complete(plain: &str) -> Option<String> {
    let mut document: Value = serde_json::from_str(plain).ok()?;
    document["components"]["securitySchemes"]["bearer"]["description"] =
        json!("An opaque token from `/auth/*`, an API key, or a token of the host application.");
    for (path, operations) in document["paths"].as_object_mut()? {
        for operation in operations.as_object_mut()?.values_mut() {
            for (status, description) in failures(path, operation) {
                let content = operation["responses"]["default"]["content"].clone();
                let responses = operation["responses"].as_object_mut()?;
                responses.entry(status).or_insert_with(|| {
                    let mut response = json!({"description": description, "content": content});
                    if let Some(headers) = headers(status) {
                        response["headers"] = headers;
                    }
                    response
                });
            }
        }
    }
    serde_json::to_string_pretty(&document).ok()
}

/// What an operation can fail with, by what it takes.
fn failures(path: &str, operation: &Value) -> Vec<(&'static str, &'static str)> {
    let has = |key: &str| match &operation[key] {
        Value::Array(items) => !items.is_empty(),
        Value::Null => false,
        _ => true,
    };
    let mut failures = Vec::new();
    if has("requestBody") || has("parameters") {
        failures.push(("400", "Not JSON, or a missing or wrongly typed field"));
        failures.push(("422", "Something else is wrong with a value"));
    }
    if has("requestBody") {
        failures.push(("413", "The body is over 1 MiB"));
        failures.push(("415", "The body is not declared as JSON"));
    }
    if has("security") {
        failures.push(("401", "No valid bearer token"));
        failures.push(("403", "Not allowed to this caller"));
    }
    if path.starts_with("/auth/sign") {
        failures.push(("401", "Wrong username, e-mail or password"));
    }
    if path.contains('{') {
        failures.push(("404", "There is no such thing"));
    }
    if path.ends_with("/signup") || path == "/users/me" {
        failures.push(("409", "It is taken"));
    }
    if path.starts_with("/auth/sign") || path.contains("presence") {
        failures.push(("429", "Too many requests"));
    }
    if path != "/healthz" && path != "/metrics" {
        failures.push((
            "503",
            "The database cannot take it now; nothing was changed",
        ));
    }
    failures
}

fn headers(status: &str) -> Option<Value> {
    let (name, ty, description) = match status {
        "401" => ("WWW-Authenticate", "string", "`Bearer`"),
        "429" | "503" => ("Retry-After", "integer", "Seconds, at least 1"),
        _ => return None,
    };
    let mut headers = Map::new();
    let header = json!({"description": description, "schema": {"type": ty}});
    headers.insert(name.into(), header);
    Some(headers.into())
}
