//! Hash maps with our own seed: their order replays with the endpoint's seed, and a peer that does not know the seed
//! cannot choose keys that collide.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasher, Hash, Hasher};

/// A map with a seeded hasher.
pub(crate) type Map<K, V> = HashMap<K, V, Seed>;

/// The seed of a map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed(pub(crate) [u64; 2]);

impl BuildHasher for Seed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher
    }
}

impl Seed {
    /// A 64-bit value that only the holder of the seed can predict, the same for the same parts.
    pub(crate) fn digest(&self, parts: &[&str]) -> u64 {
        let mut hasher = self.build_hasher();
        for part in parts {
            part.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// An empty map.
pub(crate) fn map<K, V>(seed: Seed) -> Map<K, V> {
    HashMap::with_hasher(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_digest_and_another_seed_another() {
        assert_eq!(
            Seed([1, 2]).digest(&["a", "b"]),
            Seed([1, 2]).digest(&["a", "b"])
        );
        assert_ne!(
            Seed([1, 2]).digest(&["a", "b"]),
            Seed([1, 3]).digest(&["a", "b"])
        );
        assert_ne!(
            Seed([1, 2]).digest(&["ab", ""]),
            Seed([1, 2]).digest(&["a", "b"])
        );
    }
}
