"""Static members: restarts in every state and version, absences, odd names."""
from acts import commit, describe, enter, fetch, form, heartbeat, ids, join, leave, recv_join, rejoin, send_join, send_sync, settle, static, static_group, sync
from oracle import scenario

CHAPTER = "Static membership, more"
BOTH = (("range", b"r"), ("sticky", b"s"))


@scenario()
def a_static_restart_in_every_version(s):
    """v5, v6, v7, v8 and v9, one after the other: no rebalance in any."""
    g = s.group()
    a, b = static_group(s, g)
    for v in (5, 6, 7, 8, 9):
        b2 = static(s, f"B{v}", "two", "client-b")
        join(b2, g, v=v)
        heartbeat(b2, g)
    sync(b2, g)
    heartbeat(a, g)


@scenario()
def a_static_leader_restarts_in_v5_and_v6(s):
    """The leader of the answer is the id before; the next generation is led by the new one."""
    g = s.group()
    a, b = static_group(s, g)
    for v in (5, 6):
        a2 = static(s, f"A{v}", "one", "client-a")
        join(a2, g, v=v)
    send_join(a2, g)
    join(b, g)
    recv_join(a2)


@scenario()
def two_static_restarts_fence_both_former_processes(s):
    """Every id but the last is FENCED_INSTANCE_ID."""
    g = s.group()
    a, b = static_group(s, g)
    b2, b3 = static(s, "B2", "two", "client-b"), static(s, "B3", "two", "client-b")
    join(b2, g)
    join(b3, g)
    heartbeat(b, g)
    heartbeat(b2, g)
    heartbeat(b3, g)


@scenario()
def a_static_restart_while_a_rebalance_is_prepared(s):
    """The new process takes its place and parks; when it was the last one missing the rebalance ends."""
    g = s.group()
    a, b = static_group(s, g)
    send_join(a, g)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g)
    recv_join(a)
    heartbeat(b, g)


@scenario()
def a_static_restart_fences_a_parked_join_of_a_later_rebalance(s):
    """The parked JoinGroup of the former process gets FENCED_INSTANCE_ID; the others go on waiting."""
    g = s.group()
    a, b, c = static(s, "A", "one"), static(s, "B", "two"), static(s, "C", "three")
    for m in (a, b, c):
        send_join(m, g)
    for m in (a, b, c):
        recv_join(m)
    settle(g, a, b, c)
    send_join(a, g)
    send_join(b, g)
    b2 = static(s, "B2", "two", "client-b")
    send_join(b2, g)
    b.recv()
    a.waits(0.3)
    join(c, g)
    recv_join(a)
    recv_join(b2)


@scenario()
def a_static_leader_restarts_while_its_plan_is_awaited(s):
    """Everybody joins again; the new process leads."""
    g = s.group()
    a, b = static(s, "A", "one"), static(s, "B", "two")
    send_join(a, g)
    send_join(b, g)
    recv_join(a)
    recv_join(b)
    send_sync(b, g)
    a2 = static(s, "A2", "one", "client-a")
    send_join(a2, g, v=9)
    b.recv()
    join(b, g)
    recv_join(a2)
    heartbeat(a, g)
    settle(g, a2, b)


@scenario()
def a_static_leader_that_restarted_syncs_with_a_new_plan(s):
    """In Stable its plan is ignored: it gets the part it had."""
    g = s.group()
    a, b = static_group(s, g)
    a2 = static(s, "A2", "one", "client-a")
    join(a2, g, v=9)
    sync(a2, g, {a2.member: b"new", b.member: b"new"}, v=5, protocol_type="consumer", protocol_name="range")
    sync(b, g)


@scenario()
def a_static_leader_that_restarted_may_ask_for_a_rebalance(s):
    """With its new id it is the leader: its next JoinGroup starts a rebalance, and it gets the list."""
    g = s.group()
    a, b = static_group(s, g)
    a2 = static(s, "A2", "one", "client-a")
    join(a2, g, v=8)
    send_join(a2, g, v=8)
    heartbeat(b, g)
    join(b, g)
    recv_join(a2)


