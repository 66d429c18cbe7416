//! What a call costs: published figures, our own promises, and two calculators of others.

mod cost_oracle;
mod rating;
