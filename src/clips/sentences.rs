//! Where a text may be cut so that its parts can be spoken one after the other.

/// The sentences of a text in order, trimmed. A sentence longer than [`MAX_SENTENCE`] is cut at a comma or a space.
pub(super) fn sentences(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for sentence in split(text) {
        let short = |s: &str| s.chars().count() < MIN_SENTENCE;
        match out.last_mut() {
            // "No. 5" and "Hi." alone sound chopped; a short beginning is kept, so that speech starts early.
            Some(last) if short(&sentence) && last.len() + sentence.len() < MAX_SENTENCE => {
                last.push(' ');
                last.push_str(&sentence);
            }
            _ => out.extend(cut(&sentence)),
        }
    }
    out
}

fn split(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut current) = (Vec::new(), String::new());
    for (at, &c) in chars.iter().enumerate() {
        let next = chars.get(at + 1).copied();
        if c == '\n' && next.is_none_or(|n| n == '\n' || n == '\r') {
            take(&mut current, &mut out);
            continue;
        }
        current.push(if c.is_control() { ' ' } else { c });
        if ends(c, next, &chars, at, &current) {
            take(&mut current, &mut out);
        }
    }
    take(&mut current, &mut out);
    out
}

fn take(current: &mut String, out: &mut Vec<String>) {
    let sentence = current.split_whitespace().collect::<Vec<_>>().join(" ");
    if sentence.chars().any(char::is_alphanumeric) {
        out.push(sentence);
    }
    current.clear();
}

/// Whether a sentence ends with the character at `at`.
fn ends(c: char, next: Option<char>, chars: &[char], at: usize, current: &str) -> bool {
    match c {
        // Full stops of scripts that put no space after them.
        '。' | '！' | '？' | '।' => true,
        '.' | '!' | '?' | '…' | '؟' | '۔' => {
            if !next.is_none_or(char::is_whitespace) {
                return false;
            }
            let follows = chars
                .get(at + 1..)
                .unwrap_or_default()
                .iter()
                .find(|c| !c.is_whitespace());
            let new = follows.is_none_or(|c| !c.is_lowercase());
            new && (c != '.' || !is_abbreviation(current))
        }
        _ => false,
    }
}

/// Whether the word before the final dot is one that does not end a sentence.
fn is_abbreviation(current: &str) -> bool {
    let word = current
        .trim_end_matches('.')
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or("");
    let letters: String = word
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect::<String>()
        .to_lowercase();
    let single = letters.chars().count() == 1 && letters.chars().all(char::is_alphabetic);
    single || word.contains('.') || ABBREVIATIONS.contains(&letters.as_str())
}

fn cut(sentence: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = sentence;
    while rest.len() > MAX_SENTENCE {
        let limit = (0..=MAX_SENTENCE)
            .rev()
            .find(|at| rest.is_char_boundary(*at))
            .unwrap_or(0);
        let (head, _) = rest.split_at_checked(limit).unwrap_or((rest, ""));
        let comma = head
            .rfind([',', ';', ':', '，', '、'])
            .filter(|at| *at > MAX_SENTENCE / 3);
        let place = comma
            .or_else(|| head.rfind(char::is_whitespace))
            .filter(|at| *at > 0);
        let width = |at: usize| {
            head.get(at..)
                .and_then(|t| t.chars().next())
                .map_or(0, char::len_utf8)
        };
        let at = place.map_or(limit, |at| at + width(at));
        let (piece, more) = rest.split_at_checked(at.max(1)).unwrap_or((rest, ""));
        out.push(piece.trim().to_owned());
        rest = more.trim_start();
    }
    if !rest.is_empty() {
        out.push(rest.to_owned());
    }
    out
}

/// Bytes of the longest piece spoken at once.
const MAX_SENTENCE: usize = 400;
/// Characters below which a sentence joins the one before it.
const MIN_SENTENCE: usize = 12;

const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "no", "nr", "vs", "etc", "ext", "tel",
    "dept", "approx", "inc", "ltd", "bzw", "ca", "ggf", "usw", "str", "mme", "mlle", "sra", "srta",
    "ud", "uds",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_at_stops_and_blank_lines() {
        assert_eq!(
            sentences("Pivot is pretty awesome. Have a great day."),
            ["Pivot is pretty awesome.", "Have a great day."]
        );
        assert_eq!(
            sentences(
                "First paragraph here\n\nSecond one is this! Is it the third one? Yes, certainly it is"
            ),
            [
                "First paragraph here",
                "Second one is this!",
                "Is it the third one?",
                "Yes, certainly it is"
            ]
        );
        assert_eq!(
            sentences("今日は天気がとてもいいですね。明日も晴れるといいですね！"),
            [
                "今日は天気がとてもいいですね。",
                "明日も晴れるといいですね！"
            ]
        );
    }

    #[test]
    fn numbers_and_abbreviations_do_not_end_one() {
        for text in [
            "The price is 3.50 dollars for Mr. Smith and Dr. Jones.",
            "Call ext. 12 or see example.com for J. R. Miller, e.g. Monday.",
            "Version 1.2.3 is out.",
        ] {
            assert_eq!(sentences(text), [text]);
        }
    }

    #[test]
    fn short_ones_join_the_one_before() {
        assert_eq!(
            sentences("Welcome to the shop. Hi. How are you today, dear caller?"),
            [
                "Welcome to the shop. Hi.",
                "How are you today, dear caller?"
            ]
        );
        assert_eq!(
            sentences("Hi. How are you today, dear caller?"),
            ["Hi.", "How are you today, dear caller?"]
        );
    }

    #[test]
    fn nothing_to_say_is_nothing() {
        for text in ["", "  \n ", "...", "?!", "\u{0}\u{1}"] {
            assert_eq!(sentences(text), Vec::<String>::new(), "{text:?}");
        }
    }

    #[test]
    fn long_ones_are_cut_and_nothing_is_lost() {
        let word = "Wörterbuch, ".repeat(100);
        let spaces = "word ".repeat(300);
        let solid = "é".repeat(2000);
        for text in [&word, &spaces, &solid] {
            let parts = sentences(text);
            assert!(
                parts
                    .iter()
                    .all(|p| p.len() <= MAX_SENTENCE && !p.is_empty())
            );
            let letters = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).count();
            assert_eq!(
                parts.iter().map(|p| letters(p)).sum::<usize>(),
                letters(text)
            );
        }
    }
}
