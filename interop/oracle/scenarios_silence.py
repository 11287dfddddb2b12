"""What keeps a member alive and what does not; LeaveGroup in odd company."""
from acts import commit, describe, enter, fetch, form, heartbeat, ids, join, leave, recv_join, send_join, settle, static, static_group, sync
from oracle import scenario

CHAPTER = "Heartbeat, LeaveGroup, timeouts, more"


def pair(s, g, session=1300):
    """A Stable group whose follower has a short session."""
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b)
    enter(a, g)
    enter(b, g, session=session)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    return a, b


@scenario()
def a_fetch_does_not_keep_a_member(s):
    """Neither OffsetFetch nor DescribeGroups counts as a sign of life."""
    g, t = s.group(), s.topic()
    a, b = pair(s, g)
    s.sleep(0.8)
    fetch(b, g, {t: [0]})
    describe(b, g)
    s.sleep(0.9)
    heartbeat(b, g)


@scenario()
def a_refused_heartbeat_does_not_keep_a_member(s):
    """ILLEGAL_GENERATION: the session goes on as before."""
    g = s.group()
    a, b = pair(s, g)
    s.sleep(0.8)
    heartbeat(b, g, generation=7)
    s.sleep(0.9)
    heartbeat(b, g)


@scenario()
def a_refused_commit_does_not_keep_a_member(s):
    """ILLEGAL_GENERATION: no sign of life either."""
    g, t = s.group(), s.topic()
    a, b = pair(s, g)
    s.sleep(0.8)
    commit(b, g, {t: {0: 1}}, generation=7)
    s.sleep(0.9)
    heartbeat(b, g)


@scenario()
def a_commit_of_unknown_topics_does_not_keep_a_member(s):
    """It does not reach the group."""
    g = s.group()
    a, b = pair(s, g)
    s.sleep(0.8)
    commit(b, g, {"no-such-topic": {0: 1}})
    s.sleep(0.9)
    heartbeat(b, g)


@scenario()
def a_commit_of_too_large_metadata_keeps_a_member(s):
    """The group has accepted the member before it looks at the metadata."""
    g, t = s.group(), s.topic()
    a, b = pair(s, g)
    s.sleep(0.8)
    commit(b, g, {t: {0: (1, "x" * 5000)}})
    s.sleep(0.9)
    heartbeat(b, g)


@scenario()
def a_commit_keeps_a_member_while_a_rebalance_is_prepared(s):
    """As a heartbeat does."""
    g, t = s.group(), s.topic()
    a, b = pair(s, g)
    send_join(a, g)
    s.sleep(0.8)
    commit(b, g, {t: {0: 1}})
    s.sleep(0.9)
    heartbeat(b, g)
    join(b, g)
    recv_join(a)


@scenario()
def an_unchanged_rejoin_is_no_sign_of_life(s):
    """The JoinGroup of an unchanged follower in Stable does not start its session anew."""
    g = s.group()
    a, b = pair(s, g)
    s.sleep(0.8)
    join(b, g, session=1300)
    s.sleep(0.9)
    heartbeat(b, g)


@scenario()
def a_sync_in_stable_is_no_sign_of_life(s):
    """A repeated SyncGroup in Stable does not start the session anew."""
    g = s.group()
    a, b = pair(s, g)
    s.sleep(0.8)
    sync(b, g)
    s.sleep(0.9)
    heartbeat(b, g)


@scenario()
def two_members_expire(s):
    """The third joins again and is alone."""
    g = s.group()
    a, b, c = s.conn("A"), s.conn("B"), s.conn("C")
    ids(g, a, b, c)
    enter(a, g)
    enter(b, g, session=1000)
    enter(c, g, session=1000)
    for m in (a, b, c):
        recv_join(m)
    settle(g, a, b, c)
    s.sleep(1.6)
    heartbeat(a, g)
    heartbeat(b, g)
    heartbeat(c, g)
    describe(a, g)
    join(a, g)


@scenario()
def all_members_expire(s):
    """Empty, with the generation of an empty rebalance; the next founder goes on from it."""
    g = s.group()
    a, b = form(s, g, session=1000)
    s.sleep(1.6)
    describe(a, g)
    c = s.conn("C")
    send_join(c, g, v=3)
    recv_join(c)


