//! The table and its page keep to the rules of the words.

use super::super::markdown;
use super::*;

const PAGE: &str = include_str!("../../../../docs/causes.md");

#[test]
fn every_code_has_one_entry_and_its_own_name() {
    for code in Code::ALL {
        assert_eq!(
            entries().filter(|entry| entry.code == *code).count(),
            1,
            "{code:?}"
        );
        assert_eq!(
            Code::ALL
                .iter()
                .filter(|other| other.name() == code.name())
                .count(),
            1
        );
    }
}

#[test]
fn each_part_is_at_most_two_plain_sentences_with_something_to_do() {
    for code in Code::ALL {
        let entry = code.entry();
        for text in [entry.what, entry.why, entry.todo] {
            // Alternatives in brackets exclude each other.
            let bare = text.split("][").next().unwrap();
            let sentences = bare.replace(".]", ". ").matches(". ").count() + 1;
            assert!(sentences <= 2, "{code:?}: {text}");
            assert!(
                !text.contains('!') && !text.to_lowercase().contains("something went wrong"),
                "{text}"
            );
            let end = text.trim_end_matches([']', '[']);
            assert!(end.ends_with(['.', '}']), "{text}");
        }
        assert!(
            !entry.what.is_empty() && !entry.todo.is_empty() && entry.link.starts_with('/'),
            "{code:?}"
        );
    }
}

#[test]
fn values_stand_in_their_places_and_what_is_unknown_is_left_out() {
    let value = |name: &str| (name == "phone").then_some("phone 201");
    assert_eq!(
        fill("{phone} said no[: {detail}][ to {phone}].", value),
        "Phone 201 said no to phone 201."
    );
    assert_eq!(fill("Ask {trunk}{so}.", |_| None), "Ask the trunk.");
    assert_eq!(fill("/trunks[/{trunk_id}]", |_| None), "/trunks");
}

#[test]
fn the_page_of_causes_is_the_table() {
    let page = markdown();
    if std::env::var_os("SWIVEL_WRITE_DOCS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/causes.md");
        std::fs::write(path, &page).unwrap();
        return;
    }
    assert!(
        PAGE == page,
        "docs/causes.md is stale: SWIVEL_WRITE_DOCS=1 cargo test --lib journal::causes"
    );
}
