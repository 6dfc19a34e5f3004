//! Screens as text: every screen and dialog at three sizes, over a healthy, a troubled, an empty and an old picture.

mod fixture;
mod frames;
mod kept;
mod keys;
mod sizes;
