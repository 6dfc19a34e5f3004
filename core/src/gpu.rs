//! One GPU: what its driver reports, and the verdict on its health that follows from it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// One GPU as its driver reports it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct GpuSample {
    /// Index on the host.
    pub index: u32,
    /// The vendor's unique id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Product name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Share of time a kernel ran, 0..=100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilisation_percent: Option<f32>,
    /// Memory in use, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
    /// Memory there is, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_total_bytes: Option<u64>,
    /// Temperature in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f32>,
    /// Power draw in watts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f32>,
    /// Power limit in force, in watts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_limit_w: Option<f32>,
    /// Clock of the streaming multiprocessors, in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sm_clock_mhz: Option<u32>,
    /// Clock of the memory, in MHz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_clock_mhz: Option<u32>,
    /// What holds the clocks down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle_reasons: Option<ThrottleReasons>,
    /// Memory errors.
    #[serde(default, skip_serializing_if = "EccErrors::is_unknown")]
    pub ecc: EccErrors,
    /// Packets that PCIe sent again, since the driver was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_replays: Option<u32>,
    /// Why the device itself cannot be read, in the driver's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Memory errors that ECC saw; a device without ECC tells none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EccErrors {
    /// Corrected since the driver was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatile_corrected: Option<u64>,
    /// Not corrected since the driver was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volatile_uncorrected: Option<u64>,
    /// Corrected in the device's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate_corrected: Option<u64>,
    /// Not corrected in the device's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregate_uncorrected: Option<u64>,
}

impl EccErrors {
    /// Whether none of the counts is known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// What holds a GPU's clocks down: the bits of NVML's clock throttle reasons, by NVML's own names in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ThrottleReasons(pub u64);

impl ThrottleReasons {
    /// Nothing runs.
    pub const GPU_IDLE: Self = Self(1 << 0);
    /// An operator's setting.
    pub const APPLICATIONS_CLOCKS_SETTING: Self = Self(1 << 1);
    /// The power limit.
    pub const SW_POWER_CAP: Self = Self(1 << 2);
    /// Heat, a power brake or a sudden draw: clocks are at half or less.
    pub const HW_SLOWDOWN: Self = Self(1 << 3);
    /// Another GPU of its boost group.
    pub const SYNC_BOOST: Self = Self(1 << 4);
    /// The GPU or its memory is above its operating temperature.
    pub const SW_THERMAL_SLOWDOWN: Self = Self(1 << 5);
    /// The GPU is too hot: clocks are at half or less.
    pub const HW_THERMAL_SLOWDOWN: Self = Self(1 << 6);
    /// The power supply asks for less: clocks are at half or less.
    pub const HW_POWER_BRAKE_SLOWDOWN: Self = Self(1 << 7);
    /// The clocks of a display.
    pub const DISPLAY_CLOCK_SETTING: Self = Self(1 << 8);

    const NAMES: [(&'static str, Self); 9] = [
        ("GPU_IDLE", Self::GPU_IDLE),
        ("APPLICATIONS_CLOCKS_SETTING", Self::APPLICATIONS_CLOCKS_SETTING),
        ("SW_POWER_CAP", Self::SW_POWER_CAP),
        ("HW_SLOWDOWN", Self::HW_SLOWDOWN),
        ("SYNC_BOOST", Self::SYNC_BOOST),
        ("SW_THERMAL_SLOWDOWN", Self::SW_THERMAL_SLOWDOWN),
        ("HW_THERMAL_SLOWDOWN", Self::HW_THERMAL_SLOWDOWN),
        ("HW_POWER_BRAKE_SLOWDOWN", Self::HW_POWER_BRAKE_SLOWDOWN),
        ("DISPLAY_CLOCK_SETTING", Self::DISPLAY_CLOCK_SETTING),
    ];

    /// Whether all of `reasons` are among these.
    #[must_use]
    pub const fn contains(self, reasons: Self) -> bool {
        self.0 & reasons.0 == reasons.0
    }

    /// The names of the reasons; bits that have none are left out.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(_, reason)| self.contains(*reason)).map(|(name, _)| name)
    }
}

impl Serialize for ThrottleReasons {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for ThrottleReasons {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut reasons = Self::default();
        for name in Vec::<String>::deserialize(deserializer)? {
            let known = Self::NAMES.iter().find(|(it, _)| *it == name);
            let (_, reason) = known.ok_or_else(|| D::Error::custom(format!("`{name}` is no throttle reason")))?;
            reasons.0 |= reason.0;
        }
        Ok(reasons)
    }
}

/// How serious the state of a GPU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing is wrong with what is known.
    Ok,
    /// It works, slower than it should.
    Warn,
    /// Its results or the device itself are lost.
    Critical,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Critical => "critical",
        })
    }
}

