//! Label selectors: `-l gpu=h100,zone!=b,rack`.

use std::{collections::BTreeMap, str::FromStr};

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Is(String, String),
    IsNot(String, String),
    Has(String),
}

/// Conditions that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Condition>);

impl Selector {
    /// Whether labels satisfy every condition.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::Is(key, value) => labels.get(key) == Some(value),
            Condition::IsNot(key, value) => labels.get(key) != Some(value),
            Condition::Has(key) => labels.contains_key(key),
        })
    }
}

impl FromStr for Selector {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let condition = |part: &str| {
            let condition = if let Some((key, value)) = part.split_once("!=") {
                Condition::IsNot(key.trim().to_owned(), value.trim().to_owned())
            } else if let Some((key, value)) = part.split_once('=') {
                Condition::Is(key.trim().to_owned(), value.trim_start_matches('=').trim().to_owned())
            } else {
                Condition::Has(part.trim().to_owned())
            };
            let (Condition::Is(key, _) | Condition::IsNot(key, _) | Condition::Has(key)) = &condition;
            if key.is_empty() {
                Err(format!("`{text}` is not a selector like gpu=h100,zone!=b,rack"))
            } else {
                Ok(condition)
            }
        };
        text.split(',').map(condition).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_choose_by_labels() {
        let labels: BTreeMap<String, String> =
            [("gpu", "h100"), ("zone", "a")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let check = |text: &str, expected: Option<bool>| {
            assert_eq!(text.parse::<Selector>().ok().map(|it| it.matches(&labels)), expected, "{text}");
        };
        check("gpu=h100", Some(true));
        check("gpu==h100,zone!=b", Some(true));
        check("gpu=h200", Some(false));
        check("rack", Some(false));
        check("rack!=r1", Some(true));
        check("", None);
        check("gpu=h100,", None);
        check("=x", None);
    }
}
