//! OpenAI's usage exports: quantities a bucket and group; cached and written tokens inside input.

use crate::invoice::header::Header;
use crate::invoice::line::UsageRow;
use crate::invoice::numbers::{self, DecimalMark, whole_units};
use crate::invoice::openai::Bucket;
use crate::invoice::record::{RawCells, Reading};
use crate::invoice::refusal::{RowFault, excerpt};
use crate::invoice::summary::Noticed;
use crate::meter::{Meter, Quantities};

/// Reads the rows of a usage export of any capability.
#[derive(Debug)]
pub(crate) struct UsageRows {
    bucket: Bucket,
    model: Option<usize>,
    requests: Option<usize>,
    project_id: Option<usize>,
    project_name: Option<usize>,
    organization_id: Option<usize>,
    key_id: Option<usize>,
    batch: Option<usize>,
    service_tier: Option<usize>,
    tokens: TokenColumns,
    pieces: Vec<(Option<usize>, Meter)>,
    mark: DecimalMark,
}

#[derive(Debug)]
struct TokenColumns {
    input: Option<usize>,
    output: Option<usize>,
    cached: Option<usize>,
    cache_write: Option<usize>,
    uncached: Option<usize>,
    text: Option<usize>,
    output_text: Option<usize>,
    cached_text: Option<usize>,
    audio: Option<usize>,
    cached_audio: Option<usize>,
    output_audio: Option<usize>,
    image: Option<usize>,
    cached_image: Option<usize>,
    output_image: Option<usize>,
}

impl UsageRows {
    /// Finds the columns.
    pub(crate) fn new(header: &Header) -> Self {
        let column = |name: &str| header.column(name);
        let searches = match column("context_level").or(column("num_model_requests")) {
            Some(_) => Meter::WebSearch,
            None => Meter::FileSearch,
        };
        Self {
            bucket: Bucket::new(header),
            model: column("model"),
            requests: column("num_model_requests"),
            project_id: column("project_id"),
            project_name: column("project_name"),
            organization_id: column("organization_id"),
            key_id: column("api_key_id"),
            batch: column("batch"),
            service_tier: column("service_tier"),
            tokens: TokenColumns::new(header),
            pieces: vec![
                (column("images"), Meter::Images),
                (column("characters"), Meter::Characters),
                (column("seconds"), Meter::AudioSeconds),
                (column("num_sessions").or(column("sessions")), Meter::CodeSession),
                (column("num_requests"), searches),
            ],
            mark: header.decimal_mark(),
        }
    }

    /// Reads one row.
    ///
    /// # Errors
    /// A fault that names the column.
    pub(crate) fn read(
        &mut self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut Noticed,
        usage: &mut UsageRow,
    ) -> Result<Reading, RowFault> {
        let (period, _) = self.bucket.read(cells)?;
        let mut quantities = self.tokens.read(row, cells, self.mark, noticed)?;
        for (column, meter) in &self.pieces {
            if let Some(cell) = cells.text(*column) {
                let fault = |why| RowFault::of(cells.name(*column), why);
                let printed = numbers::amount(cell, self.mark, None)
                    .map_err(|why| fault(why.replace("an amount", "a quantity")))?;
                let atoms =
                    whole_units(printed.value, meter.atoms_per_unit()).ok_or_else(|| {
                        fault(format!("{:?} is not a whole, non-negative count", excerpt(cell)))
                    })?;
                quantities.add(*meter, atoms);
            }
        }
        let requests = self.count(cells, self.requests)?;
        if quantities.is_empty() && requests.is_none() && cells.text(self.model).is_none() {
            return Ok(Reading::Empty(Some(period)));
        }
        usage.row = row;
        usage.period = period;
        cells.assign(&mut usage.model, self.model);
        usage.quantities = quantities;
        usage.requests = requests;
        let told = &mut usage.dimensions;
        cells.assign(&mut told.organization_id, self.organization_id);
        cells.assign(&mut told.project_id, self.project_id);
        cells.assign(&mut told.project_name, self.project_name);
        cells.assign(&mut told.key_id, self.key_id);
        told.batch = self.batch(cells)?;
        told.service_tier = cells.text(self.service_tier).map(str::to_lowercase);
        Ok(Reading::Usage)
    }

