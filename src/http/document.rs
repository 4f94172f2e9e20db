//! The OpenAPI document: how it is made, completed and shown, and what it tells the router about methods.
//!
//! poem-openapi documents each operation's success and one shape of failure; which statuses a failure can have
//! follows from what the operation takes, and is added here rather than by hand in every handler.

use poem::PathPattern;
use poem::http::HeaderValue;
use poem_openapi::{OpenApi, OpenApiService, Tags};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    /// What people did
    Activities,
    /// Mirroring users and follows; who is connected and why, and what happens
    Admin,
    /// What administrators ask of activity and sessions
    Analytics,
    /// Health and metrics
    Health,
}

/// What the document knows of each path that the router does not tell.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteTable(Arc<HashMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    /// As the `Allow` header lists them.
    methods: HeaderValue,
    /// The names of the path's parameters, in order.
    parameters: Vec<String>,
}

impl RouteTable {
    /// From the routes of `A`, and the paths beside them that can only be read.
    pub(super) fn of<A: OpenApi>(read_only: &[&str]) -> Self {
        let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for path in A::meta().into_iter().flat_map(|api| api.paths) {
            let methods = paths.entry(path.path).or_default();
            methods.extend(path.operations.iter().map(|o| o.method.to_string()));
        }
        for path in read_only {
            paths.insert((*path).into(), BTreeSet::from(["GET".into()]));
        }
        let entry = |(path, mut methods): (String, BTreeSet<String>)| {
            if methods.contains("GET") {
                methods.insert("HEAD".into());
            }
            let methods = methods.into_iter().collect::<Vec<_>>().join(", ");
            let (pattern, parameters) = router_pattern(&path);
            let methods = HeaderValue::from_str(&methods).ok()?;
            Some((
                pattern,
                Entry {
                    methods,
                    parameters,
                },
            ))
        };
        Self(Arc::new(paths.into_iter().filter_map(entry).collect()))
    }

    fn entry(&self, pattern: Option<&PathPattern>) -> Option<&Entry> {
        self.0.get(&*pattern?.0)
    }

    /// The methods of the path that was matched. Empty, which the header may be, for one that is not ours.
    pub(super) fn methods(&self, pattern: Option<&PathPattern>) -> HeaderValue {
        let entry = self.entry(pattern);
        entry.map_or(HeaderValue::from_static(""), |e| e.methods.clone())
    }

    /// The documented name of the path parameter that the router calls `name`.
    pub(super) fn parameter<'a>(&'a self, pattern: Option<&PathPattern>, name: &'a str) -> &'a str {
        let position = name.strip_prefix(ROUTER_PARAMETER);
        position
            .and_then(|n| {
                let parameters = &self.entry(pattern)?.parameters;
                Some(parameters.get(n.parse::<usize>().ok()?)?.as_str())
            })
            .unwrap_or(name)
    }
}

/// poem-openapi gives the router numbered parameters, so that two operations may name one differently.
const ROUTER_PARAMETER: &str = "param";

/// `/users/{username}` as the router knows it, `/users/:param0`, and the names of its parameters.
fn router_pattern(path: &str) -> (String, Vec<String>) {
    let mut parameters = Vec::new();
    let mut segment = |segment: &str| {
        let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        let Some(name) = name else {
            return segment.to_owned();
        };
        parameters.push(name.to_owned());
        format!(":{ROUTER_PARAMETER}{}", parameters.len() - 1)
    };
    let pattern: Vec<_> = path.split('/').map(&mut segment).collect();
    (pattern.join("/"), parameters)
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

/// Adds the statuses that failures can have, and puts right how a reference is nullable.
fn complete(plain: &str) -> Option<String> {
    let mut document: Value = serde_json::from_str(plain).ok()?;
    document["components"]["securitySchemes"]["bearer"]["description"] =
        json!("An opaque token from `/auth/*`, an API key, or a token of the host application.");
    let schemas = document["components"]["schemas"].as_object_mut()?;
    for schema in schemas.values_mut() {
        let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
        let properties = properties.into_iter().flatten();
        properties.for_each(|(_, property)| make_nullable(property));
    }
    for (path, operations) in document["paths"].as_object_mut()? {
        for (method, operation) in operations.as_object_mut()? {
            if reads_as_a_user(path, method, operation) {
                let parameters = operation.as_object_mut()?.entry("parameters");
                let parameters = parameters.or_insert_with(|| json!([]));
                parameters.as_array_mut()?.push(json!({
                    "name": "X-Act-As",
                    "in": "header",
                    "description": "The id of the user that a service key reads as; ignored from anyone else.",
                    "schema": {"type": "integer", "format": "int64"},
                }));
            }
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

/// Whether `X-Act-As` means something there.
fn reads_as_a_user(path: &str, method: &str, operation: &Value) -> bool {
    let is_secured = operation["security"]
        .as_array()
        .is_some_and(|s| !s.is_empty());
    let is_for_one_kind = path.starts_with("/admin/")
        || ["/metrics", "/auth/sessions", "/users/me/export"].contains(&path);
    is_secured && (method == "get" && !is_for_one_kind || path == "/presence/query")
}

/// `allOf` with a reference never allows null, whatever stands beside it (OpenAPI 3.0.3, schema object, proposal on
/// `nullable`); one of a choice may.
fn make_nullable(property: &mut Value) {
    let reference = property["allOf"][0].clone();
    if property["nullable"] == true && reference.is_object() {
        *property = json!({
            "description": property["description"],
            "nullable": true,
            "anyOf": [reference, {"nullable": true, "enum": [null]}],
        });
    }
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
    let is_social = path.ends_with("/social-verified");
    if path.starts_with("/auth/sign") {
        failures.push(("401", "Wrong username, e-mail or password"));
    }
    if is_social {
        failures.push(("401", "The ID token is not accepted"));
    }
    if path.contains('{') {
        failures.push(("404", "There is no such thing"));
    }
    if path == "/activities" {
        failures.push((
            "409",
            "A request with this Idempotency-Key is still running",
        ));
    }
    if path.ends_with("/signup") || is_social || path == "/users/me" {
        failures.push(("409", "It is taken"));
    }
    let is_limited = path.contains("presence") || path.ends_with("/export");
    if path.starts_with("/auth/sign") || is_social || is_limited {
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
