//! `${VAR}` and `${VAR:-otherwise}` in texts of a file; `$${` stands for `${`.

use super::{
    problem::{Path, Problems},
    tree::{Tree, Value},
};

/// Puts the values of variables into every text of a tree; keys stay as they are.
pub(crate) fn interpolate(
    tree: &mut Tree,
    path: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    problems: &mut Problems,
) {
    match &mut tree.value {
        Value::Text(text) if text.contains("${") => match expand(text, variable) {
            Ok(expanded) => *text = expanded,
            Err((what, hint)) => problems.add(tree.at, path, what, hint),
        },
        Value::List(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                interpolate(item, &path.index(i), variable, problems);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                interpolate(&mut entry.value, &path.key(&entry.key), variable, problems);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn expand(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, (String, String)> {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            done.push_str(&rest[..start - 1]);
            done.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        done.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let Some(end) = inner.find('}') else {
            return Err(("`${` is not closed".to_owned(), "write ${NAME}, or $${ for the two characters".to_owned()));
        };
        let (name, otherwise) = match inner[..end].split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise)),
            None => (&inner[..end], None),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(legal) {
            return Err((
                "`${...}` does not name a variable".to_owned(),
                "a name is made of A-Z, a-z, 0-9 and _: ${NAME} or ${NAME:-otherwise}".to_owned(),
            ));
        }
        // As in a shell, `:-` also stands in for an empty value.
        match (variable(name), otherwise) {
            (Some(value), None) => done.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => done.push_str(&value),
            (_, Some(otherwise)) => done.push_str(otherwise),
            (None, None) => {
                return Err((
                    format!("the environment has no `{name}`"),
                    format!("export {name}=..., or write ${{{name}:-otherwise}}"),
                ));
            }
        }
        rest = &inner[end + 1..];
    }
    done.push_str(rest);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in() {
        let variable = |name: &str| match name {
            "USER" => Some("ada".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = expand(text, &variable).map_err(|(what, _)| what);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        };
        check("/home/${USER}/k", Ok("/home/ada/k"));
        check("${USER}${USER}", Ok("adaada"));
        check("${NONE:-x}-${EMPTY:-y}-${EMPTY}", Ok("x-y-"));
        check("$${USER} $USER $", Ok("${USER} $USER $"));
        check("${NONE}", Err("the environment has no `NONE`"));
        check("${USER", Err("`${` is not closed"));
        check("${1}", Err("`${...}` does not name a variable"));
        check("${}", Err("`${...}` does not name a variable"));
        // What a variable holds is not read again.
        assert_eq!(expand("${A}", &|_| Some("${A}".to_owned())).unwrap(), "${A}");
    }
}
