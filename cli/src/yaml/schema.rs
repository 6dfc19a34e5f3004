//! JSON Schemas made from the types that read a file; the same one checks, explains and is published.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value as Json, json};

/// The schema of a type as it is read: closed maps, and no value that is nothing.
pub(crate) fn schema_of<T: JsonSchema>() -> Json {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    schema
}

/// A key that is left out and a key without a value are two things: only the first is legal. Maps are closed.
pub(crate) fn tidy(schema: &mut Json) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(tidy),
        Json::Object(object) => {
            object.values_mut().for_each(tidy);
            strip_null(object);
            if object.contains_key("properties") && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn strip_null(object: &mut Map<String, Json>) {
    if let Some(Json::Array(types)) = object.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if object.get("default") == Some(&Json::Null) {
        object.remove("default");
    }
    let Some(Json::Array(parts)) = object.get_mut("anyOf") else { return };
    parts.retain(|it| it.get("type") != Some(&json!("null")));
    if let [Json::Object(only)] = parts.as_slice() {
        let only = only.clone();
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

/// What a schema says, behind its reference when it is one.
pub(crate) fn follow<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let mut schema = schema;
    // A reference to a reference does not happen; the bound is against one to itself.
    for _ in 0..8 {
        let Some(target) = schema.get("$ref").and_then(Json::as_str).and_then(|it| it.strip_prefix('#')) else { break };
        match root.pointer(target) {
            Some(found) => schema = found,
            None => break,
        }
    }
    schema
}

/// The keys of a map with their schemas, sorted by name.
pub(crate) fn fields<'a>(root: &'a Json, schema: &'a Json) -> Option<&'a Map<String, Json>> {
    follow(root, schema).get("properties").and_then(Json::as_object)
}
