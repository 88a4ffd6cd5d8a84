//! Critical paths of drawn timelines, and of any.

use std::collections::BTreeMap;

use super::*;

/// Each line is a span: its letter, its parent's (`.` none, `!` one that is missing), and a column for each nanosecond:
/// `#` where the path is in the span itself, `-` where it is not; `?` throughout where that is not known.
#[track_caller]
fn check_drawn(lines: &[&'static str]) {
    let number = |letter: char| match letter {
        '.' => 0,
        '!' => 7,
        letter => u64::from(u32::from(letter)),
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut expected = Vec::new();
    for line in lines {
        let mut letters = line.chars();
        let (name, parent) = (letters.next().unwrap(), letters.nth(1).unwrap());
        let bar = line[4..].trim();
        let start = line[4..].find(bar).unwrap();
        rows.push((number(name), number(parent), "a", "internal", start as i64, bar.len() as i64));
        expected.push((!bar.contains('?')).then(|| bar.matches('#').count() as i64));
    }
    for turn in 0..rows.len() {
        assert_eq!(critical_of_rows(&rows), expected, "turned by {turn}");
        rows.rotate_left(1);
        expected.rotate_left(1);
    }
}

/// As rows of `spans` have it.
fn critical_of_rows(rows: &[Row]) -> Vec<Option<i64>> {
    critical_of(rows, None)
}

fn critical_of(rows: &[Row], late: Option<Option<RootNames>>) -> Vec<Option<i64>> {
    use arrow::array::AsArray;
    let trace = TraceSpans {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        spans: spans(0..rows.len()),
        verdict: Verdict::pending(),
        late,
    };
    let columns = derive(batch(rows), vec![trace]).unwrap().spans.record_batch().unwrap();
    let column = columns.column_by_name("critical_ns").unwrap();
    column.as_primitive::<arrow::datatypes::Int64Type>().iter().collect()
}

#[test]
fn the_path_is_in_one_child_after_the_other_and_else_in_the_parent() {
    check_drawn(&["a .  ##----####-----#", "b a    ####          ", "c a            ##--# ", "d c              ##  "]);
}

#[test]
fn a_sibling_that_ends_when_the_next_begins_is_on_the_path() {
    check_drawn(&["a .  #--------#", "b a   ####     ", "c a       #### "]);
}

#[test]
fn of_children_at_the_same_time_the_last_ending_has_the_path_up_to_its_start() {
    check_drawn(&[
        "a .  #----------------#",
        "b a   ########---      ",
        "c a           ######## ",
        "d a             ----   ",
    ]);
    // Equal ends: the longer one.
    check_drawn(&["a .  #-----#", "b a    ---- ", "c a   ##### "]);
}

#[test]
fn a_cut_child_cuts_its_own() {
    check_drawn(&[
        "a .  #---------------#",
        "b a   #---------      ",
        "d b    ##------       ",
        "e d      #####        ",
        "c a           ####### ",
    ]);
}

#[test]
fn children_that_outlive_their_parent_are_cut_at_its_end() {
    check_drawn(&["a .  ###-----        ", "b a     ##--#-----   ", "c b       ##         "]);
    // A message that is read after its sender is done.
    check_drawn(&["a .  ##-##           ", "b a    #             ", "c b           ------ "]);
}

#[test]
fn spans_that_clocks_put_before_their_parent_are_cut_at_its_start() {
    check_drawn(&[
        "a .      ---######    ",
        "b a   -----#          ",
        "c b    --##           ",
        "d a   --              ",
        "e a               ----",
    ]);
}

#[test]
fn each_root_has_a_path() {
    check_drawn(&["a .  #---#      ", "b a   ###       ", "c .    ####--###", "d c        ##   "]);
}

#[test]
fn below_a_missing_parent_nothing_is_known_where_a_root_is() {
    check_drawn(&["a .  ########   ", "b !   ?????     ", "c b    ??       "]);
}

#[test]
fn without_a_root_each_span_whose_parent_is_missing_has_a_path() {
    check_drawn(&["a !  ##---###   ", "b a    ###      ", "c !   ####      "]);
}

#[test]
fn cycles_have_no_path() {
    check_drawn(&["a .  ########   ", "b c   ????      ", "c b    ??       ", "d c    ??       "]);
}

#[test]
fn late_spans_are_as_if_their_parent_were_missing() {
    let rows = [(3, 2, "a", "internal", 10, 5), (4, 3, "a", "internal", 11, 2)];
    let root = RootNames { service: Arc::from("front"), name: Arc::from("GET /") };
    assert_eq!(critical_of(&rows, Some(Some(root))), [None, None]);
    assert_eq!(critical_of(&rows, Some(None)), [Some(3), Some(2)]);
}

#[test]
fn times_at_the_end_of_what_counts_end() {
    let far = i64::MAX - 1_000_010;
    let rows =
        [(1, 0, "a", "internal", far, i64::MAX), (2, 1, "a", "internal", i64::MIN, i64::MAX), (3, 1, "a", "x", far, 9)];
    for (span, row) in shape(&rows).spans.iter().zip(&rows) {
        assert!((0..=row.5).contains(&span.critical_ns.unwrap()));
    }
}

#[test]
fn a_chain_and_a_fan_of_100_000_spans_end() {
    let chain: Vec<Row> = (1..=100_000).map(|span| (span, span - 1, "a", "internal", 0, 1)).collect();
    let fan: Vec<Row> = (1..=100_000).map(|span| (span, u64::from(span > 1), "a", "internal", 0, 1)).collect();
    for rows in [chain, fan] {
        let total: i64 = shape(&rows).spans.iter().filter_map(|span| span.critical_ns).sum();
        assert_eq!(total, 1);
    }
}

/// Spans with the numbers from 1 on, whose parents may be missing or their own children.
fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    // Few moments, so that spans often begin and end together.
    let span = (0u64..8, 0i64..12, 0i64..10);
    proptest::collection::vec(span, 1..25).prop_map(|spans| {
        let row = |(index, (parent, start, duration))| (index as u64 + 1, parent, "a", "internal", start, duration);
        spans.into_iter().enumerate().map(row).collect()
    })
}

/// The path said plainly: at each nanosecond, from each top down to the child that runs then and ends last.
fn by_moment(rows: &[Row], tops: impl Iterator<Item = usize>) -> Vec<i64> {
    let mut nanos = vec![0; rows.len()];
    for top in tops {
        for moment in rows[top].4..rows[top].4 + rows[top].5 {
            let mut at = top;
            let running = |row: &Row| row.4 <= moment && moment < row.4 + row.5;
            let below = |at: usize| (0..rows.len()).filter(move |&child| child != at && rows[child].1 == rows[at].0);
            let last = |at: usize| {
                below(at)
                    .filter(|&child| running(&rows[child]))
                    .max_by_key(|&child| (rows[child].4 + rows[child].5, -rows[child].4, -(rows[child].0 as i64)))
            };
            while let Some(child) = last(at) {
                at = child;
            }
            nanos[at] += 1;
        }
    }
    nanos
}

proptest! {
    #[test]
    fn critical_times_are_parts_of_self_times_and_add_up_to_the_durations_at_the_top(rows in any_rows()) {
        let shape = shape(&rows);
        let mut durations = 0;
        let mut total = 0;
        for (span, row) in shape.spans.iter().zip(&rows) {
            let critical = span.critical_ns.unwrap_or(0);
            prop_assert!(0 <= critical && critical <= span.self_ns && span.self_ns <= row.5);
            prop_assert_eq!(span.critical_ns.is_some(), span.path.is_some());
            total += critical;
            durations += if span.parent.is_none() { row.5 } else { 0 };
        }
        prop_assert_eq!(total, durations);
    }

    #[test]
    fn rows_of_a_trace_add_up_to_its_roots(rows in any_rows()) {
        let roots: Vec<&Row> = rows.iter().filter(|row| row.1 == 0).collect();
        prop_assume!(!roots.is_empty());
        let total: i64 = critical_of_rows(&rows).into_iter().flatten().sum();
        prop_assert_eq!(total, roots.iter().map(|row| row.5).sum::<i64>());
    }

    #[test]
    fn the_path_is_where_looking_at_each_moment_finds_it(rows in any_rows()) {
        let shape = shape(&rows);
        let tops = (0..rows.len()).filter(|&row| shape.spans[row].parent.is_none());
        let expected = by_moment(&rows, tops);
        let actual: Vec<i64> = shape.spans.iter().map(|span| span.critical_ns.unwrap_or(0)).collect();
        prop_assert_eq!(actual, expected);
    }

    #[test]
    fn the_order_of_spans_does_not_matter(
        (rows, turned) in any_rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let of = |rows: &[Row]| -> BTreeMap<u64, _> {
            let shape = shape(rows);
            let values = shape.spans.iter().map(|span| (span.critical_ns, span.self_ns, span.path, span.depth));
            rows.iter().map(|row| row.0).zip(values).collect()
        };
        prop_assert_eq!(of(&rows), of(&turned));
    }
}