/// The verdict on a GPU with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// How serious it is.
    pub verdict: Verdict,
    /// What speaks against it; absent when nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Throttling that is a fault, and how people call it; a power cap under load or an idle clock is none.
const FAULTS: [(ThrottleReasons, &str); 4] = [
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, "too hot: the hardware halves its clocks"),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "the power supply makes it halve its clocks"),
    (ThrottleReasons::HW_SLOWDOWN, "the hardware halves its clocks"),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, "above its operating temperature: its clocks are lowered"),
];

/// The verdict on a GPU out of one sample; `None` when nothing that could tell is known.
#[must_use]
pub fn health(gpu: &GpuSample) -> Option<Health> {
    let is = |verdict, reason: String| Some(Health { verdict, reason: Some(reason) });
    if let Some(error) = &gpu.error {
        return is(Verdict::Critical, error.clone());
    }
    if let Some(count @ 1..) = gpu.ecc.volatile_uncorrected {
        let plural = if count == 1 { "" } else { "s" };
        return is(Verdict::Critical, format!("{count} uncorrected memory error{plural} since the driver was loaded"));
    }
    let throttled = gpu.throttle_reasons.unwrap_or_default();
    if let Some((_, reason)) = FAULTS.iter().find(|(fault, _)| throttled.contains(*fault)) {
        return is(Verdict::Warn, (*reason).to_owned());
    }
    let is_known = gpu.throttle_reasons.is_some() || gpu.ecc.volatile_uncorrected.is_some();
    is_known.then_some(Health { verdict: Verdict::Ok, reason: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_follows_from_what_is_known() {
        let check = |gpu: GpuSample, expected: Option<(Verdict, Option<&str>)>| {
            let found = health(&gpu);
            let found = found.as_ref().map(|it| (it.verdict, it.reason.as_deref()));
            assert_eq!(found, expected, "{gpu:?}");
        };
        let throttled = |reasons: u64| GpuSample { throttle_reasons: Some(ThrottleReasons(reasons)), ..<_>::default() };
        let uncorrected = |count| EccErrors { volatile_uncorrected: Some(count), ..EccErrors::default() };
        check(GpuSample::default(), None);
        check(GpuSample { utilisation_percent: Some(90.0), temperature_c: Some(60.0), ..<_>::default() }, None);
        check(throttled(0), Some((Verdict::Ok, None)));
        check(throttled(ThrottleReasons::SW_POWER_CAP.0 | 1), Some((Verdict::Ok, None)));
        check(GpuSample { ecc: uncorrected(0), ..<_>::default() }, Some((Verdict::Ok, None)));
        check(
            throttled(ThrottleReasons::HW_SLOWDOWN.0 | ThrottleReasons::HW_THERMAL_SLOWDOWN.0),
            Some((Verdict::Warn, Some("too hot: the hardware halves its clocks"))),
        );
        check(
            GpuSample { ecc: uncorrected(1), ..throttled(ThrottleReasons::HW_SLOWDOWN.0) },
            Some((Verdict::Critical, Some("1 uncorrected memory error since the driver was loaded"))),
        );
        check(
            GpuSample { error: Some("device fell off the bus".into()), ..throttled(0) },
            Some((Verdict::Critical, Some("device fell off the bus"))),
        );
    }

    #[test]
    fn throttle_reasons_are_names_in_text() {
        let reasons = ThrottleReasons(ThrottleReasons::SW_POWER_CAP.0 | ThrottleReasons::HW_SLOWDOWN.0 | 1 << 40);
        let text = serde_json::to_string(&reasons).unwrap();
        assert_eq!(text, r#"["SW_POWER_CAP","HW_SLOWDOWN"]"#);
        let back: ThrottleReasons = serde_json::from_str(&text).unwrap();
        assert_eq!(back, ThrottleReasons(0b1100));
        assert!(serde_json::from_str::<ThrottleReasons>(r#"["TIRED"]"#).is_err());
    }
}
