//! The sticky assignors on large groups: milliseconds of `assign`, and of what its leader does around it. Best of five.
#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::hint::black_box;
use std::time::Instant;

use callboard_assignor::{Assignor, Group, MemberInfo, Plan, RebalanceProtocol, TopicInfo};
use callboard_assignor_sticky::{CooperativeStickyAssignor, StickyAssignor};

const RUNS: u32 = 5;

fn main() {
    println!("| members x partitions | assignor | group | group | assign | around it |");
    println!("|---|---|---|---|---|---|");
    for (members, topics, partitions) in
        [(100, 10, 1_000), (2_000, 100, 1_000), (2_000, 1_000, 1_000)]
    {
        let assignors: [&dyn Assignor; 2] = [&StickyAssignor, &CooperativeStickyAssignor];
        for assignor in assignors {
            for differs in [false, true] {
                let infos = || topic_infos(topics, partitions);
                let fresh = member_infos(members, topics, differs);
                let plan = row(assignor, differs, "fresh", infos(), &fresh);
                let group = Group::new(infos(), fresh.clone());
                let mut left = owning(&group, &plan, fresh);
                left.remove(members / 2);
                row(assignor, differs, "one left", infos(), &left);
                let mut joined = owning(&group, &plan, member_infos(members, topics, differs));
                joined.push(MemberInfo {
                    id: "joined".to_owned(),
                    owned: Vec::new(),
                    generation: -1,
                    ..joined[1].clone()
                });
                row(assignor, differs, "one joined", infos(), &joined);
            }
        }
    }
}

/// Measures one group; returns its plan.
fn row(
    assignor: &dyn Assignor,
    differs: bool,
    what: &str,
    topics: Vec<TopicInfo>,
    members: &[MemberInfo],
) -> Plan {
    let size = members.len();
    let count: i32 = topics.iter().map(|topic| topic.partitions).sum();
    let mut assign = f64::MAX;
    let mut around = f64::MAX;
    let mut last = None;
    for _run in 0..RUNS {
        let (topics, members) = (topics.clone(), members.to_vec());
        let start = Instant::now();
        let group = Group::new(topics, members);
        let built = start.elapsed();
        let start = Instant::now();
        let mut plan = black_box(assignor.assign(&group).expect("a plan"));
        assign = assign.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        plan.withhold(&group);
        let checked = plan.check(&group, RebalanceProtocol::Cooperative);
        around = around.min((built + start.elapsed()).as_secs_f64());
        assert_eq!(checked, Ok(()));
        last = Some(plan);
    }
    let alike = if differs { "one differs" } else { "all alike" };
    let (assign, around) = (assign * 1e3, around * 1e3);
    let name = assignor.name();
    println!("| {size} x {count} | {name} | {alike} | {what} | {assign:.1} | {around:.1} |");
    last.expect("ran")
}

fn topic_infos(topics: usize, partitions: i32) -> Vec<TopicInfo> {
    let info = |number| TopicInfo {
        name: format!("topic-{number:04}"),
        partitions,
        ..TopicInfo::default()
    };
    (0..topics).map(info).collect()
}

fn member_infos(members: usize, topics: usize, differs: bool) -> Vec<MemberInfo> {
    let names: Vec<String> = (0..topics)
        .map(|number| format!("topic-{number:04}"))
        .collect();
    let info = |number: usize| {
        // The first knows one topic less.
        let skipped = usize::from(differs && number == 0);
        MemberInfo::new(format!("member-{number:05}"), names[skipped..].to_vec())
    };
    (0..members).map(info).collect()
}

fn owning(group: &Group, plan: &Plan, mut members: Vec<MemberInfo>) -> Vec<MemberInfo> {
    for member in &mut members {
        let index = group.member_index(&member.id).expect("a member");
        let name = |(topic, numbers)| (group.topic(topic).name().to_owned(), numbers);
        member.owned = plan.by_topic(index).into_iter().map(name).collect();
        member.generation = 1;
    }
    members
}
