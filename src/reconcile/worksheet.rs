//! The worksheet: cells with both sides' figures, and the effects booked between them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use crate::meter::Meter;
use crate::money::{Amount, Currency};
use crate::period::Timestamp;
use crate::reconcile::exact::{Inexact, add};
use crate::reconcile::finding::{Cause, Confidence, Mover};
use crate::reconcile::grain::{Grain, Sku};
use crate::reconcile::owners::Owner;
use crate::reconcile::quick_hash::QuickMap;
use crate::reconcile::rates::{RateBook, RateIndex};
use crate::reconcile::slots::Slots;

/// Index of a cell.
pub(crate) type CellIndex = usize;

/// The finest key the bill's lines allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CellKey {
    /// Index into [`Worksheet::owners`].
    pub owner: u32,
    /// Index into [`Worksheet::models`].
    pub model: u32,
    /// Charge period.
    pub slot: u32,
    /// Index into [`Worksheet::skus`].
    pub sku: u32,
    /// The meter, where the bill names meters.
    pub meter: Option<Meter>,
}

/// Cells whose traffic can be compared as one: an owner's use of a model.
pub(crate) type Group = (u32, u32);

/// One metered quantity of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stub {
    /// Index into the attempts.
    pub attempt: u32,
    /// The cell it was matched to.
    pub cell: CellIndex,
    /// The price it was charged at; `None` is unpriced.
    pub rate: Option<RateIndex>,
    /// In atoms.
    pub quantity: u64,
    /// As charged; zero where unpriced.
    pub amount: Amount,
    /// Whether the stored charge was rounded.
    pub rounded: bool,
}

/// What the bill shows in a cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Billed {
    /// Indexes into the lines.
    pub lines: Vec<u32>,
    /// Sum of the printed amounts, in the bill's currency.
    pub amount: Decimal,
    /// The same at list price, where every line prints it.
    pub list: Option<Decimal>,
    /// The smallest and largest true amount the printed digits allow (of `list` where it is known).
    pub interval: (Decimal, Decimal),
    /// Sum of the quantities, where every line (or the usage export) gives one.
    pub quantity: Option<u64>,
    /// Whether the lines are in another currency than the books.
    pub other_currency: bool,
}

/// Both sides of one key, and how far our side has been brought towards the bill's.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Which.
    pub key: CellKey,
    /// What our pages show, before any step.
    pub shown: Decimal,
    /// Our cost after the steps so far.
    pub cost: Decimal,
    /// Our quantity after the steps so far.
    pub quantity: i128,
    /// What of it no price was known for.
    pub unpriced: u64,
    /// The price of our latest charge, else the table's for the slot.
    pub rate: Option<RateIndex>,
    /// When that charge was made.
    pub rate_as_of: Timestamp,
    /// Stored charges that were rounded at 10⁻¹².
    pub rounded_charges: u64,
    /// The stubs matched here.
    pub stubs: Vec<u32>,
    /// The bill.
    pub billed: Billed,
}

/// Money moved in one cell for one finding.
#[derive(Clone, Debug)]
pub(crate) struct Effect {
    /// Index into [`Worksheet::notes`].
    pub note: usize,
    /// The cell.
    pub cell: CellIndex,
    /// Change of quantity.
    pub quantity: i128,
    /// Change of cost.
    pub amount: Decimal,
}

/// What a finding says besides its money.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// Why.
    pub cause: Cause,
    /// What about.
    pub subject: String,
    /// How sure.
    pub confidence: Confidence,
    /// Whose move, where it is not the cause's usual one.
    pub mover: Option<Mover>,
    /// What shows it.
    pub evidence: BTreeSet<String>,
    /// What would fit as well.
    pub alternatives: BTreeSet<String>,
    /// The attempts behind it; `None`: all that are in its cells.
    pub attempts: Option<BTreeSet<u32>>,
    /// Which attempts, in words.
    pub which: String,
    /// Whether its amount must equal the stored charges of its attempts, with this sign (R4).
    pub charges_sign: Option<i8>,
}

/// A non-usage line booked at face value.
#[derive(Clone, Debug)]
pub(crate) struct FaceLine {
    /// Index into [`Worksheet::notes`].
    pub note: usize,
    /// Index into the lines.
    pub line: u32,
    /// Its amount in the books' currency before conversion differences, as booked.
    pub amount: Decimal,
}

