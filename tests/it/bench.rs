//! What deploy/bench.sh makes of its figures: medians, ratios, verdicts, a table, a chart. The measuring itself is run by
//! deploy/test.sh.

use serde_json::{Value, json};

#[path = "../../deploy/bench/chart.rs"]
mod chart;
#[path = "../../deploy/bench/report.rs"]
mod report;

use report::{Goal, Judge, Row, median, object, page};

fn row(name: &'static str, runs: &[f64], beside: Option<&[f64]>, goal: Option<Goal>) -> Row {
    Row {
        name,
        what: format!("what {name} is"),
        unit: "events/s",
        runs: runs.to_vec(),
        beside: beside.map(|runs| ("a yardstick".to_owned(), runs.to_vec())),
        goal,
        more: Value::Null,
    }
}

#[test]
fn the_one_in_the_middle_counts() {
    for (values, expected) in [
        (vec![], 0.0),
        (vec![3.0], 3.0),
        (vec![9.0, 1.0, 5.0], 5.0),
        (vec![4.0, 1.0, 2.0, 100.0], 3.0),
    ] {
        assert!((median(&values) - expected).abs() < 1e-9, "{values:?}");
    }
}

#[test]
fn a_goal_is_of_the_ratio_or_without_a_yardstick_of_the_figure() {
    let beside = Some(&[100.0, 90.0, 1.0][..]);
    for (runs, beside, goal, met) in [
        (60.0, beside, Some(Goal::AtLeast(0.65)), Some(true)),
        (58.0, beside, Some(Goal::AtLeast(0.65)), Some(false)),
        (58.0, beside, Some(Goal::AtMost(0.65)), Some(true)),
        (99.0, None, Some(Goal::AtMost(100.0)), Some(true)),
        (101.0, None, Some(Goal::AtMost(100.0)), Some(false)),
        (58.0, beside, None, None),
    ] {
        assert_eq!(row("a", &[runs], beside, goal).is_met(), met, "{runs} {goal:?}");
    }
}

#[test]
fn a_report_names_what_was_missed_unless_nothing_is_judged() {
    let rows = [
        row("good", &[10.0], Some(&[10.0]), Some(Goal::AtLeast(1.0))),
        row("bad", &[1.0, 2.0, 3.0], Some(&[10.0]), Some(Goal::AtLeast(1.0))),
        row("told", &[48_123.4], None, None),
    ];
    let report = object(&rows, Judge::Goals, &json!({"events": 3}));
    assert_eq!(report["goals_missed"], json!(["bad"]));
    assert_eq!(report["rows"][1]["figure"], 2.0);
    assert_eq!(report["rows"][1]["ratio"], 0.2);
    assert_eq!(report["rows"][1]["yardstick"]["what"], "a yardstick");
    assert_eq!(report["circumstances"]["events"], 3);
    let page = page(&report);
    for said in ["≥ 1.0 met", "≥ 1.0 MISSED", "48,123", "reported", "goals missed: bad"] {
        assert!(page.contains(said), "{said} is not in\n{page}");
    }
    let smoke = object(&rows, Judge::Nothing, &Value::Null);
    assert_eq!(smoke["goals_missed"], json!([]));
    assert_eq!(smoke["rows"][1]["met"], Value::Null);
}

#[test]
fn the_chart_is_drawn_from_the_report() {
    let rows = [
        row("created", &[40_000.0], Some(&[80_000.0]), None),
        row("naive", &[41_000.0], Some(&[5_000.0]), None),
        row("latency_p50", &[3.0], Some(&[2.0]), None),
    ];
    let svg = chart::svg(&object(&rows, Judge::Goals, &Value::Null)).expect("a chart");
    // The limit, the worker, the loop; latency is no rate.
    assert_eq!(svg.matches("<rect").count(), 3);
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    for said in ["80,000", "40,000", "5,000", "prefers-color-scheme: dark"] {
        assert!(svg.contains(said), "{said} is not in\n{svg}");
    }
    // The longest bar has all the room, the others their share of it.
    let widths: Vec<f64> = svg
        .split("width=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next()?.parse().ok())
        .collect();
    assert_eq!(widths, [380.0, 190.0, 23.8]);
    assert_eq!(chart::svg(&object(&[], Judge::Goals, &Value::Null)), None);
}
