//! What a failure looks like on the wire, and the only place that decides it.
//!
//! Services fail with [`crate::error::Error`], poem and poem-openapi with errors of their own; both end here as
//! `{"success":false,"error":{code,message,details?}}` with the headers that the status asks for. Which methods a
//! path has, for `Allow`, comes from `document`.

use super::document::RouteTable;
use crate::error::Error;
use crate::model::FieldError;
use crate::store::StoreError;
use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError, ResponseError};
use poem::http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use poem::http::{HeaderValue, StatusCode};
use poem::{IntoResponse, Response};
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError,
};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};
use std::fmt;
use std::time::Duration;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Detail {
    /// Which item of the array, counted from 0; only where several were sent.
    pub index: Option<u64>,
    /// Which field.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// What went wrong.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ErrorBody {
    /// A stable word for programs.
    pub code: String,
    /// A sentence for people; names the field.
    pub message: String,
    /// Each thing that is wrong, where it can be told apart.
    pub details: Option<Vec<Detail>>,
}

/// Every failure has this shape.
#[derive(Clone, Debug, Object)]
#[oai(rename = "Failure")]
pub struct FailureBody {
    /// Always false.
    pub success: bool,
    /// What went wrong.
    pub error: ErrorBody,
}

/// A request that failed, ready to be answered.
#[derive(Debug)]
pub struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Vec<Detail>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// A failure with the code that belongs to `status`.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code(status),
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Not JSON, or a missing or wrongly typed field (400).
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Names what is wrong one by one.
    #[must_use]
    pub fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Tells when to try again.
    fn retry_after(self, after: Duration) -> Self {
        self.with_header(RETRY_AFTER, whole_seconds(after).into())
    }

    /// The answer.
    fn response(&self) -> Response {
        let body = FailureBody {
            success: false,
            error: ErrorBody {
                code: self.code.into(),
                message: self.message.clone(),
                details: (!self.details.is_empty()).then(|| self.details.clone()),
            },
        };
        let mut response = poem::web::Json(body.to_json()).into_response();
        response.set_status(self.status);
        response.headers_mut().extend(self.headers.iter().cloned());
        response
    }

    /// Whatever a handler, an extractor or the router failed with. `routes` says what the router does not.
    pub(super) fn from_poem(error: poem::Error, routes: &RouteTable) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(failure) => return failure,
            Err(error) => error,
        };
        let not_documented = |name: &str| format!("{name} does not have its documented type");
        if error.is::<NotFoundError>() {
            Self::new(StatusCode::NOT_FOUND, "there is nothing at this path")
        } else if error.is::<MethodNotAllowedError>() {
            let failure = Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this path does not have this method; see the Allow header",
            );
            failure.with_header(ALLOW, routes.methods(error.data()))
        } else if error.is::<AuthorizationError>() {
            Error::Unauthorized.into()
        } else if let Some(ContentTypeError::NotSupported { .. }) = error.downcast_ref() {
            Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the Content-Type must be application/json",
            )
        } else if error.is::<ContentTypeError>() {
            Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a Content-Type of application/json is required",
            )
        } else if let Some(ReadBodyError::PayloadTooLarge) = error.downcast_ref() {
            Self::too_large()
        } else if error.is::<ReadBodyError>() {
            Self::bad_request("the body could not be read")
        } else if let Some(parse) = error.downcast_ref::<ParseParamError>() {
            Self::bad_request(not_documented(parse.name))
        } else if let Some(parse) = error.downcast_ref::<ParsePathError>() {
            let name = routes.parameter(error.data(), parse.name);
            Self::bad_request(not_documented(name))
        } else if error.is::<poem::error::ParsePathError>() {
            Self::bad_request("the path is not valid UTF-8")
        } else if error.is::<ParseRequestPayloadError>() {
            Self::bad_request("the body does not have its documented type")
        } else if error.status().is_server_error() {
            Error::internal(error.to_string()).into()
        } else {
            let reason = error.status().canonical_reason().unwrap_or("failed");
            Self::new(error.status(), reason.to_ascii_lowercase())
        }
    }

    /// A body over the limit.
    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body must not be over 1 MiB",
        )
    }
}

/// One detail for each item that is wrong.
fn indexed(items: Vec<(usize, FieldError)>) -> Vec<Detail> {
    let detail = |(index, error): (usize, FieldError)| Detail {
        index: Some(index as u64),
        field: error.field.into(),
        message: error.message,
    };
    items.into_iter().map(detail).collect()
}

/// Whole seconds, at least one: what `Retry-After` holds (RFC 9110, section 10.2.3).
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(up).max(1)
}

