//! The JSON body of a request: content type, size, syntax and types, each refused in its own way.

use super::error::{Detail, Failure};
use super::shape;
use bytes::Bytes;
use poem::error::ReadBodyError;
use poem::http::StatusCode;
use poem::http::header::CONTENT_LENGTH;
use poem::{Request, RequestBody};
use poem_openapi::error::ContentTypeError;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::{ParseFromJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::Value;

/// How long a body may be, in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// A JSON body that fits the schema of `T`; unknown keys are ignored.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<'a, T: Type + ParseFromJSON + 'static> ApiExtractor<'a> for Body<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: "application/json",
                schema: T::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let bytes = read(request, body).await?;
        Ok(parse(json(&bytes)?).map(Body)?)
    }
}

/// The bytes of a body that is declared as JSON and not too long.
pub(super) async fn read(request: &Request, body: &mut RequestBody) -> poem::Result<Bytes> {
    let content_type = request
        .content_type()
        .ok_or(ContentTypeError::ExpectContentType)?;
    if !Json::<Value>::check_content_type(content_type) {
        let content_type = content_type.to_owned();
        return Err(ContentTypeError::NotSupported { content_type }.into());
    }
    let declared = request.headers().get(CONTENT_LENGTH);
    let declared = declared.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
        return Err(ReadBodyError::PayloadTooLarge.into());
    }
    // How long it may take is the accept loop's to bound, for every request alike.
    Ok(body.take()?.into_bytes_limit(MAX_BODY_BYTES).await?)
}

fn json(bytes: &[u8]) -> Result<Value, Failure> {
    // Syntax errors tell a position and never repeat what was sent.
    serde_json::from_slice(bytes)
        .map_err(|e| Failure::bad_request(format!("the body is not valid JSON: {e}")))
}

/// Reads `value` as a `T`.
fn parse<T: Type + ParseFromJSON + 'static>(value: Value) -> Result<T, Failure> {
    refuse(shape::faults::<T>(&value))?;
    T::parse_from_json(Some(value))
        .map_err(|_| Failure::bad_request("the body does not have its documented type"))
}

/// Reads `bytes` as one `T`, or as an array of 1 to `most` (`true`).
pub(super) fn parse_one_or_many<T: Type + ParseFromJSON + 'static>(
    bytes: &[u8],
    most: usize,
) -> Result<(Vec<T>, bool), Failure> {
    match json(bytes)? {
        Value::Array(items) if items.is_empty() || items.len() > most => {
            let message = format!("the body must have 1 to {most} items");
            Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, message))
        }
        items @ Value::Array(_) => Ok((parse(items)?, true)),
        one @ Value::Object(_) => Ok((vec![parse(one)?], false)),
        _ => Err(Failure::bad_request(
            "the body must be an object or an array of objects",
        )),
    }
}

/// Fails with the faults there are: those of type (400) before those of value (422).
fn refuse(mut faults: Vec<shape::Fault>) -> Result<(), Failure> {
    let is_type = faults.iter().any(|f| f.is_type);
    faults.retain(|f| f.is_type == is_type);
    let Some(first) = faults.first().map(|f| &f.detail) else {
        return Ok(());
    };
    let Detail {
        index,
        field,
        message,
    } = first;
    let message = match index {
        Some(index) => format!("item {index}: {field} {message}"),
        None => format!("{field} {message}"),
    };
    let status = if is_type {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::UNPROCESSABLE_ENTITY
    };
    let details = faults.into_iter().map(|f| f.detail).collect();
    Err(Failure::new(status, message).with_details(details))
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem_openapi::Object;

    #[derive(Debug, Object)]
    struct Name {
        name: String,
    }

    #[tokio::test]
    async fn json_with_another_name_is_json() {
        let request = Request::builder().content_type("application/vnd.x+json; charset=utf-8");
        let (request, mut body) = request.body(r#"{"name":"a"}"#).split();
        let options = ExtractParamOptions::default();
        let read = Body::<Name>::from_request(&request, &mut body, options).await;
        assert_eq!(read.expect("a body").0.name, "a");
    }
}
