//! NVIDIA's management library, opened at run time on a thread of its own: a driver that hangs holds up nothing else.
//!
//! Without the library the reason is the loader's own text; a reading the driver refuses is unknown.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use mesh_core::{
    gpu::{EccErrors, ThrottleReasons},
    status::{GpuSample, Probe},
};
use nvml_wrapper::{
    Device, Nvml,
    enum_wrappers::device::{Clock, EccCounter, MemoryError, TemperatureSensor},
    error::NvmlError,
};

/// The name under which the loader looks for it.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// When to read, and when to try again to open what could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NvmlTiming {
    /// Time between two readings.
    pub interval: Duration,
    /// Time between two attempts to open the library.
    pub reopen: Duration,
}

impl Default for NvmlTiming {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), reopen: Duration::from_secs(60) }
    }
}

/// Reads GPUs and hands each reading to `tell` until that returns false or `stop`'s sender is gone.
pub(super) fn run(
    library: Option<PathBuf>,
    timing: NvmlTiming,
    stop: &Receiver<()>,
    tell: impl Fn(Probe<Vec<GpuSample>>) -> bool,
) {
    let library = library.map_or_else(|| OsString::from(LIBRARY), OsString::from);
    let mut nvml = None;
    loop {
        let (probe, wait) = match take(&mut nvml, &library) {
            Ok(gpus) => (Probe::Read(gpus), timing.interval),
            Err(error) => {
                // A library whose driver went away is opened anew.
                nvml = None;
                (Probe::Unavailable(reason(&error)), timing.reopen)
            }
        };
        if !tell(probe) || stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

fn take(nvml: &mut Option<Nvml>, library: &OsStr) -> Result<Vec<GpuSample>, NvmlError> {
    let nvml = match nvml {
        Some(nvml) => nvml,
        None => nvml.insert(Nvml::builder().lib_path(library).init()?),
    };
    Ok((0..nvml.device_count()?).map(|index| gpu(nvml, index)).collect())
}

fn gpu(nvml: &Nvml, index: u32) -> GpuSample {
    let device = match nvml.device_by_index(index) {
        Ok(device) => device,
        Err(error) => return GpuSample { index, error: Some(reason(&error)), ..GpuSample::default() },
    };
    let memory = device.memory_info().ok();
    let temperature = device.temperature(TemperatureSensor::Gpu);
    GpuSample {
        index,
        // A device that was lost after it was found refuses every reading with this reason.
        error: temperature.as_ref().err().filter(|error| matches!(error, NvmlError::GpuLost)).map(reason),
        uuid: device.uuid().ok(),
        name: device.name().ok(),
        utilisation_percent: device.utilization_rates().ok().map(|it| float(it.gpu)).filter(|it| *it <= 100.0),
        memory_used_bytes: memory.as_ref().map(|it| it.used),
        memory_total_bytes: memory.as_ref().map(|it| it.total),
        temperature_c: temperature.ok().map(float),
        power_w: device.power_usage().ok().map(watts),
        power_limit_w: device.enforced_power_limit().ok().map(watts),
        sm_clock_mhz: device.clock_info(Clock::SM).ok(),
        memory_clock_mhz: device.clock_info(Clock::Memory).ok(),
        throttle_reasons: device.current_throttle_reasons().ok().map(|it| ThrottleReasons(it.bits())),
        ecc: ecc(&device),
        pcie_replays: device.pcie_replay_counter().ok(),
    }
}

fn ecc(device: &Device<'_>) -> EccErrors {
    let count = |error, counter| device.total_ecc_errors(error, counter).ok();
    EccErrors {
        volatile_corrected: count(MemoryError::Corrected, EccCounter::Volatile),
        volatile_uncorrected: count(MemoryError::Uncorrected, EccCounter::Volatile),
        aggregate_corrected: count(MemoryError::Corrected, EccCounter::Aggregate),
        aggregate_uncorrected: count(MemoryError::Uncorrected, EccCounter::Aggregate),
    }
}

#[expect(clippy::cast_precision_loss, reason = "percent, degrees and milliwatts are small")]
fn float(value: u32) -> f32 {
    value as f32
}

fn watts(milliwatts: u32) -> f32 {
    float(milliwatts) / 1000.0
}

fn reason(error: &NvmlError) -> String {
    let text: &dyn std::fmt::Display = if let NvmlError::LibloadingError(loader) = error { loader } else { error };
    text.to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use std::{process::Command, sync::mpsc};

    use super::*;

    /// Compiles the library that exports the vendor's symbols and knows two devices.
    pub(in crate::telemetry) fn standin(dir: &std::path::Path) -> PathBuf {
        let library = dir.join(LIBRARY);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/nvml/standin.c");
        let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status().unwrap();
        assert!(status.success(), "cc: {status}");
        library
    }

    fn first(library: Option<PathBuf>) -> Probe<Vec<GpuSample>> {
        let (_stay, stop) = mpsc::channel();
        let (tx, rx) = mpsc::channel();
        run(library, NvmlTiming::default(), &stop, move |probe| {
            tx.send(probe).unwrap();
            false
        });
        rx.recv().unwrap()
    }

    #[test]
    fn the_numbers_of_the_library_arrive_and_the_refused_are_unknown() {
        let dir = tempfile::tempdir().unwrap();
        let whole = GpuSample {
            index: 0,
            uuid: Some("GPU-5tandin0-0000".into()),
            name: Some("Stand-in H100".into()),
            utilisation_percent: Some(73.0),
            memory_used_bytes: Some(17 << 30),
            memory_total_bytes: Some(80 << 30),
            temperature_c: Some(64.0),
            power_w: Some(412.5),
            power_limit_w: Some(700.0),
            sm_clock_mhz: Some(1980),
            memory_clock_mhz: Some(2619),
            throttle_reasons: Some(ThrottleReasons(
                ThrottleReasons::SW_POWER_CAP.0
                    | ThrottleReasons::HW_THERMAL_SLOWDOWN.0
                    | ThrottleReasons::HW_SLOWDOWN.0,
            )),
            ecc: EccErrors {
                volatile_corrected: Some(3),
                volatile_uncorrected: Some(0),
                aggregate_corrected: Some(41),
                aggregate_uncorrected: Some(1),
            },
            pcie_replays: Some(12),
            error: None,
        };
        let partly = GpuSample {
            index: 1,
            uuid: Some("GPU-5tandin0-0001".into()),
            memory_used_bytes: Some(0),
            memory_total_bytes: Some(80 << 30),
            ..GpuSample::default()
        };
        let error = Some("device fell off the bus or has otherwise become inacessible".to_owned());
        let lost = GpuSample { index: 2, error, ..GpuSample::default() };
        assert_eq!(first(Some(standin(dir.path()))), Probe::Read(vec![whole, partly, lost]));
    }

    #[test]
    fn without_a_library_the_reason_is_the_loaders() {
        let Probe::Unavailable(reason) = first(Some("/nonexistent/libnvidia-ml.so.1".into())) else {
            panic!("a library that is not there was opened");
        };
        assert!(reason.contains("/nonexistent/libnvidia-ml.so.1: cannot open shared object file"), "{reason}");
    }

    #[test]
    fn a_library_that_comes_later_is_opened_and_the_thread_ends_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join(LIBRARY);
        let (stay, stop) = mpsc::channel();
        let (tx, rx) = mpsc::channel();
        let timing = NvmlTiming { interval: Duration::from_millis(5), reopen: Duration::from_millis(5) };
        let reader = std::thread::spawn(move || run(Some(library), timing, &stop, move |probe| tx.send(probe).is_ok()));
        assert!(matches!(rx.recv().unwrap(), Probe::Unavailable(_)));
        standin(dir.path());
        // A half-written library may still be refused.
        assert!(rx.iter().any(|probe| matches!(probe, Probe::Read(gpus) if gpus.len() == 3)));
        drop(stay);
        reader.join().unwrap();
    }
}
