//! `mesh bootstrap`: hosts become a mesh over SSH, each step checked first, changed second, journalled always.

pub(crate) mod facts;
