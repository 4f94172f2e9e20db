//! What a success looks like: `{"success":true,"data":…}`, with 200, or 201 where something was created.

use super::error::Failure;
use poem_openapi::payload::Json;
use poem_openapi::types::{ParseFromJSON, ToJSON, Type};
use poem_openapi::{ApiResponse, Object};

/// What may stand in `data`.
pub trait Payload: Type + ParseFromJSON + ToJSON {}
impl<T: Type + ParseFromJSON + ToJSON> Payload for T {}

/// Every success has this shape.
#[derive(Debug, Object)]
pub struct Success<T: Payload> {
    /// Always true.
    pub success: bool,
    /// What was asked for.
    pub data: T,
}

impl<T: Payload> Success<T> {
    /// With `data`.
    pub fn json(data: T) -> Json<Self> {
        Json(Self {
            success: true,
            data,
        })
    }
}

/// An answer with 200.
#[derive(ApiResponse)]
pub enum Ok200<T: Payload> {
    /// Done
    #[oai(status = 200)]
    Ok(Json<Success<T>>),
}

/// An answer with 201.
#[derive(ApiResponse)]
pub enum Created201<T: Payload> {
    /// Created
    #[oai(status = 201)]
    Created(Json<Success<T>>),
}

/// An answer with 201 when it is new, else 200.
#[derive(ApiResponse)]
pub enum OkOrCreated<T: Payload> {
    /// It was so already
    #[oai(status = 200)]
    Ok(Json<Success<T>>),
    /// Created
    #[oai(status = 201)]
    Created(Json<Success<T>>),
}

/// What most handlers return.
pub type Reply<T> = Result<Ok200<T>, Failure>;
/// What handlers return that create.
pub type CreatedReply<T> = Result<Created201<T>, Failure>;
/// What handlers return that create unless it is there.
pub type MadeReply<T> = Result<OkOrCreated<T>, Failure>;

/// 200 with `data`.
pub fn ok<T: Payload>(data: T) -> Reply<T> {
    Ok(Ok200::Ok(Success::json(data)))
}

/// 201 with `data`.
pub fn created<T: Payload>(data: T) -> CreatedReply<T> {
    Ok(Created201::Created(Success::json(data)))
}

/// 201 when `is_new`, else 200, with `data`.
pub fn made<T: Payload>(is_new: bool, data: T) -> MadeReply<T> {
    let json = Success::json(data);
    Ok(if is_new {
        OkOrCreated::Created(json)
    } else {
        OkOrCreated::Ok(json)
    })
}
