//! `mesh top`: the whole fleet on one screen, live.
