//! What the sticky assignors promise, on groups that show it, and on large ones.

use std::collections::BTreeMap;

use callboard_assignor::{Assignor, Group, MemberInfo, Plan, RebalanceProtocol, TopicInfo};
use callboard_assignor_sticky::{CooperativeStickyAssignor, StickyAssignor};

fn topic(name: &str, partitions: i32) -> TopicInfo {
    TopicInfo {
        name: name.to_owned(),
        partitions,
        ..TopicInfo::default()
    }
}

fn member(id: &str, topics: &[&str], owned: &[i32], generation: i32) -> MemberInfo {
    let mut member = MemberInfo::new(id, topics.iter().copied());
    member.owned = vec![("a".to_owned(), owned.to_vec())];
    member.generation = generation;
    member
}

/// What each member gets of topic a.
fn of_a(assignor: &dyn Assignor, group: &Group) -> Vec<Vec<i32>> {
    let mut plan = assignor.assign(group).expect("a plan");
    if assignor.name() == "cooperative-sticky" {
        plan.withhold(group);
        assert_eq!(plan.check(group, RebalanceProtocol::Cooperative), Ok(()));
    } else {
        assert_eq!(plan.check(group, RebalanceProtocol::Eager), Ok(()));
    }
    let a = group.topic_index("a").expect("topic a");
    let topics = group.member_indices().map(|one| plan.by_topic(one));
    topics
        .map(|mut topics| topics.remove(&a).unwrap_or_default())
        .collect()
}

mod eager {
    callboard_assignor::conformance!(callboard_assignor_sticky::StickyAssignor);
}

mod cooperative {
    callboard_assignor::conformance!(callboard_assignor_sticky::CooperativeStickyAssignor);
}

/// Two members that share a topic, and both claim partition 0 in one generation.
#[test]
fn a_contested_partition_waits_only_where_all_subscribe_alike() {
    let group = |topics: &[&str]| {
        let members = [
            member("one", &["a"], &[0, 1], 5),
            member("two", topics, &[0, 2], 5),
        ];
        Group::new([topic("a", 3)], members)
    };
    let (alike, differing) = (group(&["a"]), group(&["a", "ghost"]));
    assert_eq!(of_a(&StickyAssignor, &alike), [vec![0, 1], vec![2]]);
    assert_eq!(of_a(&CooperativeStickyAssignor, &alike), [vec![1], vec![2]]);
    for assignor in [&StickyAssignor as &dyn Assignor, &CooperativeStickyAssignor] {
        assert_eq!(of_a(assignor, &differing), [vec![0, 1], vec![2]]);
    }
}

/// Java keeps an owned partition that is gone with a topic that was made again, gives everything to who subscribes to
/// nothing, and moves a partition back to who does not subscribe to it any more.
///
/// Difference: `sticky-faults`.
#[test]
fn faults_of_java_are_not_copied() {
    for assignor in [&StickyAssignor as &dyn Assignor, &CooperativeStickyAssignor] {
        let shrunk = [
            member("one", &["a"], &[0, 5], 3),
            member("two", &["a"], &[1, 6], 3),
        ];
        let group = Group::new([topic("a", 2)], shrunk);
        assert_eq!(of_a(assignor, &group), [vec![0], vec![1]]);

        let nothing = [member("one", &[], &[], -1), member("two", &["a"], &[], -1)];
        let group = Group::new([topic("a", 2)], nothing);
        assert_eq!(of_a(assignor, &group), [vec![], vec![0, 1]]);
    }
    let left = [
        member("one", &["b"], &[0, 1, 2, 3], 2),
        member("two", &["a", "b"], &[0, 1, 2, 3], 3),
        member("zwei", &["a", "b"], &[], 3),
    ];
    let group = Group::new([topic("a", 4), topic("b", 1)], left);
    assert_eq!(
        of_a(&StickyAssignor, &group),
        [vec![], vec![2, 3], vec![0, 1]]
    );
}

/// Undoing a movement of one partition in place of another: the plan of Apache Kafka 4.2.0's own class, its maps in the order
/// of member ids.
#[test]
fn the_same_movements_are_undone_as_in_kafka() {
    let member = |id, topics: &[&str], owned: &[(&str, &[i32])]| {
        let mut member = MemberInfo::new(id, topics.iter().copied());
        let owned = owned.iter();
        member.owned = owned
            .map(|(topic, numbers)| ((*topic).to_owned(), numbers.to_vec()))
            .collect();
        member.generation = 8;
        member
    };
    let members = [
        member("@", &["t0", "t1", "t2"], &[]),
        member(
            "A",
            &["t0", "t1", "t2", "t3"],
            &[
                ("t0", &[0]),
                ("t1", &[2, 3, 5, 6, 8]),
                ("t2", &[0, 1, 2, 3, 4, 5]),
                ("t3", &[0, 1, 2, 4, 5, 6, 7, 8]),
            ],
        ),
        member("B", &["t0", "t3"], &[("t2", &[7])]),
        member(
            "C",
            &["t0", "t2", "t3"],
            &[("t1", &[4]), ("t2", &[8]), ("t3", &[3])],
        ),
    ];
    let topics = [("t0", 1), ("t1", 9), ("t2", 9), ("t3", 9)];
    let group = Group::new(topics.map(|(name, count)| topic(name, count)), members);
    let plan = StickyAssignor.assign(&group).unwrap();
    let expected: [&[(&str, &[i32])]; 4] = [
        &[("t1", &[0, 1, 2, 3, 4, 5, 7])],
        &[
            ("t0", &[0]),
            ("t1", &[6, 8]),
            ("t2", &[5]),
            ("t3", &[6, 7, 8]),
        ],
        &[("t3", &[0, 1, 2, 3, 4, 5])],
        &[("t2", &[0, 1, 2, 3, 4, 6, 7, 8])],
    ];
    for (plan, expected) in plan.named(&group).values().zip(expected) {
        let expected = expected.iter();
        let expected: BTreeMap<String, Vec<i32>> = expected
            .map(|(topic, numbers)| ((*topic).to_owned(), numbers.to_vec()))
            .collect();
        assert_eq!(*plan, expected);
    }
}

