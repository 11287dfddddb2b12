"""What the broker has promised to whom, and where it breaks a promise. Knows no sockets and no time.

Members tell it what they send and what they are answered. Everything it says is true of any interleaving: a floor is taken when a
request is sent and held against the answer, so that what happens between the two can only help the broker.
"""
from collections import Counter, deque


def identity(member):
    """Who a member id belongs to: a static member gets a new id at every restart, `INSTANCE-UUID`."""
    return member[:-37] if member.startswith("static-") else member


class Place:
    """One partition of one group."""

    def __init__(self):
        self.sent, self.acknowledged, self.seen = 0, 0, 0
        # (offset, metadata) of every commit that may still stand, in the order of their offsets; and those that were refused.
        self.commits, self.refused = deque(), set()

    def floor(self):
        return max(self.acknowledged, self.seen)


class Commit:
    """One OffsetCommit on its way."""

    def __init__(self, offsets, metadata, generation, synced):
        self.offsets, self.metadata, self.generation, self.synced = offsets, metadata, generation, synced


class Group:
    def __init__(self, ledger, name, partitions):
        self.ledger, self.name = ledger, name
        self.places = [Place() for _ in range(partitions)]
        # The highest generation whose SyncGroup was answered: it is on disk.
        self.synced = 0
        # By generation: the leader, all members, those that were told, the plans that leaders sent, the assignments that members got.
        self.leaders, self.members, self.told, self.plans, self.given = {}, {}, {}, {}, {}

    def wrong(self, kind, what):
        self.ledger.wrong(kind, f"{self.name}: {what}")

    # Offsets.

    def begin(self, partitions, generation, who):
        """The next commit of these partitions."""
        offsets, metadata = {}, f"{who} in {generation}"
        for partition in partitions:
            place = self.places[partition]
            place.sent += 1
            offsets[partition] = place.sent
            place.commits.append((place.sent, metadata))
        return Commit(offsets, metadata, generation, self.synced)

    def acknowledge(self, commit):
        self.ledger.acknowledged += 1
        self.current(commit.generation, commit.synced, "a commit")
        for partition, offset in commit.offsets.items():
            place = self.places[partition]
            place.acknowledged = max(place.acknowledged, offset)
            self.forget(place)

    def refuse(self, commit):
        """The broker said no, so that these offsets may never be seen."""
        for partition, offset in commit.offsets.items():
            self.places[partition].refused.add(offset)

    def forget(self, place):
        while place.commits and place.commits[0][0] < place.floor():
            place.refused.discard(place.commits.popleft()[0])

    def floors(self, partitions):
        return {p: self.places[p].floor() for p in partitions}

    def stands(self, floors, answer):
        """An OffsetFetch was answered {partition: (offset, metadata)}; `floors` are of when it was sent."""
        self.ledger.read += 1
        for partition, floor in floors.items():
            place, at = self.places[partition], f"partition {partition}"
            if partition not in answer:
                self.wrong("lost", f"{at} is not in the answer")
                continue
            offset, metadata = answer[partition]
            offset = max(offset, 0)
            if offset < floor:
                kind = "lost" if floor == place.acknowledged else "backwards"
                self.wrong(kind, f"{at} stands at {offset}; {place.acknowledged} was acknowledged and {place.seen} was seen")
            elif offset > place.sent:
                self.wrong("invented", f"{at} stands at {offset}, only {place.sent} was sent")
            elif offset in place.refused:
                self.wrong("refused", f"{at} stands at {offset}, which was refused")
            elif offset and metadata != dict(place.commits).get(offset, metadata):
                self.wrong("invented", f"{at} stands at {offset} with the metadata {metadata!r}, not {dict(place.commits)[offset]!r}")
            place.seen = max(place.seen, offset)
            self.forget(place)

    # Generations.

    def current(self, generation, synced, what):
        """Something of this generation succeeded; `synced` is of when it was sent."""
        if 0 <= generation < synced:
            self.wrong("generation", f"{what} of generation {generation} succeeded after generation {synced} had begun")

    def joined(self, synced, generation, leader, member, members):
        """A JoinGroup was answered; `members` are there for the leader only."""
        if generation < synced:
            self.wrong("generation", f"{member} joined generation {generation} after generation {synced} had begun")
        told = self.told.setdefault(generation, set())
        told.add(identity(member))
        known = self.leaders.setdefault(generation, identity(leader))
        if known != identity(leader):
            self.wrong("repeated", f"generation {generation} is led by {known} and by {leader}")
        if members:
            listed = frozenset(identity(one) for one, _ in members)
            known = self.members.setdefault(generation, listed)
            if known != listed:
                self.wrong("repeated", f"generation {generation} has two memberships: {sorted(known ^ listed)} differ")
        if generation in self.members and not told <= self.members[generation]:
            self.wrong("repeated", f"{sorted(told - self.members[generation])} joined generation {generation} and are not of its members")

    def planned(self, generation, plan):
        """A leader sends its plan {member: assignment}."""
        self.plans.setdefault(generation, []).append({identity(to): raw for to, raw in plan.items()})

    def assigned(self, synced, generation, member, raw):
        """A SyncGroup was answered: all of one generation must come from one plan."""
        self.current(generation, synced, f"SyncGroup of {member}")
        self.synced = max(self.synced, generation)
        given = self.given.setdefault(generation, {})
        given[identity(member)] = raw
        if not any(given.items() <= plan.items() for plan in self.plans.get(generation, [])):
            self.wrong("repeated", f"{member} was given {raw!r} in generation {generation}; no plan gave that and what its peers got")


class Ledger:
    def __init__(self, groups, partitions, note):
        self.note = note
        self.groups = {name: Group(self, name, partitions) for name in groups}
        self.acknowledged, self.read, self.wrongs, self.kinds = 0, 0, [], Counter()

    def wrong(self, kind, what):
        self.kinds[kind] += 1
        if self.kinds[kind] <= 5:
            self.wrongs.append(f"{kind}: {what}")
            self.note(f"WRONG {kind}: {what}")
