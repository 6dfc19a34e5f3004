//! A digest of a set that is kept in step with it: the 256-bit wrapping sum of its members' hashes.

use crate::id::Digest;

/// A multiset sum: adding and removing members in any order gives the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    pub(crate) fn add(&mut self, member: &blake3::Hash) {
        let mut carry = false;
        for (limb, other) in self.0.iter_mut().zip(limbs(member)) {
            let (sum, over) = limb.overflowing_add(other);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || again;
        }
    }

    pub(crate) fn remove(&mut self, member: &blake3::Hash) {
        let mut borrow = false;
        for (limb, other) in self.0.iter_mut().zip(limbs(member)) {
            let (rest, under) = limb.overflowing_sub(other);
            let (rest, again) = rest.overflowing_sub(u64::from(borrow));
            *limb = rest;
            borrow = under || again;
        }
    }

    pub(crate) fn digest(self) -> Digest {
        let mut digest = [0_u8; 32];
        for (bytes, limb) in digest.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
        Digest(digest)
    }
}

fn limbs(hash: &blake3::Hash) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
        let mut word = [0_u8; 8];
        word.copy_from_slice(bytes);
        *limb = u64::from_le_bytes(word);
    }
    limbs
}

/// Hashes fields so that two different splits of the same bytes differ.
pub(crate) fn hash_of(parts: &[&[u8]]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn order_does_not_matter_and_removal_undoes(members in proptest::collection::vec(any::<[u8; 32]>(), 0..20), gone in any::<[u8; 32]>()) {
            let gone = blake3::Hash::from_bytes(gone);
            let mut forward = Sum::default();
            let mut backward = Sum::default();
            backward.add(&gone);
            for member in &members {
                forward.add(&blake3::Hash::from_bytes(*member));
            }
            for member in members.iter().rev() {
                backward.add(&blake3::Hash::from_bytes(*member));
            }
            prop_assert!(forward != backward || gone.as_bytes() == &[0; 32]);
            backward.remove(&gone);
            prop_assert_eq!(forward, backward);
        }
    }

    #[test]
    fn a_carry_crosses_every_limb() {
        let mut sum = Sum([u64::MAX, u64::MAX, u64::MAX, 7]);
        let mut one = [0_u8; 32];
        one[0] = 1;
        sum.add(&blake3::Hash::from_bytes(one));
        assert_eq!(sum, Sum([0, 0, 0, 8]));
        sum.remove(&blake3::Hash::from_bytes(one));
        assert_eq!(sum, Sum([u64::MAX, u64::MAX, u64::MAX, 7]));
    }

    #[test]
    fn a_hash_knows_where_its_fields_end() {
        assert_ne!(hash_of(&[b"ab", b"c"]), hash_of(&[b"a", b"bc"]));
    }
}
