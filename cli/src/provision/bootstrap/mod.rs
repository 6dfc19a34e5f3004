//! `mesh bootstrap`: hosts become a mesh over SSH, each step checked first, changed second, journalled always.
//!
//! ```text
//! hosts.yaml -> connect -> facts -> rules -> plan (printed, kept, compared) -> lock -> waves, and meanwhile
//!   the mesh is made once its coordinators are there -> declare -> verify -> context
//! ```

pub(crate) mod board;
pub(crate) mod change;
pub(crate) mod connect;
pub(crate) mod facts;
pub(crate) mod finish;
pub(crate) mod form;
pub(crate) mod founding;
pub(crate) mod hold;
pub(crate) mod journal;
pub(crate) mod lock;
pub(crate) mod member;
pub(crate) mod office;
pub(crate) mod plan;
pub(crate) mod root;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod seek;
pub(crate) mod select;
pub(crate) mod verify;
pub(crate) mod waves;
pub(crate) mod whole;
