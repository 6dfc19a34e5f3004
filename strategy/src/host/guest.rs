//! One instance of a WASM strategy: its store, its memory, and the calls into it.

use wasmtime::{Instance, Memory, Module, ResourceLimiter, Store, Trap, TypedFunc};

use super::{
    EPOCH_TICKS, INIT_FUEL, LoadError, MEMORY_BYTES_MAX, Manifest, TABLE_ELEMENTS_MAX, abi::Layout, call_fuel, text,
};
use crate::{
    DecisionOutcome, Strategy,
    answer::{Answer, Fault, RECORD_BYTES, Record},
    request::{FEEDBACK_BYTES, Feedback, REQUEST_BYTES, Request},
    table::{Change, RowChange, Table},
};

/// The version which `mesh_abi` returns: major in the upper half.
const ABI: i32 = 1;
const CELL_BYTES: usize = 4;
/// What `mesh_decide` returns to leave the decision to the baseline.
const ABSTAIN: i32 = -1;

/// Allows the memory and the table which the module declares, and no growth.
struct Limits;

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, now: usize, wanted: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(now == 0 && wanted <= MEMORY_BYTES_MAX)
    }

    fn table_growing(&mut self, now: usize, wanted: usize, _max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(now == 0 && wanted <= TABLE_ELEMENTS_MAX)
    }
}

/// One instance; after a fault it is never entered again.
pub(super) struct Guest {
    name: String,
    version: String,
    seed: u64,
    store: Store<Limits>,
    memory: Memory,
    decide: TypedFunc<(i32, i32), i32>,
    observe: Option<TypedFunc<i32, i32>>,
    layout: Layout,
    /// The guest's rows are not the table's, because the table was larger than the guest can hold.
    behind: bool,
    fuel_used: u64,
    fault: Option<String>,
}

impl Guest {
    /// Makes an instance and lets it initialise itself.
    pub(super) fn new(module: &Module, manifest: &Manifest, seed: u64) -> Result<Self, LoadError> {
        let mut store = Store::new(module.engine(), Limits);
        store.limiter(|limits| limits);
        arm(&mut store, INIT_FUEL)?;
        let instance = Instance::new(&mut store, module, &[])
            .map_err(|error| LoadError::Instantiate { reason: stopped(&error, INIT_FUEL).1 })?;
        let exported = |error: &wasmtime::Error| LoadError::Instantiate { reason: text(error) };
        let abi: TypedFunc<(), i32> = instance.get_typed_func(&mut store, "mesh_abi").map_err(|e| exported(&e))?;
        let init: TypedFunc<(i32, i32, i64, i64), i32> =
            instance.get_typed_func(&mut store, "mesh_init").map_err(|e| exported(&e))?;
        let layout: TypedFunc<(), i32> =
            instance.get_typed_func(&mut store, "mesh_layout").map_err(|e| exported(&e))?;
        let decide = instance.get_typed_func(&mut store, "mesh_decide").map_err(|e| exported(&e))?;
        let observe = instance.get_typed_func(&mut store, "mesh_observe").ok();
        let memory = instance.get_memory(&mut store, "memory").ok_or(LoadError::MissingExport { export: "memory" })?;
        let failed = |error: &wasmtime::Error| LoadError::Init { reason: stopped(error, INIT_FUEL).1 };

        let speaks = abi.call(&mut store, ()).map_err(|error| failed(&error))?;
        if speaks != ABI {
            let speaks = speaks.cast_unsigned();
            return Err(LoadError::WrongAbi { wanted: format!("{}.{}", speaks >> 16, speaks & 0xffff) });
        }
        let (low, high) = ((seed & 0xffff_ffff).cast_signed(), (seed >> 32).cast_signed());
        let code = init.call(&mut store, (0, 0, low, high)).map_err(|error| failed(&error))?;
        if code != 0 {
            return Err(LoadError::Init { reason: format!("it returned {code}") });
        }
        let at = layout.call(&mut store, ()).map_err(|error| failed(&error))?.cast_unsigned();
        let layout = Layout::read(memory.data(&store), at as usize, manifest)?;
        let (name, version) = (manifest.name.clone(), manifest.version.clone());
        Ok(Self {
            name,
            version,
            seed,
            store,
            memory,
            decide,
            observe,
            layout,
            behind: false,
            fuel_used: 0,
            fault: None,
        })
    }

