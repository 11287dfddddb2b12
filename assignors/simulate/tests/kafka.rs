//! Every golden case of `testdata/kafka-4.2.0`, written as `--input` takes it, gives what Apache Kafka 4.2.0's own classes gave.

use std::collections::BTreeMap;

use callboard_assignor::Assignor;
use callboard_assignor_range::RangeAssignor;
use callboard_assignor_round_robin::RoundRobinAssignor;
use callboard_assignor_simulate::{Case, Outcome};
use callboard_assignor_sticky::{CooperativeStickyAssignor, StickyAssignor};
use serde_json::{Value, json};

const KNOWN: [&dyn Assignor; 4] = [
    &RangeAssignor,
    &RoundRobinAssignor,
    &StickyAssignor,
    &CooperativeStickyAssignor,
];

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a golden line"))
}

/// The keys of a golden round that are its input are those of a case.
fn run(assignor: &Value, round: &Value) -> Outcome {
    let input = json!({
        "assignor": assignor,
        "topics": round["topics"],
        "members": round["members"],
    });
    let case = Case::parse(&input.to_string()).expect("a case");
    let known = KNOWN.iter().find(|one| Some(one.name()) == case.assignor());
    case.run(*known.expect("an assignor")).expect("an outcome")
}

fn compare(id: &str, outcome: &Outcome, answer: &Value) {
    if !answer["java_fault"].is_null() {
        // What may be sent has been checked, and no more is to be.
        return;
    }
    let plan = match &answer["expect_ascending"] {
        Value::Null => &answer["expect"],
        ascending => ascending,
    };
    assert_eq!(json!(outcome.assignment), *plan, "{id}");
    for (what, count) in [("moved", outcome.moved), ("withheld", outcome.withheld)] {
        if let [least, most] = answer[format!("{what}_range")]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
        {
            let range = least.as_u64()..=most.as_u64();
            assert!(range.contains(&Some(count as u64)), "{id}: {count} {what}");
        } else {
            let expected = answer[what].as_u64().unwrap_or(0);
            assert_eq!(count as u64, expected, "{id}: {what}");
        }
    }
}

#[test]
fn cases_of_kafka_give_what_kafka_gives() {
    let (mut cases, mut second) = (0, 0);
    for mut case in lines(include_str!(
        "../../../testdata/kafka-4.2.0/assignors.jsonl"
    )) {
        let id = case["id"].as_str().unwrap().to_owned();
        let outcome = run(&case["assignor"], &case);
        compare(&id, &outcome, &case);
        cases += 1;
        let answer = case["round2"].take();
        if !answer.is_null() {
            second += 1;
            let given = case["expect"].take();
            for member in case["members"].as_array_mut().unwrap() {
                member["owned"] = given[member["id"].as_str().unwrap()].clone();
                member["generation"] = answer["generation"].clone();
            }
            let outcome = run(&case["assignor"], &case);
            compare(&format!("{id}, second round"), &outcome, &answer);
        }
    }
    assert_eq!((cases, second), (591, 54));
}

#[test]
fn stories_of_kafka_give_what_kafka_gives() {
    let mut rounds = BTreeMap::new();
    for story in lines(include_str!(
        "../../../testdata/kafka-4.2.0/sequences.jsonl"
    )) {
        let id = story["id"].as_str().unwrap();
        for (number, round) in story["rounds"].as_array().unwrap().iter().enumerate() {
            let outcome = run(&story["assignor"], round);
            compare(&format!("{id}, round {number}"), &outcome, round);
            *rounds.entry(story["assignor"].to_string()).or_insert(0) += 1;
        }
    }
    let rounds: Vec<usize> = rounds.into_values().collect();
    assert_eq!(rounds, [164, 110]);
}
