//! An HTTP client of one caller.

use super::soon;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::net::SocketAddr;

/// Asks as one caller.
#[derive(Clone, Debug)]
pub struct Http {
    pub base: String,
    token: String,
    act_as: Option<i64>,
    client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Http {
    /// Without a token if it is empty.
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            base: format!("http://{address}"),
            token: token.into(),
            act_as: None,
            client: reqwest::Client::new(),
        }
    }

    /// As [`Http::new`], over TLS; trusts this certificate alone.
    pub fn over_tls(address: SocketAddr, token: &str, certificate: &str) -> Self {
        let root = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a certificate");
        let client = reqwest::Client::builder()
            .tls_built_in_root_certs(false)
            .add_root_certificate(root)
            .build();
        Self {
            base: format!("https://{address}"),
            client: client.expect("a client"),
            ..Self::new(address, token)
        }
    }

    /// The same caller, acting for a user.
    pub fn acting_as(&self, user: i64) -> Self {
        Self {
            act_as: Some(user),
            ..self.clone()
        }
    }

    /// A request as this caller, to be changed and sent.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(user) = self.act_as {
            request = request.header("X-Act-As", user);
        }
        request
    }

    /// Sends a request.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        soon("an answer", async {
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            let headers = response.headers().clone();
            let text = response.text().await.expect("a body");
            Answer {
                status,
                headers,
                json: serde_json::from_str(&text).unwrap_or_default(),
                text,
            }
        })
        .await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// Without a body if it is null.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.with_body("POST", path, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.with_body("PATCH", path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    async fn with_body(&self, method: &str, path: &str, body: Value) -> Answer {
        let mut request = self.request(method, path);
        if !body.is_null() {
            request = request
                .header("Content-Type", "application/json")
                .body(body.to_string());
        }
        self.send(request).await
    }
}

impl Answer {
    /// `data` of a success with this status.
    pub fn data(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.json["success"], true, "{}", self.text);
        self.json["data"].clone()
    }

    /// `error` of a failure; checks all that every failure has.
    pub fn fails(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.json["success"], false, "{}", self.text);
        let error = self.json["error"].clone();
        assert_eq!(error["code"], code, "{}", self.text);
        let message = error["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "{}", self.text);
        assert!(self.header("content-type").starts_with("application/json"));
        match status {
            401 => assert_eq!(self.header("www-authenticate"), "Bearer"),
            405 => assert!(!self.header("allow").is_empty()),
            429 | 503 => assert!(self.retry_after() >= 1),
            _ => {}
        }
        error
    }

    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |v| v.to_str().expect("a text"))
    }

    /// `Retry-After` in seconds.
    pub fn retry_after(&self) -> u64 {
        let text = self.header("retry-after");
        text.parse()
            .unwrap_or_else(|_| panic!("Retry-After {text:?}: {}", self.text))
    }
}
