//! How the model's own types are documented, read and shown by poem-openapi.

use crate::model::{ActivityStatus, DeviceType, EndReason, Provider, Role, Timestamp};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use serde_json::Value;
use std::borrow::Cow;

/// A type that is a string on the wire.
macro_rules! string_type {
    ($name:ty, $type_name:literal, $schema:expr, $parse:expr) => {
        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                $type_name.into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new($schema))
            }

            fn as_raw_value(&self) -> Option<&Self> {
                Some(self)
            }

            fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
                Box::new(std::iter::once(self))
            }
        }

        impl ParseFromJSON for $name {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                match value {
                    Some(Value::String(text)) => $parse(&text).map_err(ParseError::custom),
                    _ => Err(ParseError::expected_input()),
                }
            }
        }

        impl ToJSON for $name {
            fn to_json(&self) -> Option<Value> {
                Some(Value::String(self.to_string()))
            }
        }
    };
}

fn words(words: &[&str]) -> MetaSchema {
    MetaSchema {
        enum_items: words.iter().map(|word| (*word).into()).collect(),
        ..MetaSchema::new("string")
    }
}

string_type!(
    Timestamp,
    "timestamp",
    MetaSchema::new_with_format("string", "date-time"),
    Timestamp::parse_rfc3339
);
string_type!(
    Role,
    "role",
    words(&[Role::User.as_str(), Role::Admin.as_str()]),
    str::parse::<Role>
);
string_type!(
    ActivityStatus,
    "activityStatus",
    words(&[
        ActivityStatus::Everyone.as_str(),
        ActivityStatus::Contacts.as_str(),
        ActivityStatus::Nobody.as_str(),
    ]),
    str::parse::<ActivityStatus>
);
string_type!(
    Provider,
    "provider",
    words(Provider::WORDS),
    str::parse::<Provider>
);
string_type!(
    DeviceType,
    "deviceType",
    words(DeviceType::WORDS),
    str::parse::<DeviceType>
);
string_type!(
    EndReason,
    "endReason",
    words(EndReason::WORDS),
    str::parse::<EndReason>
);