@scenario()
def a_static_follower_that_restarted_joins_again_unchanged(s):
    """With the id of its restart and the same protocols: no rebalance."""
    g = s.group()
    a, b = static_group(s, g)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g, protocols=(("range", b"other"),))
    join(b2, g, protocols=(("range", b"other"),))
    heartbeat(a, g)
    send_join(b2, g)
    heartbeat(a, g)
    join(a, g)
    recv_join(b2)


@scenario()
def a_static_restart_with_fewer_protocols_that_keeps_the_choice(s):
    """The vote is the same: no rebalance."""
    g = s.group()
    a, b = static_group(s, g, protocols=BOTH)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g, protocols=BOTH[:1], v=9)
    heartbeat(a, g)
    describe(a, g)


@scenario()
def a_static_restart_with_a_bad_session_timeout(s):
    """INVALID_SESSION_TIMEOUT, and the former process keeps its place."""
    g = s.group()
    a, b = static_group(s, g)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g, session=1)
    heartbeat(b, g)


@scenario()
def a_static_restart_of_another_type_is_refused(s):
    """INCONSISTENT_GROUP_PROTOCOL; nobody is fenced."""
    g = s.group()
    a, b = static_group(s, g)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g, kind="connect", v=9)
    heartbeat(b, g)
    heartbeat(a, g)


@scenario()
def a_dynamic_leader_and_a_static_follower(s):
    """The follower restarts without the leader's notice; the list of the next generation shows who is static."""
    g = s.group()
    a, b = s.conn("A"), static(s, "B", "two")
    ids(g, a)
    send_join(a, g)
    send_join(b, g)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g)
    heartbeat(a, g)
    send_join(a, g)
    join(b2, g)
    recv_join(a)


@scenario()
def a_static_newcomer_starts_a_rebalance(s):
    """An instance nobody knows is a newcomer and needs no id."""
    g = s.group()
    a, b = static_group(s, g)
    c = static(s, "C", "three")
    send_join(c, g, v=9)
    c.waits(0.3)
    heartbeat(a, g)
    rejoin(g, a, b)
    recv_join(c)


@scenario()
def an_absent_static_leader_is_replaced_as_leader(s):
    """It keeps its place but another leads; back again with its id it is a follower."""
    g = s.group()
    a, b = static_group(s, g, rebalance=1200)
    send_join(b, g, rebalance=1200, protocols=(("range", b"changed"),))
    recv_join(b)
    heartbeat(a, g)
    sync(b, g, {a.member: b"less", b.member: b"more"})
    heartbeat(a, g)
    join(a, g, rebalance=1200)


@scenario()
def an_absent_static_member_restarts_into_the_next_generation(s):
    """It was away while a generation began; its restart takes the part that was made for it."""
    g = s.group()
    a, b = static_group(s, g, rebalance=1200)
    send_join(a, g, rebalance=1200)
    recv_join(a)
    sync(a, g, {a.member: b"more", b.member: b"less"})
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g, rebalance=1200)
    sync(b2, g)
    heartbeat(a, g)


@scenario()
def nobody_of_a_static_group_rejoins(s):
    """The rebalance timeout ends and only absent static members are left: the group goes on preparing until they come."""
    g = s.group()
    a, b = static_group(s, g, rebalance=1000)
    x = s.conn("X")
    send_join(x, g, v=3, rebalance=1000)
    y = s.conn("Y")
    found = {m["client_id"]: m["member_id"] for m in describe(y, g).groups[0]["members"]}
    leave(y, g, member=found.get("client-x", "not there"))
    x.recv()
    s.sleep(2.0)
    heartbeat(a, g)
    heartbeat(b, g)
    describe(y, g)
    rejoin(g, a, b, rebalance=1000)


@scenario()
def a_static_member_expires_while_the_others_wait(s):
    """Its session timeout ends a rebalance that waits for it, unlike the rebalance timeout it takes it out of the group."""
    g = s.group()
    a, b = static(s, "A", "one"), static(s, "B", "two")
    send_join(a, g)
    send_join(b, g, session=1200)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    send_join(a, g)
    recv_join(a)
    heartbeat(b, g)


