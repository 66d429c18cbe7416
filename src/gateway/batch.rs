//! Result lines of a batch job on their way to the caller: their usage added up, once per job.

use std::collections::BTreeMap;

use crate::dialect::endpoint::Dialect;
use crate::metering::reported::batch::{BatchLine, BatchMeter};
use crate::names::ModelName;
use crate::usage::{Conditions, ModelUsage, ReportedUsage, UsageFlag, UsageSource};

/// Above this many input tokens some model changes its price, so such lines stay apart.
const ALIKE_CONTEXT: u64 = 128_000;

/// Adds up the usage of result lines.
#[derive(Debug)]
pub(crate) struct BatchReader {
    meter: BatchMeter,
    sum: Sum,
}

#[derive(Debug, Default)]
struct Sum {
    lines: u64,
    alike: BTreeMap<Option<ModelName>, ModelUsage>,
    apart: Vec<ModelUsage>,
    conditions: Conditions,
    flags: Vec<UsageFlag>,
}

impl BatchReader {
    /// For a result file of this dialect.
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { meter: BatchMeter::new(dialect), sum: Sum::default() }
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let Self { meter, sum } = self;
        meter.feed(bytes, |line| sum.take(line));
    }

    /// What the lines come to; `None` where no line was a result, as in any other file.
    pub(crate) fn finish(mut self, whole: bool) -> Option<ReportedUsage> {
        let Self { meter, sum } = &mut self;
        meter.finish(|line| sum.take(line));
        if self.sum.lines == 0 {
            return None;
        }
        let complete = whole && self.meter.skipped() == 0;
        let source = if complete { UsageSource::Reported } else { UsageSource::Partial };
        let mut usage = ReportedUsage::none(source);
        let Sum { alike, apart, conditions, mut flags, .. } = self.sum;
        usage.parts = alike.into_values().chain(apart).collect();
        usage.conditions = conditions;
        usage.conditions.set("processing", "batch");
        flags.sort_unstable();
        flags.dedup();
        usage.flags = flags;
        Some(usage)
    }
}

impl Sum {
    fn take(&mut self, line: BatchLine) {
        self.lines += 1;
        if self.conditions.is_empty() {
            self.conditions = line.usage.conditions;
        }
        self.flags.extend(line.usage.flags);
        for mut part in line.usage.parts {
            part.model = part.model.or_else(|| line.model.clone());
            self.add(part);
        }
    }

    fn add(&mut self, part: ModelUsage) {
        if part.context_tokens > ALIKE_CONTEXT {
            self.apart.push(part);
            return;
        }
        match self.alike.get_mut(&part.model) {
            None => {
                self.alike.insert(part.model.clone(), part);
            }
            Some(sum) => {
                let both = sum.quantities.iter().chain(part.quantities.iter());
                sum.quantities = both.collect();
                sum.context_tokens = sum.context_tokens.max(part.context_tokens);
            }
        }
    }
}
