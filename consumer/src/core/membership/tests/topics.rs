//! Topics that grow, go and come, at whatever moment.

use super::*;

/// A leader of generation 1, its plan asked for.
fn planning() -> (Story, Ticket) {
    let (mut story, join) = Story::joining(config());
    let effects = story.step(Input::Joined(join, Ok(joined(1, "me"))));
    let [Effect::Plan { ticket, .. }] = effects[..] else {
        panic!("{effects:?}");
    };
    (story, ticket)
}

/// A plan over so many partitions of `orders`.
fn planned(ticket: Ticket, partitions: i32) -> Input {
    let plan = EncodedPlan {
        over: super::topics(1, &[("orders", partitions)]),
        ..EncodedPlan::default()
    };
    Input::Planned(ticket, Ok(plan))
}

fn sync(effects: &[Effect]) -> Ticket {
    match effects {
        [Effect::Sync(ticket, _)] => *ticket,
        other => panic!("no sync but {other:?}"),
    }
}

/// It was forgotten: the leader looked at changes only once it had a plan.
#[test]
fn a_topic_that_grows_while_the_leader_plans_is_planned_for_next() {
    let (mut story, ticket) = planning();
    assert_eq!(story.step(orders(6)), []);
    let sync = sync(&story.step(planned(ticket, 4)));
    let effects = story.step(Input::Synced(sync, Ok(synced(&[0, 1, 2, 3]))));
    let [
        Effect::Assign { owned, .. },
        Effect::Revoke { partitions, .. },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!((owned, partitions), (&set(&[0, 1, 2, 3]), owned));
}

#[test]
fn one_that_grows_while_the_plan_is_on_its_way_is_too() {
    let (mut story, ticket) = planning();
    story.step(orders(4));
    let sync = sync(&story.step(planned(ticket, 4)));
    assert_eq!(story.step(orders(6)), []);
    let effects = story.step(Input::Synced(sync, Ok(synced(&[0]))));
    assert!(
        matches!(&effects[..], [Effect::Assign { .. }, Effect::Revoke { .. }]),
        "{effects:?}"
    );
}

#[test]
fn what_the_plan_was_made_over_is_no_change() {
    let (mut story, ticket) = planning();
    story.step(orders(4));
    // The metadata that the plan is made of.
    story.step(orders(6));
    let sync = sync(&story.step(planned(ticket, 6)));
    let effects = story.step(Input::Synced(sync, Ok(synced(&[0]))));
    assert!(
        matches!(&effects[..], [Effect::Assign { .. }]),
        "{effects:?}"
    );
    assert_eq!(story.step(orders(6)), []);
}

fn lost(effects: &[Effect]) -> BTreeSet<TopicPartition> {
    match &effects[0] {
        Effect::Lose {
            partitions,
            cause: LossCause::TopicGone,
        } => partitions.clone(),
        other => panic!("no loss but {other:?}"),
    }
}

/// Their last commit would otherwise meet the topic that is created next under that name.
#[test]
fn partitions_of_a_deleted_topic_are_lost_and_not_committed() {
    let mut story = Story::stable(config(), &[0, 1]);
    story.step(orders(2));
    let effects = story.step(Input::MetadataChanged(Topics::new()));
    assert_eq!(lost(&effects), set(&[0, 1]));
    assert_eq!(effects.len(), 1, "only the leader asks for a rebalance");
    assert_eq!(story.member.owned, set(&[]));
}

/// Its leader may not have noticed.
#[test]
fn a_follower_takes_up_again_what_it_had_of_a_topic_that_is_created_again() {
    let mut story = Story::stable(config(), &[0, 1]);
    story.step(orders_of(1, 2));
    story.step(Input::MetadataChanged(Topics::new()));
    let effects = story.step(orders_of(2, 1));
    let [
        Effect::Assign {
            generation,
            owned,
            added,
            reason: Reason::TopicBack,
            ..
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!(generation.id, 1);
    assert_eq!((owned, added), (&set(&[0]), &set(&[0])));
    assert_eq!(reborn(&effects), set(&[0]));
    // And the other one, when that comes.
    let effects = story.step(orders_of(2, 2));
    assert!(
        matches!(&effects[..], [Effect::Assign { owned, .. }] if *owned == set(&[0, 1])),
        "{effects:?}"
    );
    assert_eq!(reborn(&effects), set(&[1]));
}

#[test]
fn a_topic_that_was_created_again_between_two_looks_begins_anew() {
    let mut story = Story::stable(config(), &[0]);
    story.step(orders_of(1, 2));
    let effects = story.step(orders_of(2, 2));
    assert_eq!(lost(&effects), set(&[0]));
    assert!(
        matches!(&effects[1..], [Effect::Assign { added, .. }] if *added == set(&[0])),
        "{effects:?}"
    );
    // An old broker answers without ids.
    assert_eq!(story.step(orders_of(0, 2)), []);
}

#[test]
fn a_leader_rebalances_when_a_topic_goes_and_when_it_comes() {
    let (mut story, ticket) = planning();
    story.step(orders_of(1, 1));
    let synced_at = sync(&story.step(planned(ticket, 1)));
    story.step(Input::Synced(synced_at, Ok(synced(&[0]))));
    let effects = story.step(Input::MetadataChanged(Topics::new()));
    let [Effect::Lose { .. }, Effect::Join(join, question)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(question.reason, "cached metadata has changed");
    let effects = story.step(Input::Joined(*join, Ok(joined(2, "me"))));
    let [Effect::Plan { ticket, .. }] = effects[..] else {
        panic!("{effects:?}");
    };
    let synced_at = sync(&story.step(planned(ticket, 0)));
    story.step(Input::Synced(synced_at, Ok(synced(&[]))));
    only_join(story.step(orders_of(2, 1)));
}

#[test]
fn a_topic_that_is_deleted_while_it_is_given_up_holds_nobody_up() {
    let mut story = Story::stable(config(), &[0, 1]);
    story.step(orders(2));
    let effects = story.step(Input::Rejoin("go".to_owned()));
    assert!(matches!(&effects[..], [Effect::Revoke { .. }]));
    let effects = story.step(Input::MetadataChanged(Topics::new()));
    assert_eq!(lost(&effects), set(&[0, 1]));
    assert!(matches!(&effects[1..], [Effect::Join(..)]), "{effects:?}");
}

#[test]
fn replicas_in_other_racks_are_a_change_to_whoever_looks_at_racks() {
    let (mut story, ticket) = planning();
    story.step(orders(4));
    let synced_at = sync(&story.step(planned(ticket, 4)));
    story.step(Input::Synced(synced_at, Ok(synced(&[]))));
    let mut moved = super::topics(1, &[("orders", 4)]);
    for view in moved.values_mut() {
        view.racks = 7;
    }
    let (_, question) = only_join(story.step(Input::MetadataChanged(moved)));
    assert_eq!(question.reason, "cached metadata has changed");
}

/// What an assignment has begin at the first record.
fn reborn(effects: &[Effect]) -> BTreeSet<TopicPartition> {
    let assigned = effects.iter().find_map(|effect| match effect {
        Effect::Assign { reborn, .. } => Some(reborn.clone()),
        _ => None,
    });
    assigned.unwrap_or_else(|| panic!("no assignment but {effects:?}"))
}

impl Story {
    /// One rebalance on, in which it is assigned `partitions`.
    fn rejoined(&mut self, partitions: &[i32]) -> Vec<Effect> {
        let generation = self.member.generation().id + 1;
        let mut effects = self.step(Input::Rejoin("go".to_owned()));
        if let [Effect::Revoke { ticket, .. }] = effects[..] {
            effects = self.step(Input::Revoked(ticket));
        }
        let (join, _) = only_join(effects);
        self.follow(join, generation, partitions)
    }
}

#[test]
fn what_is_there_again_begins_at_its_first_record_once() {
    let mut story = Story::stable(config(), &[0, 1]);
    story.step(orders_of(1, 2));
    story.step(Input::MetadataChanged(Topics::new()));
    assert_eq!(reborn(&story.step(orders_of(2, 2))), set(&[0, 1]));
    // What comes to us later has been somebody else's.
    let effects = story.rejoined(&[0, 1, 2]);
    assert_eq!(reborn(&effects), set(&[]));
}

#[test]
fn it_does_also_if_it_comes_with_an_assignment() {
    let mut story = Story::stable(config(), &[0, 1]);
    story.step(orders_of(1, 2));
    story.step(Input::MetadataChanged(Topics::new()));
    // The leader gives nothing of it as long as it is not there; that says nothing yet.
    assert_eq!(reborn(&story.rejoined(&[])), set(&[]));
    story.step(orders_of(2, 2));
    assert_eq!(reborn(&story.rejoined(&[0])), set(&[0]));
    // The other one was somebody else's meanwhile.
    assert_eq!(reborn(&story.rejoined(&[1])), set(&[]));
}

#[test]
fn what_others_took_of_a_topic_that_is_there_again_begins_where_they_were() {
    let mut story = Story::stable(config(), &[0]);
    story.step(orders_of(1, 2));
    story.step(Input::MetadataChanged(Topics::new()));
    assert_eq!(reborn(&story.rejoined(&[])), set(&[]));
    story.step(orders_of(2, 2));
    assert_eq!(reborn(&story.rejoined(&[])), set(&[]));
    assert_eq!(reborn(&story.rejoined(&[0])), set(&[]));
}
