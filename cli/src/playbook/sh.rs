//! Shell text: calls of the functions in `questions.sh` and `changes.sh`, every argument one quoted word.

use super::render::quote;

/// The functions of scripts that only look.
pub(super) const QUESTIONS: &str = include_str!("questions.sh");
/// The functions of scripts that change a host, and look at it afterwards.
pub(super) const HOST: &str = concat!(include_str!("questions.sh"), include_str!("changes.sh"));

/// A call of a function, on a line of its own.
///
/// A zero byte cannot come here: `expand` refuses it.
pub(super) fn call<'a>(function: &str, args: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = function.to_owned();
    for arg in args {
        line.push(' ');
        line.push_str(&quote(&arg.replace('\0', "")).unwrap_or_default());
    }
    line.push('\n');
    line
}

/// What a script said of one step.
pub(super) type Words = Vec<(String, String)>;

/// Reads `STEP <tab> WORD <tab> VALUE` lines; others are not ours.
pub(super) fn answers(stdout: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    stdout.lines().filter_map(|line| {
        let mut parts = line.splitn(3, '\t');
        Some((parts.next()?, parts.next()?, parts.next()?))
    })
}

/// Bytes from hex digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: &u8| char::from(*c).to_digit(16).and_then(|it| u8::try_from(it).ok());
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}
