//! Geometry of the charts, in whole pixels: stacked bars over time and the waterfall of a bridge.

/// What is drawn: one bar a bucket, one segment a series.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bars {
    /// Text under each bar.
    pub labels: Vec<String>,
    /// Name and value per bucket of each series; values are not negative.
    pub series: Vec<(String, Vec<i128>)>,
}

/// A chart ready for its template.
#[derive(Clone, Debug)]
pub(crate) struct StackedBars {
    /// Width of the drawing.
    pub width: i64,
    /// Height of the drawing.
    pub height: i64,
    /// Left end of the grid lines.
    pub left: i64,
    /// Right end of the grid lines.
    pub right: i64,
    /// Grid lines with their labels.
    pub ticks: Vec<Tick>,
    /// The bars.
    pub bars: Vec<Bar>,
}

/// A grid line.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    /// Its height in the drawing.
    pub y: i64,
    /// Where its text stands.
    pub text_y: i64,
    /// Its text.
    pub label: String,
}

/// One bucket.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// Middle of the bar.
    pub middle: i64,
    /// Text under it, empty where there is no room.
    pub label: String,
    /// From the floor up.
    pub segments: Vec<Segment>,
}

/// One series within a bucket.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Which series, for color and pattern.
    pub series: usize,
    /// Left edge.
    pub x: i64,
    /// Upper edge.
    pub y: i64,
    /// Width.
    pub width: i64,
    /// Height, at least one pixel.
    pub height: i64,
    /// What a pointer over it says.
    pub title: String,
}

/// One row of a bridge as it is drawn: a bar between two running totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Left edge, of [`SPAN_WIDTH`].
    pub x: i64,
    /// Width, at least two.
    pub width: i64,
}

/// Width of a bridge's drawing in its own units.
pub(crate) const SPAN_WIDTH: i64 = 1_000;

const TOP: i64 = 12;
const BELOW: i64 = 26;
const LEFT: i64 = 64;

impl StackedBars {
    /// Lays the bars out; `print` says a value for ticks and titles.
    pub(crate) fn new(
        width: i64,
        height: i64,
        data: &Bars,
        print: impl Fn(i128) -> String,
    ) -> Self {
        let totals: Vec<i128> = (0..data.labels.len())
            .map(|bucket| data.series.iter().filter_map(|(_, values)| values.get(bucket)).sum())
            .collect();
        let (step, lines) = scale(totals.iter().copied().max().unwrap_or(0));
        let top = step.saturating_mul(i128::from(lines)).max(1);
        let floor = height - BELOW;
        let room = floor - TOP;
        let pixels = |value: i128| {
            i64::try_from(value.saturating_mul(i128::from(room)) / top).unwrap_or(room)
        };
        let ticks = (0..=lines).map(|line| {
            let value = step.saturating_mul(i128::from(line));
            let y = floor - pixels(value);
            Tick { y, text_y: y + 4, label: print(value) }
        });
        let slots = i64::try_from(data.labels.len()).unwrap_or(1).max(1);
        let right = width - 4;
        let every = label_every(&data.labels, right - LEFT);
        let bars = data.labels.iter().enumerate().map(|(bucket, label)| {
            let index = i64::try_from(bucket).unwrap_or(0);
            let (from, to) = (
                LEFT + (right - LEFT) * index / slots,
                LEFT + (right - LEFT) * (index + 1) / slots,
            );
            let gap = ((to - from) / 5).clamp(1, 8);
            let place = Place { x: from + gap / 2, width: (to - from - gap).max(1), floor };
            Bar {
                middle: i64::midpoint(from, to),
                label: if bucket.is_multiple_of(every) { label.clone() } else { String::new() },
                segments: segments(data, bucket, place, &pixels, &print),
            }
        });
        Self { width, height, left: LEFT, right, ticks: ticks.collect(), bars: bars.collect() }
    }
}

#[derive(Clone, Copy)]
struct Place {
    x: i64,
    width: i64,
    floor: i64,
}

