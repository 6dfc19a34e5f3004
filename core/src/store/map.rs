//! An ordered map whose clone costs a few pointers: sorted chunks behind `Arc`, copied only when written.

use std::sync::Arc;

/// Entries a chunk may hold before it is split.
const CHUNK_LEN_MAX: usize = 128;

/// An ordered map; cloning copies one pointer per 64 to 128 entries.
#[derive(Debug, Clone)]
pub(crate) struct ChunkMap<K, V> {
    /// Never empty chunks, in key order.
    chunks: Vec<Arc<Vec<(K, V)>>>,
    len: usize,
}

impl<K, V> Default for ChunkMap<K, V> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<K: Ord + Clone, V: Clone> ChunkMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The chunk that holds `key`, or would.
    fn chunk_of(&self, key: &K) -> usize {
        self.chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| last < key))
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let at = chunk.binary_search_by(|(it, _)| it.cmp(key)).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    /// Puts a value and returns the one it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let at = self.chunk_of(&key);
        if at == self.chunks.len() {
            self.append(key, value);
            return None;
        }
        let chunk = Arc::make_mut(&mut self.chunks[at]);
        match chunk.binary_search_by(|(it, _)| it.cmp(&key)) {
            Ok(found) => Some(std::mem::replace(&mut chunk[found].1, value)),
            Err(place) => {
                chunk.insert(place, (key, value));
                self.len += 1;
                if chunk.len() > CHUNK_LEN_MAX {
                    let upper = chunk.split_off(chunk.len() / 2);
                    self.chunks.insert(at + 1, Arc::new(upper));
                }
                None
            }
        }
    }

    /// Appends behind the greatest key; full chunks stay full, as keys that only grow leave them.
    fn append(&mut self, key: K, value: V) {
        self.len += 1;
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK_LEN_MAX => Arc::make_mut(last).push((key, value)),
            _ => self.chunks.push(Arc::new(vec![(key, value)])),
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.chunk_of(key);
        let chunk = self.chunks.get_mut(at)?;
        let place = chunk.binary_search_by(|(it, _)| it.cmp(key)).ok()?;
        let chunk = Arc::make_mut(chunk);
        let (_, value) = chunk.remove(place);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        self.len -= 1;
        Some(value)
    }

    pub(crate) fn first(&self) -> Option<(&K, &V)> {
        self.chunks.first().and_then(|chunk| chunk.first()).map(|(key, value)| (key, value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).map(|(key, value)| (key, value))
    }

    /// Iterates from the first key for which `before` no longer holds; `before` must hold for a prefix of the keys.
    pub(crate) fn iter_from(&self, before: impl Fn(&K) -> bool) -> impl Iterator<Item = (&K, &V)> {
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|(last, _)| before(last)));
        let place = self.chunks.get(chunk).map_or(0, |it| it.partition_point(|(key, _)| before(key)));
        let rest = self.chunks.get(chunk..).unwrap_or_default();
        rest.iter().flat_map(|chunk| chunk.iter()).skip(place).map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_btree_map(steps in proptest::collection::vec((any::<bool>(), 0_u16..600, any::<u8>()), 0..1_500)) {
            let mut model = BTreeMap::new();
            let mut map = ChunkMap::default();
            let mut old = (map.clone(), model.clone());
            for (at, (put, key, value)) in steps.into_iter().enumerate() {
                if put {
                    prop_assert_eq!(map.insert(key, value), model.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key), model.remove(&key));
                }
                if at == 700 {
                    old = (map.clone(), model.clone());
                }
            }
            for (map, model) in [(&map, &model), (&old.0, &old.1)] {
                prop_assert_eq!(map.len(), model.len());
                prop_assert!(map.iter().eq(model.iter()));
                prop_assert_eq!(map.first(), model.first_key_value());
                for key in 0..600 {
                    prop_assert_eq!(map.get(&key), model.get(&key));
                }
                prop_assert!(map.iter_from(|key| *key < 300).eq(model.range(300..)));
            }
        }

        #[test]
        fn growing_keys_fill_their_chunks(count in 1_usize..2_000) {
            let mut map = ChunkMap::default();
            for key in 0..count {
                map.insert(key, ());
            }
            prop_assert_eq!(map.chunks.len(), count.div_ceil(CHUNK_LEN_MAX));
        }
    }
}
