//! How much a frame allocates: next to nothing, however large the fleet is. Its own binary, since it counts for all.
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering},
};

use mesh_tui::{Caps, Colors, Options, Picture, demo};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bar of the product; what is measured is far below.
const ALLOCATIONS_MAX: u64 = 200;

#[test]
fn a_frame_of_a_large_fleet_allocates_next_to_nothing() {
    let caps = Caps { colors: Colors::True, utf8: true, dumb: false };
    let options = Options {
        context: "demo".to_owned(),
        operator: "ada".to_owned(),
        read_only: false,
        demo: Some(2_000),
        caps,
        interval: Options::INTERVAL,
    };
    let (mut picture, now) = demo::picture(&options, 2_000);
    let mut bytes = Vec::new();
    for screen in 0..Picture::SCREENS {
        for size in [(80, 24), (120, 40), (200, 60)] {
            // The first frames grow the buffers and compute the figures.
            for _ in 0..2 {
                bytes.clear();
                picture.sketch(screen, size, now, &mut bytes).unwrap();
            }
            bytes.clear();
            let before = COUNT.load(Ordering::Relaxed);
            picture.sketch(screen, size, now, &mut bytes).unwrap();
            let count = COUNT.load(Ordering::Relaxed) - before;
            assert!(count <= ALLOCATIONS_MAX, "screen {screen} at {size:?}: {count} allocations");
        }
    }
}
