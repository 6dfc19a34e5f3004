//! The strategies that need no upload.

mod baseline_rr;
mod least_queue;

pub use baseline_rr::BaselineRr;
pub use least_queue::LeastQueue;

use crate::Strategy;

/// The names of the built-in strategies; `least_queue` is active from the start.
pub const NAMES: [&str; 2] = [baseline_rr::NAME, least_queue::NAME];
/// The version of all built-in strategies: the contract's.
pub const VERSION: &str = "0.1";

/// Makes an instance of the built-in strategy with this name for a worker; the worker is the instance's seed.
#[must_use]
pub fn by_name(name: &str, worker: u32) -> Option<Box<dyn Strategy>> {
    match name {
        baseline_rr::NAME => Some(Box::new(BaselineRr::new(worker))),
        least_queue::NAME => Some(Box::new(LeastQueue)),
        _ => None,
    }
}
