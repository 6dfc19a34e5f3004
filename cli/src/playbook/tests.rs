//! The engine over a local shell, with real files.
