//! Numbers of call paths.

use super::*;

fn paths(rows: &[Row]) -> Vec<Option<PathId>> {
    shape(rows).spans.iter().map(|span| span.path).collect()
}

#[test]
fn a_path_is_the_chain_of_services_names_and_kinds() {
    let rows = [
        (1, 0, "a", "server", 0, 9),
        (2, 1, "a", "client", 1, 1),
        (3, 1, "a", "client", 3, 5), // the same step again
        (4, 1, "b", "client", 1, 1),
        (5, 1, "a", "internal", 1, 1),
        (6, 2, "b", "server", 1, 1),
        (7, 3, "b", "server", 4, 1), // the same chain again
        (8, 1, "b", "server", 4, 1), // a shorter one
    ];
    let paths = paths(&rows);
    assert_eq!(paths[1], paths[2]);
    assert_eq!(paths[5], paths[6]);
    let mut different: Vec<_> = [0, 1, 3, 4, 5, 7].map(|at: usize| paths[at].unwrap()).to_vec();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 6);
}

#[test]
fn chains_without_their_beginning_are_no_chains_of_a_root() {
    let whole = paths(&[(1, 0, "a", "server", 0, 9), (2, 1, "b", "server", 1, 1)]);
    let cut = paths(&[(1, 77, "a", "server", 0, 9), (2, 1, "b", "server", 1, 1)]);
    let cut_again = paths(&[(5, 78, "a", "server", 3, 9), (6, 5, "b", "server", 3, 1)]);
    assert!(whole.iter().zip(&cut).all(|(whole, cut)| whole.is_some() && cut.is_some() && whole != cut));
    assert_eq!(cut, cut_again);
}

#[test]
fn spans_in_a_cycle_and_below_have_no_path() {
    let rows = [(1, 2, "a", "server", 0, 9), (2, 1, "a", "client", 1, 2), (3, 2, "a", "internal", 1, 1)];
    assert_eq!(paths(&rows), [None; 3]);
    // Its own parent is as good as none.
    assert!(paths(&[(3, 3, "a", "internal", 1, 1)])[0].is_some());
}

#[test]
fn batches_that_number_their_texts_differently_agree() {
    let rows = [(1, 0, "a", "server", 0, 9), (2, 1, "b", "client", 1, 1), (3, 2, "c", "server", 1, 1)];
    let one = paths(&rows);
    let mut batches = batch(&[rows[2], rows[0]]);
    batches.extend(batch(&[(9, 0, "x", "internal", 0, 1), rows[1]]));
    let mut spans = [(0, 1), (1, 1), (0, 0)].map(|(batch, row)| SpanRef { batch, row }).to_vec();
    let two: Vec<_> = Tree::over(&batches).shape_of(&mut spans).spans.iter().map(|span| span.path).collect();
    assert_eq!(one, two);
}

proptest! {
    #[test]
    fn paths_are_equal_where_chains_are(
        links in proptest::collection::vec((0u64..9, 0usize..3, 0usize..2), 1..16),
    ) {
        let rows: Vec<Row> = links
            .iter()
            .enumerate()
            // Parents come before their children here, so there are no cycles; 99 is not among them.
            .map(|(index, &(parent, service, kind))| {
                let parent = if parent as usize > index { 99 } else { parent };
                (index as u64 + 1, parent, ["a", "b", "c"][service], ["client", "server"][kind], 0, 1)
            })
            .collect();
        let mut chains: Vec<String> = Vec::new();
        for row in &rows {
            let above = match row.1 {
                0 => "root",
                99 => "missing",
                parent => &chains[parent as usize - 1],
            };
            chains.push(format!("{above} {} {}", row.2, row.3));
        }
        let paths = paths(&rows);
        for (path, chain) in paths.iter().zip(&chains) {
            for (other, other_chain) in paths.iter().zip(&chains) {
                prop_assert_eq!(path == other, chain == other_chain);
            }
        }
    }
}