    /// Notes a call's end: its fuel, and its fault if it had one.
    fn ended(&mut self, fuel: u64, result: wasmtime::Result<i32>) -> Result<i32, DecisionOutcome> {
        self.fuel_used = fuel.saturating_sub(self.store.get_fuel().unwrap_or(0));
        result.map_err(|error| {
            let (outcome, reason) = stopped(&error, fuel);
            self.fault = Some(reason);
            outcome
        })
    }

    fn invalid(&mut self, fault: Fault) -> DecisionOutcome {
        self.fault = Some(fault.to_string());
        DecisionOutcome::Invalid
    }

    fn copy_all(&mut self, table: &Table) {
        let memory = self.memory.data_mut(&mut self.store);
        for (column, base) in &self.layout.columns {
            let cells = table.cells(*column);
            let region = &mut memory[*base..*base + cells.len() * CELL_BYTES];
            for (to, cell) in region.chunks_exact_mut(CELL_BYTES).zip(cells) {
                to.copy_from_slice(&cell.to_le_bytes());
            }
        }
    }

    fn copy_rows(&mut self, table: &Table, rows: &[RowChange]) {
        let memory = self.memory.data_mut(&mut self.store);
        for row in rows {
            let slot = row.slot as usize;
            for (column, base) in self.layout.columns.iter().filter(|(column, _)| row.mask & column.bit() != 0) {
                let at = base + slot * CELL_BYTES;
                memory[at..at + CELL_BYTES].copy_from_slice(&table.cells(*column)[slot].to_le_bytes());
            }
        }
    }
}

impl Strategy for Guest {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn sync(&mut self, table: &Table, change: Change<'_>) {
        if table.len() > self.layout.cap_targets {
            self.behind = true;
            return;
        }
        match change {
            Change::Rows(rows) if !self.behind => self.copy_rows(table, rows),
            Change::Rows(_) | Change::All => self.copy_all(table),
        }
        self.behind = false;
    }

    fn decide(&mut self, table: &Table, request: &Request, answer: &mut Answer) -> DecisionOutcome {
        answer.clear();
        self.fuel_used = 0;
        if self.behind || self.fault.is_some() {
            return DecisionOutcome::NotReady;
        }
        let at = self.layout.request;
        self.memory.data_mut(&mut self.store)[at..at + REQUEST_BYTES].copy_from_slice(&request.to_bytes());
        let fuel = call_fuel(table.len());
        if arm(&mut self.store, fuel).is_err() {
            return DecisionOutcome::NotReady;
        }
        let rows = i32::try_from(table.len()).unwrap_or(i32::MAX);
        let result = self.decide.call(&mut self.store, (i32::from(request.kind as u8), rows));
        let code = match self.ended(fuel, result) {
            Ok(code) => code,
            Err(outcome) => return outcome,
        };
        let Ok(records) = usize::try_from(code) else {
            return if code == ABSTAIN { DecisionOutcome::Abstain } else { self.invalid(Fault::Code { code }) };
        };
        if records > self.layout.out_cap {
            let (records, cap) = (crate::narrow(records), crate::narrow(self.layout.out_cap));
            return self.invalid(Fault::TooMany { records, cap });
        }
        let out = &self.memory.data(&self.store)[self.layout.out..][..records * RECORD_BYTES];
        for record in out.chunks_exact(RECORD_BYTES) {
            let mut bytes = [0; RECORD_BYTES];
            bytes.copy_from_slice(record);
            answer.push(Record::from_bytes(bytes));
        }
        if answer.abstains() { DecisionOutcome::Abstain } else { DecisionOutcome::Ok }
    }

