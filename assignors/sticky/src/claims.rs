//! Who owned what before, settled where members contradict each other.

use callboard_assignor::Group;

use crate::partitions::{Id, NOBODY, Partitions};

/// What members own by their own word.
pub(crate) struct Claims {
    /// By member: what is nobody else's, ascending.
    pub(crate) owned: Vec<Vec<Id>>,
    /// By partition: whether two members claimed it in one generation, so that nobody can say whose it was. Empty where
    /// that is so of none.
    contested: Vec<bool>,
    /// The highest generation of any member.
    generation: i32,
}

/// The claim that counts so far.
#[derive(Clone, Copy)]
struct Claim {
    member: u32,
    generation: i32,
    /// Whether it owns the partition for it: not after a second claim in the same generation.
    holds: bool,
}

impl Claims {
    /// Goes through the members in the order of their ids. A claim in a higher generation beats those before it; two in the
    /// same cancel each other. Of three or more in different generations the order decides, as in Java the order of a
    /// hash map does.
    pub(crate) fn new(group: &Group, partitions: &Partitions) -> Self {
        let mut claims = Self {
            owned: vec![Vec::new(); group.member_indices().len()],
            contested: Vec::new(),
            generation: -1,
        };
        let mut settled = vec![None::<Claim>; partitions.len()];
        for index in group.member_indices() {
            let member = group.member(index);
            claims.generation = claims.generation.max(member.generation());
            let mut claim = Claim {
                member: index.position() as u32,
                generation: member.generation(),
                holds: true,
            };
            for id in member.owned().iter().filter_map(|one| partitions.id(*one)) {
                let before = &mut settled[id as usize];
                claim.holds = match before {
                    Some(before) if before.generation > claim.generation => continue,
                    Some(before) => before.generation < claim.generation,
                    None => true,
                };
                *before = Some(claim);
                if !claim.holds {
                    claims.contested.resize(partitions.len(), false);
                    claims.contested[id as usize] = true;
                }
            }
        }
        for (id, claim) in settled.into_iter().enumerate() {
            if let Some(claim) = claim.filter(|claim| claim.holds) {
                claims.owned[claim.member as usize].push(id as Id);
            }
        }
        claims
    }

    pub(crate) fn is_contested(&self, id: Id) -> bool {
        self.contested.get(id as usize) == Some(&true)
    }

    /// By partition: who had it before its present owner did, as far as members that missed a rebalance still say so, the
    /// latest of them; [`NOBODY`] otherwise. Empty where nobody missed any.
    pub(crate) fn previous(&self, group: &Group, partitions: &Partitions) -> Vec<u32> {
        let mut previous: Vec<(u32, i32)> = Vec::new();
        for index in group.member_indices() {
            let member = group.member(index);
            if member.generation() >= self.generation || member.owned().is_empty() {
                continue;
            }
            previous.resize(partitions.len(), (NOBODY, i32::MIN));
            for id in member.owned().iter().filter_map(|one| partitions.id(*one)) {
                let (owner, generation) = &mut previous[id as usize];
                if *owner == NOBODY || *generation < member.generation() {
                    (*owner, *generation) = (index.position() as u32, member.generation());
                }
            }
        }
        previous.into_iter().map(|(owner, _)| owner).collect()
    }
}
