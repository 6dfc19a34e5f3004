//! Parts of screens: tables that draw only the rows one sees, sparklines and heat maps.

pub(crate) mod heat;
pub(crate) mod spark;
pub(crate) mod vtable;
