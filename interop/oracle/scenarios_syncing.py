"""SyncGroup: odd plans, versions, and who falls silent while waiting."""
from acts import commit, describe, enter, form, heartbeat, ids, join, leave, recv_join, rejoin, send_join, send_sync, settle, static, sync
from oracle import scenario

CHAPTER = "SyncGroup, more"


def joined(s, g, labels="AB", more=None, **kw):
    """Members that have joined and not yet synced; the first leads. `more` has settings for single members."""
    conns = [s.conn(x) for x in labels]
    each = {c.label: {**kw, **(more or {}).get(c.label, {})} for c in conns}
    ids(g, *conns)
    for c in conns:
        enter(c, g, **each[c.label])
    for c in conns:
        recv_join(c)
    return conns


@scenario()
def a_plan_that_names_a_member_twice(s):
    """The later entry counts."""
    g = s.group()
    a, b = joined(s, g)
    a.call("SyncGroup", 3, group_id=g, generation_id=1, member_id=a.member, assignments=[
        {"member_id": b.member, "assignment": b"first"}, {"member_id": a.member, "assignment": b"own"}, {"member_id": b.member, "assignment": b"second"}])
    sync(b, g)


@scenario()
def a_plan_for_nobody(s):
    """A leader without a plan makes the group Stable with empty parts."""
    g = s.group()
    a, b = joined(s, g)
    send_sync(b, g)
    sync(a, g)
    b.recv()
    heartbeat(b, g)
    describe(a, g)


@scenario()
def a_leader_that_forgets_itself(s):
    """Its own part is empty, the other has one."""
    g = s.group()
    a, b = joined(s, g)
    sync(a, g, {b.member: b"all"})
    sync(b, g)


@scenario()
def a_large_part(s):
    """A part of a hundred thousand bytes comes back as it was sent."""
    g = s.group()
    a, = joined(s, g, "A")
    sync(a, g, {a.member: b"x" * 100_000})
    sync(a, g, v=4)


@scenario()
def followers_of_every_version_wait(s):
    """Parked in v0 to v5, answered each in its version."""
    g = s.group()
    a, b, c, d, e = joined(s, g, "ABCDE")
    send_sync(b, g, v=0)
    send_sync(c, g, v=1)
    send_sync(d, g, v=4)
    send_sync(e, g, v=5, protocol_type="consumer", protocol_name="range")
    send_sync(a, g, {m.member: b"for " + m.label.encode() for m in (a, b, c, d, e)}, v=2)
    for m in (a, b, c, d, e):
        m.recv()


@scenario()
def parked_syncs_of_every_version_are_turned_back(s):
    """REBALANCE_IN_PROGRESS in v0, v3 and v5."""
    g = s.group()
    a, b, c, d = joined(s, g, "ABCD")
    send_sync(b, g, v=0)
    send_sync(c, g, v=3)
    send_sync(d, g, v=5, protocol_type="consumer", protocol_name="range")
    leave(a, g, v=0)
    for m in (b, c, d):
        m.recv()


@scenario()
def sync_of_an_id_not_yet_used(s):
    """An id that was given out is not a member: UNKNOWN_MEMBER_ID, in a new group and in a living one."""
    g, h = s.group(), s.group()
    a, x = s.conn("A"), s.conn("X")
    join(a, g)
    sync(a, g, generation=0)
    form(s, h, "B")
    join(x, h)
    sync(x, h, generation=1)
    sync(x, h, generation=0)


@scenario()
def sync_during_the_initial_delay(s):
    """A member whose JoinGroup waits has generation 0: REBALANCE_IN_PROGRESS; any other is ILLEGAL_GENERATION."""
    g = s.group()
    a, x = s.conn("A"), s.conn("X")
    join(a, g)
    send_join(a, g)
    sync(x, g, member=a.member, generation=0)
    sync(x, g, member=a.member, generation=1)
    sync(x, g, member=a.member, generation=-1)
    recv_join(a)


@scenario()
def sync_with_the_generation_before(s):
    """While the plan of the next generation is awaited the former one is ILLEGAL_GENERATION, even with a plan of the leader."""
    g = s.group()
    a, b = form(s, g)
    rejoin(g, a, b)
    sync(a, g, {a.member: b"late"}, generation=1)
    sync(b, g, generation=1)
    settle(g, a, b)


@scenario()
def sync_to_a_group_of_simple_consumers(s):
    """Empty, no members: UNKNOWN_MEMBER_ID."""
    g, t = s.group(), s.topic()
    c = s.conn("A")
    commit(c, g, {t: {0: 1}})
    sync(c, g, member="nobody", generation=0)
    sync(c, g, v=5, member="nobody", generation=0, protocol_type="consumer", protocol_name="range")


@scenario()
def sync_v5_answers_type_and_name_to_a_late_follower(s):
    """In Stable the stored part comes with the group's protocol type and name."""
    g = s.group()
    a, b = joined(s, g, kind="connect", protocols=(("compatible", b"m"),))
    sync(a, g, {b.member: b"for B"}, v=5, protocol_type="connect", protocol_name="compatible")
    sync(b, g, v=5, protocol_type="connect", protocol_name="compatible")
    sync(b, g, v=3)


@scenario()
def sync_v5_checks_the_type_of_a_parked_follower(s):
    """A wrong protocol is refused at once while others wait."""
    g = s.group()
    a, b = joined(s, g)
    sync(b, g, v=5, protocol_type="consumer", protocol_name="sticky")
    sync(b, g, v=5, protocol_type="connect", protocol_name="range")
    send_sync(b, g, v=5, protocol_type="consumer", protocol_name="range")
    b.waits(0.3)
    sync(a, g, {b.member: b"for B"})
    b.recv()


