//! The price files and the rating, held to published figures.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should fail loudly")]

use counterfoil::pricing::table::PriceTable;

#[test]
fn the_built_in_files_load() {
    let table = PriceTable::builtin().unwrap();
    let again = PriceTable::from_canonical(&table.canonical()).unwrap();
    assert_eq!(again.version(), table.version());
    assert_eq!(again.canonical(), table.canonical());
}
