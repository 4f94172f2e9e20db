//! Checks a JSON value against the schema that documents it, naming each field that does not fit.
//!
//! poem-openapi's own parsers take numbers and booleans for strings, do not name a missing field, and repeat the
//! value in their messages, which may be a password. Here the document decides, so that what it says is what is
//! refused. Lengths and meanings are left to the services.

use super::error::Detail;
use parking_lot::RwLock;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde_json::Value;
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// How many faults are reported at most.
const MAX_FAULTS: usize = 1_000;

/// Something that does not fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Which.
    pub detail: Detail,
    /// The type is wrong (400), not the value (422).
    pub is_type: bool,
}

/// The schema of a type with all that it refers to.
struct Shape {
    registry: Registry,
    root: MetaSchemaRef,
}

/// Shapes by type, made at first use; as many as there are kinds of body.
static SHAPES: LazyLock<RwLock<HashMap<TypeId, Arc<Shape>>>> = LazyLock::new(RwLock::default);

fn shape<T: Type + 'static>() -> Arc<Shape> {
    let key = TypeId::of::<T>();
    if let Some(shape) = SHAPES.read().get(&key) {
        return shape.clone();
    }
    let mut registry = Registry::new();
    T::register(&mut registry);
    let root = T::schema_ref();
    let shape = Arc::new(Shape { registry, root });
    SHAPES.write().entry(key).or_insert(shape).clone()
}

/// All that is wrong with `value` as a `T`: the first fault of each item of an array, else the first.
pub(super) fn faults<T: Type + 'static>(value: &Value) -> Vec<Fault> {
    let shape = shape::<T>();
    let root = shape.resolve(&shape.root);
    let fault = |index: Option<usize>, flaw: Flaw| Fault {
        detail: Detail {
            index: index.map(|i| i as u64),
            field: flaw.field,
            message: flaw.message,
        },
        is_type: flaw.is_type,
    };
    match (root.and_then(|s| s.items.as_deref()), value) {
        (Some(item), Value::Array(values)) => values
            .iter()
            .enumerate()
            .filter_map(|(i, v)| shape.check(item, v, "").err().map(|e| fault(Some(i), e)))
            .take(MAX_FAULTS)
            .collect(),
        _ => shape
            .check(&shape.root, value, "")
            .err()
            .map(|e| fault(None, e))
            .into_iter()
            .collect(),
    }
}

/// The first thing wrong on the way down.
struct Flaw {
    field: String,
    message: String,
    is_type: bool,
}

impl Flaw {
    fn type_of(path: &str, message: impl Into<String>) -> Self {
        Self {
            field: if path.is_empty() { "body" } else { path }.into(),
            message: message.into(),
            is_type: true,
        }
    }

    fn value_of(path: &str, message: impl Into<String>) -> Self {
        Self {
            is_type: false,
            ..Self::type_of(path, message)
        }
    }
}

impl Shape {
    fn resolve<'a>(&'a self, schema: &'a MetaSchemaRef) -> Option<&'a MetaSchema> {
        match schema {
            MetaSchemaRef::Inline(schema) => Some(schema),
            MetaSchemaRef::Reference(name) => self.registry.schemas.get(name),
        }
    }

    fn check(&self, schema: &MetaSchemaRef, value: &Value, path: &str) -> Result<(), Flaw> {
        let Some(schema) = self.resolve(schema) else {
            return Ok(());
        };
        if value.is_null() && schema.nullable {
            return Ok(());
        }
        for part in &schema.all_of {
            self.check(part, value, path)?;
        }
        match (schema.ty, value) {
            ("object", Value::Object(fields)) => self.check_object(schema, fields, path),
            ("array", Value::Array(items)) => self.check_array(schema, items, path),
            ("string", Value::String(text)) => check_string(schema, text, path),
            ("integer", Value::Number(n)) if n.is_i64() => Ok(()),
            ("integer", Value::Number(n)) if n.is_u64() => {
                Err(Flaw::type_of(path, "must be an integer of 64 bits"))
            }
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("", _) => Ok(()),
            (ty, _) => {
                let article = if matches!(ty, "object" | "array" | "integer") {
                    "an"
                } else {
                    "a"
                };
                Err(Flaw::type_of(path, format!("must be {article} {ty}")))
            }
        }
    }