    fn count(&self, cells: RawCells<'_>, column: Option<usize>) -> Result<Option<u64>, RowFault> {
        count(cells, column, self.mark)
    }

    /// `True` and `False`, also as a spreadsheet writes them.
    fn batch(&self, cells: RawCells<'_>) -> Result<Option<bool>, RowFault> {
        let Some(cell) = cells.text(self.batch) else { return Ok(None) };
        match cell.to_ascii_lowercase().as_str() {
            "true" | "1" | "1.0" => Ok(Some(true)),
            "false" | "0" | "0.0" => Ok(Some(false)),
            _ => {
                let why = format!("{:?} is neither True nor False", excerpt(cell));
                Err(RowFault::of(cells.name(self.batch), why))
            }
        }
    }
}

fn count(
    cells: RawCells<'_>,
    column: Option<usize>,
    mark: DecimalMark,
) -> Result<Option<u64>, RowFault> {
    match cells.text(column) {
        None => Ok(None),
        Some(cell) => numbers::count(cell, mark)
            .map(Some)
            .map_err(|why| RowFault::of(cells.name(column), why)),
    }
}

impl TokenColumns {
    fn new(header: &Header) -> Self {
        let column = |name: &str| header.column(name);
        Self {
            input: column("input_tokens"),
            output: column("output_tokens"),
            cached: column("input_cached_tokens"),
            cache_write: column("input_cache_write_tokens"),
            uncached: column("input_uncached_tokens"),
            text: column("input_text_tokens"),
            output_text: column("output_text_tokens"),
            cached_text: column("input_cached_text_tokens"),
            audio: column("input_audio_tokens"),
            cached_audio: column("input_cached_audio_tokens"),
            output_audio: column("output_audio_tokens"),
            image: column("input_image_tokens"),
            cached_image: column("input_cached_image_tokens"),
            output_image: column("output_image_tokens"),
        }
    }

    fn read(
        &self,
        row: u64,
        cells: RawCells<'_>,
        mark: DecimalMark,
        noticed: &mut Noticed,
    ) -> Result<Quantities, RowFault> {
        let mut quantities = Quantities::new();
        let get = |column| count(cells, column, mark);
        if let Some(input) = get(self.input)? {
            let input = Input {
                total: input,
                cached: get(self.cached)?.unwrap_or(0),
                written: get(self.cache_write)?.unwrap_or(0),
                uncached: get(self.uncached)?,
                text: get(self.text)?,
                cached_text: get(self.cached_text)?,
                audio: get(self.audio)?.unwrap_or(0),
                cached_audio: get(self.cached_audio)?.unwrap_or(0),
                image: get(self.image)?.unwrap_or(0),
                cached_image: get(self.cached_image)?.unwrap_or(0),
            };
            let splits = input.split(&mut quantities).ok_or_else(|| {
                RowFault::of(
                    cells.name(self.input),
                    "the cached and written tokens are more than all input tokens",
                )
            })?;
            splits.note(row, noticed);
        }
        if let Some(output) = get(self.output)? {
            let audio = get(self.output_audio)?.unwrap_or(0);
            let image = get(self.output_image)?.unwrap_or(0);
            let text = get(self.output_text)?;
            split_output(output, text, audio, image, &mut quantities).note(row, noticed);
        }
        Ok(quantities)
    }
}

/// Input tokens of a row as printed.
struct Input {
    total: u64,
    cached: u64,
    written: u64,
    uncached: Option<u64>,
    text: Option<u64>,
    cached_text: Option<u64>,
    audio: u64,
    cached_audio: u64,
    image: u64,
    cached_image: u64,
}

/// Whether the parts of a row added up.
enum Split {
    Exact,
    PartsDiffer,
    ModalitiesDiffer,
}

impl Split {
    fn note(self, row: u64, noticed: &mut Noticed) {
        match self {
            Self::Exact => {}
            Self::PartsDiffer => noticed.once(
                "cached, written and uncached input do not add up to the input tokens: the parts \
                 were taken",
                row,
            ),
            Self::ModalitiesDiffer => noticed.once(
                "text, audio and image tokens do not add up to their total: all were taken as text",
                row,
            ),
        }
    }
}

