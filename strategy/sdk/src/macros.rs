//! The macros that make a module: exports, and the section that describes it.

/// Makes a crate a strategy module. On `wasm32` it defines the exports of contract 0.1 and the custom section
/// `mesh:strategy`; on other targets it does nothing, so that the crate can be tested there.
///
/// ```ignore
/// mesh_sdk::strategy! {
///     guest: Hybrid,
///     name: "hybrid",
///     version: "0.1.0",
///     cap_targets: 4096,
///     columns: [Valid, Generation, Eligible, OwnInflight],
/// }
/// ```
#[macro_export]
macro_rules! strategy {
    (
        guest: $guest:ty, name: $name:literal, version: $version:literal, cap_targets: $cap:literal,
        columns: [$first:ident $(, $more:ident)* $(,)?] $(,)?
    ) => {
        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "exports of a WASM module have fixed names, and the host writes its memory")]
        mod mesh_exports {
            use super::*;

            const COLUMNS: [$crate::Column; [$crate::__id!($first) $(, $crate::__id!($more))*].len()] =
                [$crate::Column::$first $(, $crate::Column::$more)*];
            const MANIFEST: &str = concat!(
                "{\"name\":\"", $name, "\",\"version\":\"", $version, "\",\"abi\":\"0.1\",\"kinds\":[\"route\"],",
                "\"columns\":[", $crate::__id!($first) $(, ",", $crate::__id!($more))*, "],\"cap_targets\":", $cap, "}"
            );
            static MEMORY: $crate::Shared<$crate::Memory<$guest, $cap, { COLUMNS.len() }>> =
                $crate::Shared::new($crate::Memory::ZERO);

            #[used]
            #[unsafe(link_section = "mesh:strategy")]
            static SECTION: [u8; MANIFEST.len()] = {
                let mut bytes = [0; MANIFEST.len()];
                let mut at = 0;
                while at < bytes.len() {
                    bytes[at] = MANIFEST.as_bytes()[at];
                    at += 1;
                }
                bytes
            };

            #[unsafe(no_mangle)]
            extern "C" fn mesh_abi() -> i32 {
                $crate::ABI
            }

            #[unsafe(no_mangle)]
            extern "C" fn mesh_init(_config: i32, _config_len: i32, seed_low: i64, seed_high: i64) -> i32 {
                // SAFETY: one thread, and the host calls in only when no call is running.
                unsafe { MEMORY.with(|memory| memory.init(seed_low, seed_high)) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn mesh_layout() -> usize {
                // SAFETY: as in `mesh_init`.
                unsafe { MEMORY.with(|memory| memory.layout(&COLUMNS)) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn mesh_decide(_kind: i32, rows: i32) -> i32 {
                // SAFETY: as in `mesh_init`.
                unsafe { MEMORY.with(|memory| memory.decide(&COLUMNS, rows)) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn mesh_observe(count: i32) -> i32 {
                // SAFETY: as in `mesh_init`.
                unsafe { MEMORY.with(|memory| memory.observe(count)) }
            }
        }
    };
}

/// Defines the panic handler of a module without std: a trap, which the router answers with the baseline.
#[macro_export]
macro_rules! trap_on_panic {
    () => {
        #[cfg(target_arch = "wasm32")]
        #[panic_handler]
        fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
            core::arch::wasm32::unreachable()
        }
    };
}

/// Returns a column's id as a literal, for the section `mesh:strategy`.
#[doc(hidden)]
#[macro_export]
macro_rules! __id {
    (Valid) => {
        0
    };
    (Generation) => {
        1
    };
    (Eligible) => {
        2
    };
    (OwnInflight) => {
        3
    };
    (Running) => {
        4
    };
    (Waiting) => {
        5
    };
    (Capacity) => {
        6
    };
    (KvUsed) => {
        7
    };
    (TtftMs) => {
        8
    };
    (TpotMs) => {
        9
    };
    (RttUs) => {
        10
    };
    (Health) => {
        11
    };
    (Price) => {
        12
    };
    (ObservedMs) => {
        13
    };
    (Class) => {
        14
    };
}