/// The word for programs.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "bad_request",
        StatusCode::UNAUTHORIZED => "unauthorized",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::REQUEST_TIMEOUT => "request_timeout",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid",
        StatusCode::UPGRADE_REQUIRED => "upgrade_required",
        StatusCode::TOO_MANY_REQUESTS => "rate_limited",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        status if status.is_server_error() => "internal",
        _ => "failed",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let one = |field: &str, message: &str| {
            vec![Detail {
                index: None,
                field: field.into(),
                message: message.into(),
            }]
        };
        match error {
            Error::BadRequest(_) => Self::bad_request(message),
            Error::Unauthorized => Self::new(StatusCode::UNAUTHORIZED, message)
                .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Error::WrongCredentials | Error::WrongIdToken(_) => Self {
                code: "wrong_credentials",
                ..Self::new(StatusCode::UNAUTHORIZED, message)
                    .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            },
            Error::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, message),
            Error::NotFound(_) => Self::new(StatusCode::NOT_FOUND, message),
            Error::Conflict { field, message: m } => {
                Self::new(StatusCode::CONFLICT, message).with_details(one(field, &m))
            }
            Error::Invalid(e) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
                .with_details(one(e.field, &e.message)),
            Error::InvalidItems(items) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, message).with_details(indexed(items))
            }
            Error::IncompleteItems(items) => {
                Self::new(StatusCode::BAD_REQUEST, message).with_details(indexed(items))
            }
            Error::ForbiddenItems(items) => {
                Self::new(StatusCode::FORBIDDEN, message).with_details(indexed(items))
            }
            Error::RateLimited { retry_after } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, message).retry_after(retry_after)
            }
            Error::Unavailable => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message).retry_after(Duration::ZERO)
            }
            Error::Internal(cause) => {
                tracing::error!(
                    error = &*cause as &dyn std::error::Error,
                    "a request failed"
                );
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl ResponseError for Failure {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        self.response()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.response()
    }
}

/// Documents the shape of every failure once per operation; `document` adds the statuses.
impl ApiResponse for Failure {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "Any failure",
                status: None,
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: <Json<FailureBody> as Payload>::CONTENT_TYPE,
                    schema: FailureBody::schema_ref(),
                }],
                headers: Vec::new(),
            }],
        }
    }

    fn register(registry: &mut Registry) {
        FailureBody::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FieldError;

    fn header<'a>(failure: &'a Failure, name: &str) -> &'a str {
        let mut headers = failure.headers.iter();
        let found = headers.find(|(n, _)| n == name);
        found.map_or("", |(_, v)| v.to_str().expect("a text"))
    }

    #[test]
    fn every_error_has_its_status() {
        let field = FieldError::new("text", "is too long");
        let cases = [
            (Error::BadRequest("x".into()), 400, "bad_request"),
            (Error::Unauthorized, 401, "unauthorized"),
            (Error::WrongCredentials, 401, "wrong_credentials"),
            (
                Error::WrongIdToken("expired".into()),
                401,
                "wrong_credentials",
            ),
            (Error::forbidden("no"), 403, "forbidden"),
            (Error::NotFound("user"), 404, "not_found"),
            (StoreError::Conflict("email").into(), 409, "conflict"),
            (Error::Invalid(field.clone()), 422, "invalid"),
            (Error::InvalidItems(vec![(3, field)]), 422, "invalid"),
            (
                Error::RateLimited {
                    retry_after: Duration::from_millis(1_001),
                },
                429,
                "rate_limited",
            ),
            (
                StoreError::Unavailable("locked".into()).into(),
                503,
                "unavailable",
            ),
            (Error::internal("the password is hunter2"), 500, "internal"),
        ];
        for (error, status, code) in cases {
            let failure = Failure::from(error);
            assert_eq!((failure.status.as_u16(), failure.code), (status, code));
            assert!(!failure.message.contains("hunter2") && !failure.message.contains("locked"));
            let challenge = header(&failure, "www-authenticate");
            assert_eq!(challenge == "Bearer", status == 401);
            let retry_after = header(&failure, "retry-after");
            match status {
                429 => assert_eq!(retry_after, "2", "rounded up"),
                503 => assert_eq!(retry_after, "1", "at least one"),
                _ => assert_eq!(retry_after, ""),
            }
        }
    }

    #[test]
    fn items_keep_their_index() {
        let items = vec![(7, FieldError::new("email", "is wrong"))];
        let failure = Failure::from(Error::InvalidItems(items));
        assert_eq!(failure.details[0].index, Some(7));
        assert_eq!(failure.details[0].field, "email");
    }
}
