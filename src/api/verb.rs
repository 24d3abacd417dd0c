//! The verbs of the API.

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Read.
    Get,
    /// Create.
    Put,
    /// Replace.
    Post,
    /// Merge.
    Patch,
    /// Delete.
    Delete,
}

impl Verb {
    /// The verb of that name, in any case.
    pub fn named(name: &str) -> Option<Verb> {
        [Self::Get, Self::Put, Self::Post, Self::Patch, Self::Delete]
            .into_iter()
            .find(|verb| name.eq_ignore_ascii_case(verb.name()))
    }

    /// As in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether it changes something.
    pub fn writes(self) -> bool {
        self != Self::Get
    }
}
