//! Result lines of a batch job on their way to the caller: their usage added up, once per job.

use std::collections::BTreeMap;

use crate::dialect::endpoint::Dialect;
use crate::metering::reported::batch::batch_line;
use crate::names::ModelName;
use crate::usage::{Conditions, ModelUsage, ReportedUsage, UsageFlag, UsageSource};

/// A line longer than this is not read; the sum is then marked as partial.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// Above this many input tokens some model changes its price, so such lines stay apart.
const ALIKE_CONTEXT: u64 = 128_000;

/// Adds up the usage of result lines.
#[derive(Debug)]
pub struct BatchReader {
    dialect: Dialect,
    line: Vec<u8>,
    overlong: bool,
    lines: u64,
    unread: u64,
    alike: BTreeMap<Option<ModelName>, ModelUsage>,
    apart: Vec<ModelUsage>,
    conditions: Conditions,
    flags: Vec<UsageFlag>,
}

impl BatchReader {
    /// For a result file of this dialect.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            line: Vec::new(),
            overlong: false,
            lines: 0,
            unread: 0,
            alike: BTreeMap::new(),
            apart: Vec::new(),
            conditions: Conditions::default(),
            flags: Vec::new(),
        }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > LONGEST_LINE {
                self.overlong = true;
                self.line.clear();
            }
            if !self.overlong {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    /// What the lines come to; `None` where no line was a result, as in any other file.
    pub fn finish(mut self, whole: bool) -> Option<ReportedUsage> {
        self.end_line();
        if self.lines == 0 {
            return None;
        }
        let complete = whole && self.unread == 0;
        let source = if complete { UsageSource::Reported } else { UsageSource::Partial };
        let mut usage = ReportedUsage::none(source);
        usage.parts = self.alike.into_values().chain(self.apart).collect();
        usage.conditions = self.conditions;
        usage.conditions.set("processing", "batch");
        self.flags.sort_unstable();
        self.flags.dedup();
        usage.flags = self.flags;
        Some(usage)
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.overlong) {
            self.unread += 1;
        } else if let Some(found) = batch_line(self.dialect, line.trim_ascii()) {
            self.lines += 1;
            if self.conditions.is_empty() {
                self.conditions = found.usage.conditions.clone();
            }
            self.flags.extend(found.usage.flags);
            for mut part in found.usage.parts {
                part.model = part.model.or_else(|| found.model.clone());
                self.add(part);
            }
        }
        self.line = line;
        self.line.clear();
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