@scenario()
def heartbeat_during_the_initial_delay(s):
    """A member whose JoinGroup waits: REBALANCE_IN_PROGRESS for generation 0, ILLEGAL_GENERATION for others."""
    g = s.group()
    a, x = s.conn("A"), s.conn("X")
    join(a, g)
    send_join(a, g)
    heartbeat(x, g, member=a.member, generation=0)
    heartbeat(x, g, member=a.member, generation=1)
    heartbeat(x, g, member=a.member, generation=-1, v=0)
    recv_join(a)


@scenario()
def heartbeat_to_a_group_of_simple_consumers(s):
    """Nobody is a member of it."""
    g, t = s.group(), s.topic()
    c = s.conn("A")
    commit(c, g, {t: {0: 1}})
    for v in range(5):
        heartbeat(c, g, v=v, member="nobody", generation=0)
    leave(c, g, member="nobody")
    join(c, g, member="nobody")


@scenario()
def a_simple_group_may_become_a_group_of_members(s):
    """Joining after commits: generation 1, the offsets are there."""
    g, t = s.group(), s.topic()
    c = s.conn("C")
    commit(c, g, {t: {0: 5}})
    a = form(s, g, "A")
    fetch(a, g, {t: [0]})
    describe(a, g)
    commit(c, g, {t: {0: 6}}, generation=-1)


@scenario()
def a_dynamic_member_with_an_instance_id_is_unknown(s):
    """Heartbeat, SyncGroup, OffsetCommit and LeaveGroup with an instance nobody has: UNKNOWN_MEMBER_ID."""
    g, t = s.group(), s.topic()
    a = form(s, g, "A")
    heartbeat(a, g, v=4, group_instance_id="one")
    sync(a, g, v=4, group_instance_id="one")
    commit(a, g, {t: {0: 1}}, v=8, group_instance_id="one")
    leave(a, g, group_instance_id="one")
    heartbeat(a, g)


@scenario()
def a_member_named_twice_in_one_leave(s):
    """The second time it is unknown."""
    g = s.group()
    a, b = form(s, g)
    a.call("LeaveGroup", 4, group_id=g, members=[{"member_id": b.member}, {"member_id": b.member}])
    join(a, g)


@scenario()
def a_leave_of_a_good_an_unknown_and_a_fenced_member(s):
    """Each its own: 0, 25, 82; one rebalance."""
    g = s.group()
    a, b = static_group(s, g)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g)
    c = s.conn("X")
    c.call("LeaveGroup", 5, group_id=g, members=[
        {"member_id": a.member, "group_instance_id": "one"}, {"member_id": "nobody"}, {"member_id": b.member, "group_instance_id": "two"}])
    heartbeat(b2, g)
    join(b2, g)


@scenario()
def all_members_leave_in_one_request(s):
    """Empty at once, one generation more."""
    g = s.group()
    a, b, c = form(s, g, "ABC")
    a.call("LeaveGroup", 3, group_id=g, members=[{"member_id": m.member} for m in (a, b, c)])
    describe(a, g)
    send_join(a, g, v=3, member="")
    recv_join(a)


@scenario()
def a_leave_of_strangers_only_disturbs_nobody(s):
    """Nobody was removed: no rebalance."""
    g = s.group()
    a, b = form(s, g)
    a.call("LeaveGroup", 4, group_id=g, members=[{"member_id": "nobody"}, {"member_id": ""}, {"member_id": "x", "group_instance_id": "y"}])
    heartbeat(a, g)
    heartbeat(b, g)


@scenario()
def an_id_not_yet_used_leaves_in_every_version(s):
    """A pending id: no error, on top up to v2, per member from v3."""
    for v in range(6):
        g = s.group()
        a = s.conn(f"A{v}")
        join(a, g)
        leave(a, g, v=v)
        send_join(a, g)
        a.recv()


@scenario()
def an_id_not_yet_used_leaves_with_an_instance_id(s):
    """The instance id beside a pending id is not looked at."""
    g = s.group()
    a = s.conn("A")
    join(a, g)
    leave(a, g, v=4, group_instance_id="one")
    send_join(a, g)
    recv_join(a)


@scenario()
def a_leave_of_a_pending_id_disturbs_nobody(s):
    """In Stable a pending id that leaves starts no rebalance, although something succeeded."""
    g = s.group()
    a, b = form(s, g)
    x = s.conn("X")
    join(x, g)
    leave(x, g)
    heartbeat(a, g)
    describe(a, g)