    fn check_object(
        &self,
        schema: &MetaSchema,
        fields: &serde_json::Map<String, Value>,
        path: &str,
    ) -> Result<(), Flaw> {
        for (name, property) in &schema.properties {
            let path = if path.is_empty() {
                (*name).to_owned()
            } else {
                format!("{path}.{name}")
            };
            let is_required = schema.required.contains(name);
            match fields.get(*name) {
                None if is_required => return Err(Flaw::type_of(&path, "is required")),
                None => {}
                Some(Value::Null) if !is_required => {}
                Some(value) => self.check(property, value, &path)?,
            }
        }
        Ok(())
    }

    fn check_array(&self, schema: &MetaSchema, items: &[Value], path: &str) -> Result<(), Flaw> {
        if let Some(max) = schema.max_items.filter(|max| items.len() > *max) {
            let message = format!("must have at most {max} items");
            return Err(Flaw::value_of(path, message));
        }
        let Some(item) = &schema.items else {
            return Ok(());
        };
        for (index, value) in items.iter().enumerate() {
            self.check(item, value, &format!("{path}[{index}]"))?;
        }
        Ok(())
    }
}

fn check_string(schema: &MetaSchema, text: &str, path: &str) -> Result<(), Flaw> {
    if text.contains('\0') {
        return Err(Flaw::value_of(path, "must not contain NUL"));
    }
    let words = || schema.enum_items.iter().filter_map(Value::as_str);
    if !schema.enum_items.is_empty() && !words().any(|word| word == text) {
        let words = words().collect::<Vec<_>>().join(", ");
        return Err(Flaw::value_of(path, format!("must be one of: {words}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use poem_openapi::Object;
    use serde_json::json;

    #[derive(Object)]
    struct Inner {
        n: i64,
    }

    #[derive(Object)]
    struct Outer {
        name: String,
        note: Option<String>,
        inner: Option<Inner>,
        #[oai(validator(max_items = 2))]
        names: Option<Vec<String>>,
    }

    fn first(value: Value) -> Option<(String, bool)> {
        faults::<Outer>(&value)
            .into_iter()
            .next()
            .map(|f| (f.detail.field, f.is_type))
    }

    #[test]
    fn the_document_decides() {
        assert_eq!(first(json!({"name": "a", "note": null, "extra": 1})), None);
        let cases = [
            (json!([]), "body", true),
            (json!(null), "body", true),
            (json!({}), "name", true),
            (json!({"name": null}), "name", true),
            (json!({"name": 5}), "name", true),
            (json!({"name": true}), "name", true),
            (json!({"name": "a\0"}), "name", false),
            (json!({"name": "a", "note": {}}), "note", true),
            (json!({"name": "a", "inner": {}}), "inner.n", true),
            (json!({"name": "a", "inner": {"n": 1.5}}), "inner.n", true),
            (
                json!({"name": "a", "inner": {"n": u64::MAX}}),
                "inner.n",
                true,
            ),
            (json!({"name": "a", "names": ["x", 1]}), "names[1]", true),
            (json!({"name": "a", "names": ["x", null]}), "names[1]", true),
            (
                json!({"name": "a", "names": ["x", "y", "z"]}),
                "names",
                false,
            ),
        ];
        for (value, field, is_type) in cases {
            let shown = value.to_string();
            assert_eq!(first(value), Some((field.into(), is_type)), "{shown}");
        }
    }

    #[test]
    fn every_item_is_named() {
        let found = faults::<Vec<Outer>>(&json!([{"name": "a"}, {}, 5]));
        let indexes: Vec<_> = found.iter().map(|f| f.detail.index).collect();
        assert_eq!(indexes, [Some(1), Some(2)]);
    }

    #[test]
    fn values_are_not_repeated() {
        let found = faults::<Outer>(&json!({"name": ["secret"]}));
        assert!(!found[0].detail.message.contains("secret"));
    }
}