@scenario()
def a_parked_sync_needs_no_heartbeat(s):
    """A follower that waits for the plan outlives its session timeout; the next session begins with the answer."""
    g = s.group()
    a, b = joined(s, g, more={"B": {"session": 1000}})
    send_sync(b, g)
    b.waits(1.7)
    sync(a, g, {b.member: b"for B"})
    b.recv()
    s.sleep(0.5)
    heartbeat(b, g)
    s.sleep(1.6)
    heartbeat(b, g)
    heartbeat(a, g)


@scenario()
def the_session_begins_anew_with_the_answer_to_sync(s):
    """Join, a pause, sync, a pause: shorter each than the session timeout."""
    g = s.group()
    a, = joined(s, g, "A", session=1300)
    s.sleep(0.8)
    sync(a, g, {a.member: b"all"})
    s.sleep(0.8)
    heartbeat(a, g)


@scenario()
def a_member_that_is_turned_back_has_a_session_again(s):
    """Its session timeout passed unheeded while it waited for the plan. Turned back by a newcomer it falls silent, and the others
    wait for one more session timeout."""
    g = s.group()
    a, b = joined(s, g, more={"B": {"session": 1000}})
    send_sync(b, g)
    b.waits(1.7)
    c = s.conn("C")
    ids(g, c)
    enter(c, g)
    b.recv()
    send_join(a, g)
    recv_join(a)
    recv_join(c)
    heartbeat(b, g)


@scenario()
def a_static_member_that_is_turned_back_and_gone_does_not_stay(s):
    """The same for a static member that is alone then: no rebalance timeout would take it out."""
    g = s.group()
    a, b = static(s, "A", "one"), static(s, "B", "two")
    send_join(a, g)
    send_join(b, g, session=1000)
    recv_join(a)
    recv_join(b)
    send_sync(b, g)
    b.waits(1.7)
    leave(a, g)
    b.recv()
    describe(a, g)
    s.sleep(1.5)
    describe(a, g)
    heartbeat(b, g)


@scenario()
def a_leader_that_expires_before_its_plan(s):
    """Its session timeout ends while a follower waits: the follower is turned back and leads."""
    g = s.group()
    a, b = joined(s, g, more={"A": {"session": 1000}})
    send_sync(b, g)
    b.recv()
    heartbeat(a, g)
    join(b, g)


@scenario()
def a_follower_that_expires_before_the_plan(s):
    """A follower that does not sync dies by its session timeout, the leader hears it."""
    g = s.group()
    a, b = joined(s, g, more={"B": {"session": 1000}})
    s.sleep(1.6)
    heartbeat(a, g)
    sync(a, g, {a.member: b"all"})
    join(a, g)


@scenario()
def heartbeats_keep_a_member_while_the_plan_is_awaited(s):
    """In CompletingRebalance, too."""
    g = s.group()
    a, = joined(s, g, "A", session=1300)
    for _ in range(3):
        s.sleep(0.8)
        heartbeat(a, g)
    sync(a, g, {a.member: b"all"})


@scenario()
def nobody_syncs(s):
    """All members are out after the rebalance timeout, and the group is Empty."""
    g = s.group()
    a, b = joined(s, g, rebalance=1200)
    s.sleep(1.8)
    describe(a, g)
    heartbeat(a, g)
    heartbeat(b, g)


@scenario()
def a_follower_that_syncs_in_stable_is_not_dropped(s):
    """Late, but within the rebalance timeout: it stays."""
    g = s.group()
    a, b = joined(s, g, rebalance=1500)
    sync(a, g, {b.member: b"for B"})
    s.sleep(0.8)
    sync(b, g)
    s.sleep(1.2)
    heartbeat(b, g)
    heartbeat(a, g)


@scenario()
def a_static_member_that_never_syncs_is_dropped(s):
    """The rebalance timeout for SyncGroup spares nobody, not even a static member."""
    g = s.group()
    a, b = static(s, "A", "one"), static(s, "B", "two")
    send_join(a, g, rebalance=1200)
    send_join(b, g, rebalance=1200)
    recv_join(a)
    recv_join(b)
    sync(a, g, {a.member: b"all"})
    s.sleep(1.8)
    heartbeat(a, g)
    heartbeat(b, g)
    join(a, g, rebalance=1200)


@scenario()
def a_leader_that_syncs_again_while_stable_in_another_version(s):
    """Its stored part, in v0, v3 and v5."""
    g = s.group()
    a, b = form(s, g)
    sync(a, g, v=0)
    sync(a, g, {b.member: b"new"}, v=5, protocol_type="consumer", protocol_name="range")
    sync(b, g, v=1)


@scenario()
def a_member_that_leaves_while_it_waits_for_the_plan(s):
    """Kafka forgets its parked SyncGroup; UNKNOWN_MEMBER_ID is better: every request has an answer. The rest joins again."""
    g = s.group()
    a, b = joined(s, g)
    send_sync(b, g)
    x = s.conn("X")
    leave(x, g, member=b.member)
    b.superseded()
    heartbeat(a, g)
    join(a, g)


@scenario()
def all_leave_while_the_plan_is_awaited(s):
    """Empty, one generation more."""
    g = s.group()
    a, b = joined(s, g)
    x = s.conn("X")
    x.call("LeaveGroup", 4, group_id=g, members=[{"member_id": a.member}, {"member_id": b.member}])
    describe(x, g)
    sync(a, g)


@scenario()
def a_newcomer_before_anybody_syncs(s):
    """A generation that nobody synced is given up; its members join again with their ids."""
    g = s.group()
    a, b = joined(s, g)
    x = s.conn("X")
    enter(x, g)
    heartbeat(a, g)
    sync(b, g)
    rejoin(g, a, b)
    recv_join(x)
