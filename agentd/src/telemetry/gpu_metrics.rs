//! What `/metrics` says of this node's GPUs: one series a GPU and number, by the vendor's id.

use mesh_core::{
    gpu::{self, GpuSample, Verdict},
    status::Probe,
};
use prometheus::{GaugeVec, Opts, Registry};

use super::metrics::set;

/// How a number is read out of a sample; `None` has no series.
type Read = fn(&GpuSample) -> Option<f64>;

/// Name, help and source of every number that a GPU has once.
const NUMBERS: &[(&str, &str, Read)] = &[
    ("gpu_utilisation_percent", "Share of time a kernel ran.", |it| it.utilisation_percent.map(f64::from)),
    ("gpu_memory_used_bytes", "Memory in use.", |it| it.memory_used_bytes.map(float)),
    ("gpu_memory_total_bytes", "Memory there is.", |it| it.memory_total_bytes.map(float)),
    ("gpu_temperature_celsius", "Temperature of the GPU.", |it| it.temperature_c.map(f64::from)),
    ("gpu_power_watts", "Power draw.", |it| it.power_w.map(f64::from)),
    ("gpu_power_limit_watts", "Power limit in force.", |it| it.power_limit_w.map(f64::from)),
    ("gpu_sm_clock_mhz", "Clock of the streaming multiprocessors.", |it| it.sm_clock_mhz.map(f64::from)),
    ("gpu_memory_clock_mhz", "Clock of the memory.", |it| it.memory_clock_mhz.map(f64::from)),
    ("gpu_pcie_replays", "Packets that PCIe sent again since the driver was loaded.", |it| {
        it.pcie_replays.map(f64::from)
    }),
    ("gpu_ecc_volatile_corrected", "Memory errors corrected since the driver was loaded.", |it| {
        it.ecc.volatile_corrected.map(float)
    }),
    ("gpu_ecc_volatile_uncorrected", "Memory errors not corrected since the driver was loaded.", |it| {
        it.ecc.volatile_uncorrected.map(float)
    }),
    ("gpu_ecc_aggregate_corrected", "Memory errors corrected in the device's life.", |it| {
        it.ecc.aggregate_corrected.map(float)
    }),
    ("gpu_ecc_aggregate_uncorrected", "Memory errors not corrected in the device's life.", |it| {
        it.ecc.aggregate_uncorrected.map(float)
    }),
    ("gpu_health", "The verdict: 0 = ok, 1 = warn, 2 = critical.", |it| {
        gpu::health(it).map(|it| match it.verdict {
            Verdict::Ok => 0.0,
            Verdict::Warn => 1.0,
            Verdict::Critical => 2.0,
        })
    }),
];

/// The gauges of GPUs; clones share them.
#[derive(Debug, Clone)]
pub(super) struct GpuGauges {
    numbers: Vec<GaugeVec>,
    throttled: GaugeVec,
}

impl GpuGauges {
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let gauge = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let numbers = NUMBERS.iter().map(|(name, help, _)| gauge(name, help, &["gpu_uuid"]));
        Ok(Self {
            numbers: numbers.collect::<Result<_, _>>()?,
            throttled: gauge("gpu_throttled", "1 while a reason holds the clocks down.", &["gpu_uuid", "reason"])?,
        })
    }

    /// Takes in one reading.
    pub(super) fn set(&self, gpus: &Probe<Vec<GpuSample>>) {
        // Reasons come and go, and so do GPUs: what is not said anew is gone.
        self.throttled.reset();
        let Probe::Read(gpus) = gpus else {
            self.numbers.iter().for_each(GaugeVec::reset);
            return;
        };
        for gpu in gpus {
            // A lost device may have lost its id too; its index is what is left of it.
            let index = format!("index-{}", gpu.index);
            let id = gpu.uuid.as_deref().unwrap_or(&index);
            for (gauge, (_, _, read)) in self.numbers.iter().zip(NUMBERS) {
                set(gauge, id, read(gpu));
            }
            for reason in gpu.throttle_reasons.iter().flat_map(|it| it.names()) {
                self.throttled.with_label_values(&[id, reason]).set(1.0);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 bytes are more than any GPU has")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use mesh_core::gpu::ThrottleReasons;

    use super::*;

    #[test]
    fn a_gpu_has_its_series_and_the_unknown_has_none() {
        let registry = Registry::new();
        let gauges = GpuGauges::register(&registry).unwrap();
        let text = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let gpu = GpuSample {
            uuid: Some("GPU-1".into()),
            sm_clock_mhz: Some(1980),
            throttle_reasons: Some(ThrottleReasons::HW_SLOWDOWN),
            ..GpuSample::default()
        };
        let lost = GpuSample { index: 1, error: Some("lost".into()), ..GpuSample::default() };
        gauges.set(&Probe::Read(vec![gpu.clone(), lost]));
        let page = text();
        for line in [
            r#"gpu_sm_clock_mhz{gpu_uuid="GPU-1"} 1980"#,
            r#"gpu_throttled{gpu_uuid="GPU-1",reason="HW_SLOWDOWN"} 1"#,
            r#"gpu_health{gpu_uuid="GPU-1"} 1"#,
            r#"gpu_health{gpu_uuid="index-1"} 2"#,
        ] {
            assert!(page.contains(line), "no {line} in {page}");
        }
        assert!(!page.contains("gpu_power_watts{"), "{page}");
        gauges.set(&Probe::Read(vec![GpuSample { throttle_reasons: Some(<_>::default()), ..gpu }]));
        assert!(!text().contains("gpu_throttled{"), "{}", text());
        gauges.set(&Probe::Unavailable("gone".into()));
        assert!(!text().contains("gpu_"), "{}", text());
    }
}