    fn observe(&mut self, batch: &[Feedback]) -> DecisionOutcome {
        let Some(observe) = self.observe.clone() else { return DecisionOutcome::Ok };
        if self.fault.is_some() || self.layout.feedback_cap == 0 {
            return DecisionOutcome::Ok;
        }
        for part in batch.chunks(self.layout.feedback_cap) {
            let region = &mut self.memory.data_mut(&mut self.store)[self.layout.feedback..];
            for (to, feedback) in region.chunks_exact_mut(FEEDBACK_BYTES).zip(part) {
                to.copy_from_slice(&feedback.to_bytes());
            }
            let fuel = call_fuel(0);
            if arm(&mut self.store, fuel).is_err() {
                return DecisionOutcome::NotReady;
            }
            let count = i32::try_from(part.len()).unwrap_or(i32::MAX);
            let result = observe.call(&mut self.store, count);
            match self.ended(fuel, result) {
                Ok(0..) => {}
                Ok(code) => {
                    self.fault = Some(format!("mesh_observe returned {code}"));
                    return DecisionOutcome::Invalid;
                }
                Err(outcome) => return outcome,
            }
        }
        DecisionOutcome::Ok
    }

    fn fuel_used(&self) -> Option<u64> {
        Some(self.fuel_used)
    }

    fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

/// Gives the next call its fuel and its deadline.
fn arm(store: &mut Store<Limits>, fuel: u64) -> Result<(), LoadError> {
    store.set_epoch_deadline(EPOCH_TICKS);
    store.set_fuel(fuel).map_err(|error| LoadError::Engine { reason: text(&error) })
}

/// Says why a call was stopped, as an outcome and in words.
fn stopped(error: &wasmtime::Error, fuel: u64) -> (DecisionOutcome, String) {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => (
            DecisionOutcome::Fuel,
            format!("it ran out of its {fuel} units of fuel: it loops, or does too much work for a call"),
        ),
        Some(Trap::Interrupt) => {
            (DecisionOutcome::Epoch, "it was stopped by the time limit of 100 ms behind the fuel".to_owned())
        }
        Some(trap) => (DecisionOutcome::Trap, format!("it trapped: {trap}")),
        None => (DecisionOutcome::Trap, text(error)),
    }
}

#[cfg(test)]
mod tests {
    //! What cannot be seen from the outside: the time limit, which the fuel always beats.

    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::*;
    use crate::host::{Host, HostConfig, check};

    #[test]
    fn the_epoch_stops_what_the_fuel_does_not() {
        let host = Host::new(HostConfig { instances: 1 }).unwrap();
        let bytes = wat::parse_str(include_str!("../../fixtures/spin.wat")).unwrap();
        let module = Module::from_binary(&host.engine, &bytes).unwrap();
        let mut guest = Guest::new(&module, &check::structure(&bytes).unwrap(), 0).unwrap();
        let fuel = u64::MAX / 2;
        arm(&mut guest.store, fuel).unwrap();
        let stopped = AtomicBool::new(false);
        let result = thread::scope(|scope| {
            scope.spawn(|| {
                while !stopped.load(Ordering::Relaxed) {
                    host.increment_epoch();
                    thread::yield_now();
                }
            });
            let result = guest.decide.call(&mut guest.store, (0, 1));
            stopped.store(true, Ordering::Relaxed);
            result
        });
        assert_eq!(guest.ended(fuel, result), Err(DecisionOutcome::Epoch));
        assert!(guest.fault().unwrap().contains("time limit"));
        let mut answer = Answer::new();
        let again = guest.decide(&Table::default(), &Request::default(), &mut answer);
        assert_eq!(again, DecisionOutcome::NotReady, "never entered again");
    }

    #[test]
    fn a_machine_without_address_space_for_the_pool_still_runs() {
        let host = Host::new(HostConfig { instances: 1_000_000 }).unwrap();
        assert!(!host.is_pooled());
        let bytes = wat::parse_str(include_str!("../../fixtures/least-queue.wat")).unwrap();
        host.load(&bytes).unwrap();
    }
}