/// Everything the causes work on.
#[derive(Debug)]
pub(crate) struct Worksheet {
    /// The books' currency, in which every effect is booked.
    pub currency: Currency,
    /// The bill's grain.
    pub grain: Grain,
    /// The bill's periods.
    pub slots: Slots,
    /// The price book.
    pub rates: RateBook,
    /// Owners, by index.
    pub owners: Vec<Owner>,
    /// Their names, by the same index.
    pub owner_words: Vec<String>,
    /// Models, by index; the empty name is "no model".
    pub models: Vec<String>,
    /// Selectors, by index.
    pub skus: Vec<Sku>,
    /// Cells.
    pub cells: Vec<Cell>,
    /// Stubs of all attempts in scope.
    pub stubs: Vec<Stub>,
    /// Findings under way.
    pub notes: Vec<Note>,
    /// What they moved.
    pub effects: Vec<Effect>,
    /// Lines that are no usage.
    pub face_lines: Vec<FaceLine>,
    by_key: QuickMap<CellKey, CellIndex>,
    by_note: BTreeMap<(Cause, Confidence, String), usize>,
}

impl Worksheet {
    /// An empty worksheet.
    pub(crate) fn new(currency: Currency, grain: Grain, slots: Slots, rates: RateBook) -> Self {
        Self {
            currency,
            grain,
            slots,
            rates,
            owners: Vec::new(),
            owner_words: Vec::new(),
            models: Vec::new(),
            skus: Vec::new(),
            cells: Vec::new(),
            stubs: Vec::new(),
            notes: Vec::new(),
            effects: Vec::new(),
            face_lines: Vec::new(),
            by_key: QuickMap::default(),
            by_note: BTreeMap::new(),
        }
    }

    /// The cell of a key, made if it is new.
    pub(crate) fn cell_at(&mut self, key: &CellKey) -> CellIndex {
        if let Some(index) = self.by_key.get(key) {
            return *index;
        }
        let index = self.cells.len();
        self.by_key.insert(key.clone(), index);
        self.cells.push(Cell {
            key: key.clone(),
            shown: Decimal::ZERO,
            cost: Decimal::ZERO,
            quantity: 0,
            unpriced: 0,
            rate: None,
            rate_as_of: Timestamp::from_micros(i64::MIN),
            rounded_charges: 0,
            stubs: Vec::new(),
            billed: Billed::default(),
        });
        index
    }

    /// The cell of a key, if there is one.
    pub(crate) fn find(&self, key: &CellKey) -> Option<CellIndex> {
        self.by_key.get(key).copied()
    }

    /// The model's name.
    pub(crate) fn model(&self, index: u32) -> &str {
        self.models.get(index as usize).map_or("", String::as_str)
    }

    /// The selectors.
    pub(crate) fn sku(&self, index: u32) -> Sku {
        self.skus.get(index as usize).cloned().unwrap_or_default()
    }

    /// The owner.
    pub(crate) fn owner(&self, index: u32) -> &Owner {
        self.owners.get(index as usize).unwrap_or(&Owner::Shared)
    }

    /// Model and owner as a subject of a finding.
    pub(crate) fn group_words(&self, (owner, model): Group) -> String {
        let owner = self.owner_words.get(owner as usize).map_or("", String::as_str);
        match (self.model(model), owner) {
            ("", "") => "all traffic".to_owned(),
            (model, "") => model.to_owned(),
            ("", owner) => owner.to_owned(),
            (model, owner) => format!("{model} on {owner}"),
        }
    }

    /// Every group's cells, groups and cells in a fixed order.
    pub(crate) fn groups(&self) -> BTreeMap<Group, Vec<CellIndex>> {
        let mut groups: BTreeMap<Group, Vec<CellIndex>> = BTreeMap::new();
        for (index, cell) in self.cells.iter().enumerate() {
            groups.entry((cell.key.owner, cell.key.model)).or_default().push(index);
        }
        for cells in groups.values_mut() {
            cells.sort_by(|a, b| self.cells[*a].key.cmp(&self.cells[*b].key));
        }
        groups
    }