fn segments(
    data: &Bars,
    bucket: usize,
    place: Place,
    pixels: &impl Fn(i128) -> i64,
    print: &impl Fn(i128) -> String,
) -> Vec<Segment> {
    let label = data.labels.get(bucket).map_or("", String::as_str);
    let mut below: i128 = 0;
    let mut drawn = Vec::new();
    for (series, (name, values)) in data.series.iter().enumerate() {
        let value = values.get(bucket).copied().unwrap_or(0).max(0);
        if value == 0 {
            continue;
        }
        let base = place.floor - pixels(below);
        below += value;
        let upper = place.floor - pixels(below);
        let height = (base - upper).max(1);
        drawn.push(Segment {
            series,
            x: place.x,
            y: base - height,
            width: place.width,
            height,
            title: format!("{label} · {name}: {}", print(value)),
        });
    }
    drawn
}

/// The bars of a bridge: each row's running totals before and after it. The axis runs from the
/// smallest to the largest of them, so that steps stay visible beside large totals.
pub(crate) fn waterfall(rows: &[(i128, i128)]) -> Vec<Span> {
    let ends = || rows.iter().flat_map(|(from, to)| [*from, *to]);
    let (low, high) = (ends().min().unwrap_or(0), ends().max().unwrap_or(0));
    let range = (high - low).max(1);
    let place = |value: i128| {
        let share = (value - low).saturating_mul(i128::from(SPAN_WIDTH)) / range;
        i64::try_from(share).unwrap_or(SPAN_WIDTH)
    };
    rows.iter()
        .map(|(from, to)| {
            let (left, right) = (place(*from.min(to)), place(*from.max(to)));
            let width = (right - left).max(2);
            Span { x: left.min(SPAN_WIDTH - width), width }
        })
        .collect()
}

/// A round step and how many of them reach the largest value: 1, 2 or 5 times a power of ten.
fn scale(largest: i128) -> (i128, i64) {
    let mut power: i128 = 1;
    loop {
        for factor in [1, 2, 5] {
            let step = power.saturating_mul(factor);
            if step.saturating_mul(4) >= largest {
                let lines = (largest + step - 1) / step;
                return (step, i64::try_from(lines).unwrap_or(4).max(1));
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Every how many bars a label fits, at some seven pixels a letter.
fn label_every(labels: &[String], room: i64) -> usize {
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(1);
    let letters = usize::try_from(room).unwrap_or(0) / 7;
    let fitting = (letters / (longest + 2)).max(1);
    labels.len().div_ceil(fitting).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_stack_without_gaps_up_to_the_total() {
        let data = Bars {
            labels: vec!["1".into(), "2".into()],
            series: vec![("a".into(), vec![30, 0]), ("b".into(), vec![70, 100])],
        };
        let chart = StackedBars::new(400, 200, &data, |value| value.to_string());
        let first = &chart.bars[0].segments;
        assert_eq!(first[0].y, first[1].y + first[1].height);
        assert_eq!(first[0].y + first[0].height, 200 - BELOW);
        assert_eq!(first[1].y, chart.bars[1].segments[0].y, "equal totals are equally high");
        assert_eq!(chart.bars[1].segments.len(), 1, "nothing is not drawn");
    }

    #[test]
    fn the_smallest_amount_is_still_visible() {
        let data = Bars {
            labels: vec!["1".into()],
            series: vec![("a".into(), vec![1_000_000]), ("b".into(), vec![1])],
        };
        let chart = StackedBars::new(400, 200, &data, |value| value.to_string());
        assert!(chart.bars[0].segments.iter().all(|segment| segment.height >= 1));
    }

    #[test]
    fn ticks_are_round_and_reach_the_largest_bar() {
        assert_eq!(scale(0), (1, 1));
        assert_eq!(scale(100), (50, 2));
        assert_eq!(scale(101), (50, 3));
        assert_eq!(scale(370), (100, 4));
    }

    #[test]
    fn a_bridge_runs_from_end_to_end_and_keeps_small_steps_visible() {
        let spans = waterfall(&[(1_000, 1_000), (1_000, 1_400), (1_400, 1_399), (1_399, 1_399)]);
        assert_eq!(spans[1], Span { x: 0, width: 1_000 });
        assert!(spans.iter().all(|span| span.width >= 2 && span.x + span.width <= SPAN_WIDTH));
    }
}