/// Input tokens by modality: not cached, and read from a cache.
#[derive(Clone, Copy)]
struct Modalities {
    text: u64,
    audio: u64,
    image: u64,
    read_text: u64,
    read_audio: u64,
    read_image: u64,
}

impl Input {
    /// Splits the total into disjoint meters; `None` if a part exceeds the whole.
    ///
    /// `total = cached + written + uncached` in the provider's own words. Modalities are taken
    /// apart only where the row's own numbers show how they stand to that total.
    fn split(&self, quantities: &mut Quantities) -> Option<Split> {
        let rest = self.total.checked_sub(self.cached)?.checked_sub(self.written)?;
        let uncached = self.uncached.unwrap_or(rest);
        let mut split = if uncached == rest { Split::Exact } else { Split::PartsDiffer };
        let all_text = Modalities {
            text: uncached,
            audio: 0,
            image: 0,
            read_text: self.cached,
            read_audio: 0,
            read_image: 0,
        };
        let mut parts = all_text;
        if self.audio + self.image + self.cached_audio + self.cached_image > 0 {
            match self.modalities(uncached) {
                Some(found) => parts = found,
                None => split = Split::ModalitiesDiffer,
            }
        }
        quantities.add(Meter::Input, parts.text);
        quantities.add(Meter::InputCacheRead, parts.read_text);
        for (meter, atoms) in [
            (Meter::InputCacheWrite, self.written),
            (Meter::InputAudio, parts.audio),
            (Meter::InputImage, parts.image),
            (Meter::InputCacheReadAudio, parts.read_audio),
            (Meter::InputCacheReadImage, parts.read_image),
        ] {
            if atoms > 0 {
                quantities.add(meter, atoms);
            }
        }
        Some(split)
    }

    /// The modalities, where text, audio and image tokens add up to the total (cached tokens inside
    /// each), to the uncached rest (outside), or where text alone is the total (the others beside).
    fn modalities(&self, uncached: u64) -> Option<Modalities> {
        let text = self.text?;
        let all = text + self.audio + self.image;
        let cached_other = self.cached_audio + self.cached_image;
        let (read_audio, read_image) = (self.cached_audio, self.cached_image);
        let audio_inside = self.audio.checked_sub(read_audio);
        let image_inside = self.image.checked_sub(read_image);
        if all == self.total {
            let (audio, image) = (audio_inside?, image_inside?);
            let read_text = self.cached.checked_sub(cached_other)?;
            let text = uncached.checked_sub(audio)?.checked_sub(image)?;
            let told = self.cached_text.is_none_or(|told| told == read_text);
            return told.then_some(Modalities {
                text,
                audio,
                image,
                read_text,
                read_audio,
                read_image,
            });
        }
        if all == uncached + self.written {
            let (audio, image) = (self.audio, self.image);
            let read_text = self.cached.checked_sub(cached_other)?;
            let text = uncached.checked_sub(audio)?.checked_sub(image)?;
            return Some(Modalities { text, audio, image, read_text, read_audio, read_image });
        }
        if text == self.total {
            let (audio, image) = (audio_inside?, image_inside?);
            let (text, read_text) = (uncached, self.cached);
            return Some(Modalities { text, audio, image, read_text, read_audio, read_image });
        }
        None
    }
}

/// Splits the output, reasoning included, where text, audio and image tokens add up to the total
/// or text alone is the total.
fn split_output(
    total: u64,
    text: Option<u64>,
    audio: u64,
    image: u64,
    quantities: &mut Quantities,
) -> Split {
    let other = audio + image;
    let text = match text {
        _ if other == 0 => Some(total),
        Some(text) if text + other == total || text == total => Some(text),
        Some(_) | None => None,
    };
    quantities.add(Meter::Output, text.unwrap_or(total));
    if text.is_none() {
        return Split::ModalitiesDiffer;
    }
    for (meter, atoms) in [(Meter::OutputAudio, audio), (Meter::OutputImage, image)] {
        if atoms > 0 {
            quantities.add(meter, atoms);
        }
    }
    Split::Exact
}