    /// The same by charge period.
    pub(crate) fn by_slot(&self, cells: &[CellIndex]) -> BTreeMap<u32, Vec<CellIndex>> {
        let mut slots: BTreeMap<u32, Vec<CellIndex>> = BTreeMap::new();
        for index in cells {
            slots.entry(self.cells[*index].key.slot).or_default().push(*index);
        }
        slots
    }

    /// Units the bill shows more than we hold; `None` where it shows none.
    pub(crate) fn gap(&self, cell: CellIndex) -> Option<i128> {
        let cell = &self.cells[cell];
        cell.billed.quantity.map(|billed| i128::from(billed) - cell.quantity)
    }

    /// The price of a cell: that of our latest charge in it, else the table's for its period.
    pub(crate) fn price(&self, cell: CellIndex) -> Option<Decimal> {
        let rate = self.rate_of(cell)?;
        self.rates.get(rate)?.unit_price
    }

    /// The rate behind [`Self::price`].
    pub(crate) fn rate_of(&self, cell: CellIndex) -> Option<RateIndex> {
        let cell = &self.cells[cell];
        cell.rate.or_else(|| self.table_rate(&cell.key))
    }

    /// The table's price for a key: at the last instant of its period.
    pub(crate) fn table_rate(&self, key: &CellKey) -> Option<RateIndex> {
        let at = self.slots.span(key.slot).end.plus_micros(-1);
        let (model, sku) = (self.model(key.model), self.sku(key.sku));
        self.rates.at(model, key.meter?, &sku, at)
    }

    /// Opens a finding, or returns the one already open for the same cause, subject and confidence.
    pub(crate) fn note(&mut self, cause: Cause, subject: &str, confidence: Confidence) -> usize {
        let key = (cause, confidence, subject.to_owned());
        if let Some(index) = self.by_note.get(&key) {
            return *index;
        }
        self.by_note.insert(key, self.notes.len());
        self.notes.push(Note {
            cause,
            subject: subject.to_owned(),
            confidence,
            mover: None,
            evidence: BTreeSet::new(),
            alternatives: BTreeSet::new(),
            attempts: None,
            which: String::new(),
            charges_sign: None,
        });
        self.notes.len() - 1
    }

    /// Takes a proven note for one that fits, unless there is one already of the same words.
    pub(crate) fn doubt(&mut self, note: usize) {
        let Note { cause, confidence, subject, .. } = &self.notes[note];
        let (cause, was, subject) = (*cause, *confidence, subject.clone());
        let doubted = (cause, Confidence::Consistent, subject.clone());
        if let Entry::Vacant(free) = self.by_note.entry(doubted) {
            free.insert(note);
            self.by_note.remove(&(cause, was, subject));
            self.notes[note].confidence = Confidence::Consistent;
        }
    }

    /// Books a change in one cell and brings our side there.
    ///
    /// # Errors
    /// [`Inexact`] where a figure cannot be kept exactly.
    pub(crate) fn book(
        &mut self,
        note: usize,
        cell: CellIndex,
        quantity: i128,
        amount: Decimal,
    ) -> Result<(), Inexact> {
        let target = &mut self.cells[cell];
        target.cost = add(target.cost, amount)?;
        target.quantity += quantity;
        self.effects.push(Effect { note, cell, quantity, amount });
        Ok(())
    }
}

impl Note {
    /// Says what shows it.
    pub(crate) fn evidence(&mut self, sentence: impl Into<String>) -> &mut Self {
        self.evidence.insert(sentence.into());
        self
    }

    /// Says what would fit as well.
    pub(crate) fn alternative(&mut self, words: impl Into<String>) -> &mut Self {
        self.alternatives.insert(words.into());
        self
    }

    /// Says which attempts are behind it, and in words.
    pub(crate) fn about(
        &mut self,
        attempts: impl IntoIterator<Item = u32>,
        which: &str,
    ) -> &mut Self {
        self.attempts.get_or_insert_with(BTreeSet::new).extend(attempts);
        which.clone_into(&mut self.which);
        self
    }
}

impl Billed {
    /// Whether a true amount of this size could have been printed as it was.
    pub(crate) fn admits(&self, amount: Decimal) -> bool {
        self.interval.0 <= amount && amount <= self.interval.1
    }

    /// The amount at list price where it is printed, else the billed amount.
    pub(crate) fn at_list(&self) -> Decimal {
        self.list.unwrap_or(self.amount)
    }
}