/// One owns it in the latest generation; two, which missed a rebalance, says so too and is to get it.
///
/// Difference: `stale-claims`.
#[test]
fn an_older_claim_does_not_get_what_its_owner_still_holds() {
    let members = [
        member("one", &["b"], &[0], 8),
        member("two", &["a", "b"], &[0], 6),
    ];
    let group = Group::new([topic("a", 1), topic("b", 1)], members);
    assert_eq!(of_a(&StickyAssignor, &group), [vec![], vec![0]]);
    assert_eq!(of_a(&CooperativeStickyAssignor, &group), [vec![], vec![]]);
}

/// Members that own their share, one that leaves and one that comes: nothing moves that need not.
#[test]
fn as_little_moves_as_can_be() {
    const MEMBERS: usize = 100;
    const TOPICS: usize = 20;
    let topics = || (0..TOPICS).map(|number| topic(&format!("t{number:02}"), 500));
    let names: Vec<String> = topics().map(|topic| topic.name).collect();
    for skipped in [0, 1] {
        // The first member may know one topic less.
        let infos = (0..MEMBERS).map(|number| {
            let skipped = if number == 0 { skipped } else { 0 };
            MemberInfo::new(format!("m{number:03}"), names[skipped..].to_vec())
        });
        let mut members: Vec<MemberInfo> = infos.collect();
        let group = Group::new(topics(), members.clone());
        let plan = StickyAssignor.assign(&group).unwrap();
        assert_eq!(counts(&plan, &group), BTreeMap::from([(100, MEMBERS)]));
        own(&mut members, &group, &plan);

        let mut joined = members.clone();
        joined.push(MemberInfo::new("new", names.clone()));
        assert_eq!(moved(topics(), &members, joined), 99);

        let mut left = members.clone();
        left.remove(50);
        assert_eq!(moved(topics(), &members, left), 100);
        assert_eq!(moved(topics(), &members, members.clone()), 0);
    }
}

/// How many members have how many.
fn counts(plan: &Plan, group: &Group) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for member in group.member_indices() {
        *counts.entry(plan.of(member).len()).or_default() += 1;
    }
    counts
}

fn own(members: &mut [MemberInfo], group: &Group, plan: &Plan) {
    for member in members {
        let index = group.member_index(&member.id).expect("a member");
        let name = |(topic, numbers)| (group.topic(topic).name().to_owned(), numbers);
        member.owned = plan.by_topic(index).into_iter().map(name).collect();
        member.generation = 1;
    }
}

/// How many partitions have another owner than `before` once the group is `after`.
fn moved(
    topics: impl Iterator<Item = TopicInfo>,
    before: &[MemberInfo],
    after: Vec<MemberInfo>,
) -> usize {
    let group = Group::new(topics, after);
    let plan = StickyAssignor.assign(&group).expect("a plan");
    assert_eq!(plan.check(&group, RebalanceProtocol::Eager), Ok(()));
    let spread: Vec<usize> = counts(&plan, &group).into_keys().collect();
    assert!(spread[spread.len() - 1] <= spread[0] + 1, "{spread:?}");
    let named = plan.named(&group);
    let mut moved = 0;
    for member in before {
        for (topic, numbers) in &member.owned {
            let now = named.get(&member.id).and_then(|topics| topics.get(topic));
            let kept = |number: &&i32| now.is_some_and(|now| now.contains(number));
            moved += numbers.iter().filter(|number| !kept(number)).count();
        }
    }
    moved
}

/// Everybody knows its own topic and its neighbour's, and the first owns all it can: load has to flow along the whole line,
/// against the order in which topics are gone through.
#[test]
fn a_line_of_neighbours_comes_to_an_end() {
    const MEMBERS: usize = 60;
    let name = |number: usize| format!("t{number:03}");
    let topics = (0..=MEMBERS).map(|number| topic(&name(number), 20));
    let members = (0..MEMBERS).map(|number| {
        let mut member = MemberInfo::new(format!("m{number:03}"), [name(number), name(number + 1)]);
        member.owned = vec![(name(number + 1), (0..20).collect())];
        if number == 0 {
            member.owned.push((name(0), (0..20).collect()));
        }
        member.generation = 1;
        member
    });
    let group = Group::new(topics, members);
    let plan = StickyAssignor.assign(&group).unwrap();
    assert_eq!(plan.check(&group, RebalanceProtocol::Eager), Ok(()));
    let counts: Vec<usize> = group
        .member_indices()
        .map(|one| plan.of(one).len())
        .collect();
    for pair in counts.windows(2) {
        assert!(pair[0].abs_diff(pair[1]) <= 1, "{counts:?}");
    }
}