@scenario()
def a_static_member_that_left_is_unknown(s):
    """After the leave its id is UNKNOWN_MEMBER_ID with and without the instance; after a new join FENCED_INSTANCE_ID with it."""
    g = s.group()
    a, b = static_group(s, g)
    leave(b, g, v=4)
    heartbeat(b, g)
    join(b, g)
    b2 = static(s, "B2", "two", "client-b")
    send_join(b2, g)
    b2.waits(0.2)
    heartbeat(b, g)
    join(a, g)
    recv_join(b2)
    leave(b, g, v=5)


@scenario()
def the_same_instance_id_in_two_groups(s):
    """Instances belong to a group."""
    g, h = s.group(), s.group()
    a, b = static(s, "A", "one"), static(s, "B", "one")
    send_join(a, g)
    recv_join(a)
    send_join(b, h)
    recv_join(b)
    heartbeat(a, g)
    heartbeat(b, h)
    heartbeat(a, h)


@scenario()
def an_instance_id_in_any_script(s):
    """It becomes part of the member id as it is."""
    g = s.group()
    a = static(s, "A", "узел-😀 1")
    send_join(a, g, v=9)
    recv_join(a)
    sync(a, g, {a.member: b"all"})
    describe(a, g)
    leave(a, g, v=5)


@scenario()
def a_static_member_is_described_in_every_version(s):
    """Instance ids show from v4 on."""
    g = s.group()
    a, b = static_group(s, g)
    for v in (2, 3, 4, 5, 6):
        describe(a, g, v=v)


@scenario()
def the_former_process_commits_after_a_restart(s):
    """With instance id FENCED_INSTANCE_ID in v7 to v9, before that UNKNOWN_MEMBER_ID; the new process commits with the old generation."""
    g, t = s.group(), s.topic()
    a, b = static_group(s, g)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g, v=9)
    for v in (2, 6, 7, 8, 9):
        commit(b, g, {t: {0: 1}}, v=v)
    for v in (2, 7, 9):
        commit(b2, g, {t: {0: v}}, v=v)
    fetch(a, g, {t: [0]})


@scenario()
def a_static_member_without_member_id_is_fenced(s):
    """Heartbeat, SyncGroup and OffsetCommit with the instance id and an empty member id: FENCED_INSTANCE_ID."""
    g, t = s.group(), s.topic()
    a, b = static_group(s, g)
    heartbeat(b, g, member="")
    sync(b, g, member="")
    commit(b, g, {t: {0: 1}}, member="")
    commit(b, g, {t: {0: 1}}, member="", generation=-1)
    heartbeat(b, g)


@scenario()
def a_static_member_with_anothers_instance_id(s):
    """A living member id with the instance of another: FENCED_INSTANCE_ID everywhere."""
    g, t = s.group(), s.topic()
    a, b = static_group(s, g)
    b.instance = "one"
    heartbeat(b, g)
    sync(b, g)
    commit(b, g, {t: {0: 1}})
    join(b, g)


@scenario()
def a_static_restart_in_an_initial_rebalance_opens_no_window(s):
    """The second process takes the place of the first; the windows are those of the two members."""
    g = s.group()
    a, b = static(s, "A", "one"), static(s, "B", "two")
    send_join(a, g)
    send_join(b, g)
    b2 = static(s, "B2", "two", "client-b")
    send_join(b2, g)
    b.recv()
    recv_join(a)
    recv_join(b2)


@scenario()
def a_static_member_that_restarted_leaves_by_its_instance_id(s):
    """Whatever process is there now; the others rebalance."""
    g = s.group()
    a, b = static_group(s, g)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g)
    x = s.conn("X")
    x.call("LeaveGroup", 3, group_id=g, members=[{"member_id": "", "group_instance_id": "two"}])
    heartbeat(b2, g)
    heartbeat(b, g)
    join(a, g)


@scenario()
def all_static_members_leave_by_instance_id(s):
    """Empty; the same instances may found it anew."""
    g = s.group()
    a, b = static_group(s, g)
    x = s.conn("X")
    x.call("LeaveGroup", 5, group_id=g, members=[{"member_id": "", "group_instance_id": i} for i in ("one", "two", "one")])
    describe(x, g)
    a2 = static(s, "A2", "one", "client-a")
    send_join(a2, g)
    recv_join(a2)
