//! Spreads what has yet to be read: each member gets about the same lag, and keeps what it has where that is no worse.

use callboard_assignor::RebalanceProtocol::{self, Cooperative, Eager};
use callboard_assignor::{
    AssignError, Assignor, Claims, Group, MemberIndex, Need, Partition, Plan,
};

/// Protocol name `lag-weighted`. A partition weighs its lag and one more; one whose lag is not known weighs one.
pub struct LagWeighted;

impl Assignor for LagWeighted {
    fn name(&self) -> &str {
        "lag-weighted"
    }
    fn protocols(&self) -> &[RebalanceProtocol] {
        &[Cooperative, Eager]
    }
    fn needs(&self) -> &[Need] {
        &[Need::Owned, Need::Lag]
    }
    fn assign(&self, group: &Group) -> Result<Plan, AssignError> {
        let weight = |one: Partition| 1 + u128::from(group.lag(one).unwrap_or(0));
        let (claims, mut load) = (Claims::new(group), vec![0; group.member_indices().len()]);
        let topics = group.topic_indices();
        let mut all: Vec<_> = topics.flat_map(|one| group.partitions(one)).collect();
        all.sort_by_key(|one| weight(*one));
        let (mut order, mut moved) = (Vec::new(), true);
        for one in all {
            let owner = claims.owner(one);
            let owner = owner.filter(|owner| group.subscribes(*owner, one.topic));
            owner.inspect(|owner| load[owner.position()] += weight(one));
            let loads = owner.map_or(u128::MAX, |owner| load[owner.position()]);
            order.push((one, owner, (loads, weight(one))));
        }
        // From the end: first what nobody has, then what loads its owner most; of each the heaviest before.
        order.sort_by_key(|(_, _, rank)| *rank);
        while std::mem::take(&mut moved) {
            for (one, owner, _) in order.iter_mut().rev() {
                let weight = weight(*one);
                let has = owner.map_or(u128::MAX, |owner| load[owner.position()]);
                // Of equals who owned least: the member that came.
                let rank = |to: MemberIndex| (load[to.position()], group.member(to).owned().len());
                let least = group.subscribers(one.topic).iter();
                let least = least.copied().min_by_key(|to| rank(*to));
                if let Some(to) = least.filter(|to| has > load[to.position()] + weight) {
                    let from = owner.replace(to);
                    from.inspect(|from| load[from.position()] -= weight);
                    load[to.position()] += weight;
                    moved = true;
                }
            }
        }
        let mut plan = Plan::new(group);
        for (one, owner, _) in order {
            owner.inspect(|owner| plan.give(*owner, one));
        }
        Ok(plan)
    }
}
