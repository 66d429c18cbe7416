//! A request body as JSON whose strings still stand in the body: order kept, nothing copied.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// A body of small values takes tens of times its size once read; a call that holds more than this is
/// none a provider takes.
const MOST_VALUES: usize = 500_000;

/// A JSON value that borrows its strings where they hold no escapes, so that a body of images costs
/// no second copy of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Json<'a>>),
    /// An object, in the order written; where a name is repeated the last counts.
    Fields(Vec<(Cow<'a, str>, Json<'a>)>),
}

static NULL: Json<'static> = Json::Null;

impl<'a> Json<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// When the bytes are no JSON, nested deeper than 128 levels, or hold more than half a million
    /// values.
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        let room = Cell::new(MOST_VALUES);
        let mut bytes = serde_json::Deserializer::from_slice(body);
        let json = Room(&room).deserialize(&mut bytes)?;
        bytes.end()?;
        Ok(json)
    }

    /// A member of an object; `null` where there is none.
    pub(crate) fn get(&self, name: &str) -> &Self {
        match self {
            Self::Fields(fields) => {
                fields.iter().rev().find(|(key, _)| key == name).map_or(&NULL, |(_, value)| value)
            }
            _ => &NULL,
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of an array; none where it is no array.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The members of an object; none where it is no object.
    pub(crate) fn fields(&self) -> &[(Cow<'a, str>, Self)] {
        match self {
            Self::Fields(fields) => fields,
            _ => &[],
        }
    }

    /// Whether there is nothing.
    pub(crate) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

/// What is left of [`MOST_VALUES`]; handed down while reading.
#[derive(Clone, Copy)]
struct Room<'b>(&'b Cell<usize>);

impl<'de> DeserializeSeed<'de> for Room<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| D::Error::custom("too many values"))?);
        deserializer.deserialize_any(self)
    }
}

/// A string that is borrowed when it can be; serde's own `Cow` never borrows.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

impl<'de> Visitor<'de> for Room<'_> {
    type Value = Json<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    #[expect(
        clippy::disallowed_types,
        reason = "serde's signature; the number is only written out"
    )]
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(Key(name)) = map.next_key()? {
            fields.push((name, map.next_value_seed(self)?));
        }
        Ok(Json::Fields(fields))
    }
}

/// Compact JSON, in the order read.
impl fmt::Display for Json<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => write_quoted(text, out),
            Self::List(items) => {
                out.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    out.write_str(if index == 0 { "" } else { "," })?;
                    write!(out, "{item}")?;
                }
                out.write_str("]")
            }
            Self::Fields(fields) => {
                out.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    out.write_str(if index == 0 { "" } else { "," })?;
                    write_quoted(name, out)?;
                    write!(out, ":{value}")?;
                }
                out.write_str("}")
            }
        }
    }
}

fn write_quoted(text: &str, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let quoted = serde_json::to_string(text).map_err(|_| fmt::Error)?;
    out.write_str(&quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_written_back_as_it_was_read() {
        let body = r#"{"z":[1,-2,2.5,true,null],"a":{"\"":"x\ny"},"e":[],"o":{}}"#;
        assert_eq!(Json::read(body.as_bytes()).unwrap().to_string(), body);
    }

    #[test]
    fn a_string_without_escapes_is_not_copied_and_the_last_of_two_names_counts() {
        let json = Json::read(br#"{"a":"one","a":"two"}"#).unwrap();
        assert!(matches!(json.get("a"), Json::Text(Cow::Borrowed("two"))));
    }

    #[test]
    fn a_body_nested_without_end_is_refused() {
        assert!(Json::read("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_body_of_endless_small_values_is_refused_and_one_at_the_bound_is_read() {
        let list = |items: usize| format!("[{}0]", "0,".repeat(items - 1));
        assert!(Json::read(list(MOST_VALUES - 1).as_bytes()).is_ok());
        assert!(Json::read(list(MOST_VALUES).as_bytes()).is_err());
    }

    #[test]
    fn bytes_behind_the_value_are_refused() {
        assert!(Json::read(b"{} {}").is_err());
    }
}