@scenario()
def the_leader_leaves_while_the_other_waits(s):
    """In PreparingRebalance: the one that waits is answered at once and leads."""
    g = s.group()
    a, b = form(s, g)
    send_join(b, g, protocols=(("range", b"changed"),))
    b.waits(0.3)
    leave(a, g, v=1)
    recv_join(b)


@scenario()
def a_static_member_leaves_by_instance_id_while_it_waits(s):
    """Its parked JoinGroup gets UNKNOWN_MEMBER_ID."""
    g = s.group()
    a, b = static_group(s, g)
    send_join(a, g)
    x = s.conn("X")
    x.call("LeaveGroup", 4, group_id=g, members=[{"member_id": "", "group_instance_id": "one"}])
    a.recv()
    join(b, g)


@scenario()
def a_leave_with_the_instance_of_another(s):
    """A living member id with another member's instance id is FENCED_INSTANCE_ID, with nobody's UNKNOWN_MEMBER_ID."""
    g = s.group()
    a, b = static_group(s, g)
    x = s.conn("X")
    leave(x, g, member=a.member, group_instance_id="two")
    leave(x, g, member=a.member, group_instance_id="three")
    heartbeat(a, g)
    leave(x, g, member=a.member)
    heartbeat(b, g)


@scenario()
def heartbeats_of_the_former_generation(s):
    """After the next generation has begun the former one is ILLEGAL_GENERATION, also for the leader."""
    g = s.group()
    a, b = form(s, g)
    send_join(a, g)
    join(b, g)
    recv_join(a)
    heartbeat(a, g, generation=1)
    heartbeat(b, g, generation=1)
    settle(g, a, b)
    heartbeat(b, g, generation=1)
    heartbeat(b, g, generation=3)


@scenario()
def a_member_that_expired_may_come_back_as_a_newcomer(s):
    """With its old id it is unknown, without one it gets another."""
    g = s.group()
    a, b = pair(s, g, session=1000)
    s.sleep(1.6)
    join(b, g)
    send_join(b, g, v=3, member="")
    b.waits(0.3)
    join(a, g)
    recv_join(b)


@scenario()
def a_cut_connection_with_a_parked_join(s):
    """The member goes on waiting without anybody: it takes part in the generation and dies by its session timeout."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b)
    send_join(a, g)
    send_join(b, g, session=1000)
    b.close()
    recv_join(a)
    s.sleep(1.5)
    heartbeat(a, g)
    join(a, g)


@scenario()
def a_lost_answer_to_join_is_asked_for_again(s):
    """The connection is cut while JoinGroup waits; the same JoinGroup from a new one gets the generation."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b)
    send_join(a, g)
    send_join(b, g)
    b.close()
    recv_join(a)
    b2 = s.conn("B2", "client-b")
    b2.member = b.member
    join(b2, g)
    settle(g, a, b2)


@scenario()
def a_fenced_process_does_not_keep_the_place(s):
    """Heartbeats of the former process are no sign of life of the new one."""
    g = s.group()
    a, b = static(s, "A", "one"), static(s, "B", "two")
    send_join(a, g)
    send_join(b, g, session=1300)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g, session=1300)
    s.sleep(0.8)
    heartbeat(b, g)
    s.sleep(0.9)
    heartbeat(b2, g)
    heartbeat(a, g)


@scenario()
def a_static_members_commit_keeps_it(s):
    """With its instance id, in v7 and v9."""
    g, t = s.group(), s.topic()
    a = static(s, "A", "one")
    send_join(a, g, session=1300)
    recv_join(a)
    settle(g, a)
    for v in (7, 9):
        s.sleep(0.8)
        commit(a, g, {t: {0: v}}, v=v)
    s.sleep(0.8)
    heartbeat(a, g)


@scenario()
def a_static_member_leaves_by_its_id_in_old_versions(s):
    """v0 to v2 know no instances: the id is enough."""
    g = s.group()
    a, b = static_group(s, g)
    leave(b, g, v=1)
    heartbeat(a, g)
    leave(a, g, v=0)
    describe(a, g)


@scenario()
def offsets_outlive_members_that_expired(s):
    """Fetched from the Empty group, and committed to by anybody."""
    g, t = s.group(), s.topic()
    a = form(s, g, "A", session=1000)
    commit(a, g, {t: {0: 5}})
    s.sleep(1.6)
    fetch(a, g, {t: [0]})
    commit(a, g, {t: {0: 6}})
    commit(a, g, {t: {0: 7}}, generation=-1)
    fetch(a, g, {t: [0]})
