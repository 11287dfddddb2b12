"""FindCoordinator, DescribeGroups, ListGroups, DeleteGroups: filters, states, odd names."""
from acts import commit, describe, enter, fetch, form, heartbeat, ids, join, leave, recv_join, rejoin, send_join, send_sync, settle, static, sync
from oracle import scenario

CHAPTER = "Admin, more"


@scenario()
def list_filters_by_state_whatever_its_case(s):
    """States are compared without case and without blanks around them."""
    g, h, t = s.group(), s.group(), s.topic()
    a = form(s, g, "A")
    commit(a, h, {t: {0: 1}}, generation=-1, member="")
    for states in (["stable"], ["STABLE"], [" Stable "], ["eMPTY", "nonsense"], [""], ["Stab"]):
        a.call("ListGroups", 5, states_filter=states, types_filter=[])


@scenario()
def list_filters_by_type_whatever_its_case(s):
    """Types are compared without case, yet with blanks around them."""
    g = s.group()
    a = form(s, g, "A")
    for types in (["CLASSIC"], ["Classic"], [" classic "], ["streams"], [""], ["classic", "nonsense"]):
        a.call("ListGroups", 5, states_filter=[], types_filter=types)


@scenario()
def list_needs_both_filters_to_match(s):
    """State and type are both asked for."""
    g = s.group()
    a = form(s, g, "A")
    for states, types in ((["Stable"], ["classic"]), (["Stable"], ["consumer"]), (["Empty"], ["classic"]), (["Nonsense"], [])):
        a.call("ListGroups", 5, states_filter=states, types_filter=types)


@scenario()
def list_shows_each_state(s):
    """PreparingRebalance, CompletingRebalance, Stable, Empty."""
    g = s.group()
    a, x = s.conn("A"), s.conn("X")
    join(a, g)
    x.call("ListGroups", 5, states_filter=[], types_filter=[])
    send_join(a, g)
    x.call("ListGroups", 5, states_filter=["preparingrebalance"], types_filter=[])
    recv_join(a)
    x.call("ListGroups", 4, states_filter=["COMPLETINGREBALANCE"])
    sync(a, g, {a.member: b"all"})
    x.call("ListGroups", 3)
    leave(a, g)
    x.call("ListGroups", 5, states_filter=[], types_filter=["classic"])


@scenario()
def list_shows_the_protocol_type(s):
    """That of the members; of a group they left; none for simple consumers."""
    g, h, t = s.group(), s.group(), s.topic()
    a = form(s, g, "A", kind="connect")
    commit(a, h, {t: {0: 1}}, generation=-1, member="")
    a.call("ListGroups", 0)
    leave(a, g)
    a.call("ListGroups", 2)


@scenario()
def list_forgets_a_deleted_group(s):
    """Deleted groups are not listed, not even as Dead."""
    g, t = s.group(), s.topic()
    c = s.conn("A")
    commit(c, g, {t: {0: 1}})
    c.call("ListGroups", 5, states_filter=["Empty"], types_filter=[])
    c.call("DeleteGroups", 1, groups_names=[g])
    c.call("ListGroups", 5, states_filter=[], types_filter=[])
    c.call("ListGroups", 5, states_filter=["Dead"], types_filter=[])


@scenario()
def describe_names_a_group_twice(s):
    """Answered twice."""
    g, h = s.group(), s.group()
    a = form(s, g, "A")
    describe(a, g, g, v=5)
    describe(a, h, h, v=6)


@scenario()
def describe_and_delete_in_one_breath(s):
    """A group that nobody knows is not to be deleted, and told as Dead before and after."""
    g = s.group()
    a = s.conn("A")
    describe(a, g, v=2)
    a.call("DeleteGroups", 2, groups_names=[g])
    describe(a, g, v=4)
    describe(a, g, v=6)


@scenario()
def describe_tells_the_metadata_of_the_chosen_protocol(s):
    """Members list two protocols; that of the chosen one is told."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    both = (("range", b"r"), ("sticky", b"s"))
    ids(g, a, b)
    send_join(a, g, protocols=both)
    send_join(b, g, protocols=both[1:])
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    for v in (0, 4, 6):
        describe(a, g, v=v)


@scenario()
def describe_a_group_of_another_type(s):
    """Its type and protocol are told as they are."""
    g = s.group()
    a = form(s, g, "A", kind="connect", protocols=(("compatible", b"\x00\x01\xff"), ("eager", b"")))
    describe(a, g)


@scenario()
def describe_a_rebalance_out_of_an_awaited_plan(s):
    """A Stable group rebalances, and again before its plan: whose parts are still told."""
    g = s.group()
    a, b = form(s, g)
    rejoin(g, a, b)
    describe(a, g)
    x = s.conn("X")
    enter(x, g)
    describe(a, g)
    rejoin(g, a, b)
    recv_join(x)
    describe(a, g)
    settle(g, a, b, x)
    describe(a, g)


@scenario()
def describe_during_the_initial_delay(s):
    """Members are listed with their ids, without metadata and parts."""
    g = s.group()
    a, x = s.conn("A"), s.conn("X")
    join(a, g)
    send_join(a, g)
    for v in (0, 5, 6):
        describe(x, g, v=v)
    recv_join(a)


@scenario()
def describe_tells_each_members_client_id(s):
    """Client ids are those of the connections that joined, not of those that speak now."""
    g = s.group()
    a, b = s.conn("A", "first"), s.conn("B", "second")
    ids(g, a, b)
    enter(a, g)
    enter(b, g)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    c = s.conn("C", "third")
    c.member, c.generation = b.member, b.generation
    heartbeat(c, g)
    join(c, g)
    describe(c, g)


@scenario()
def a_rejoin_from_another_client_is_described_with_the_first(s):
    """A member that takes part in a rebalance over another connection with another client id."""
    g = s.group()
    a = form(s, g, "A")
    a2 = s.conn("A2", "another")
    a2.member = a.member
    join(a2, g)
    sync(a2, g, {a.member: b"all"})
    describe(a2, g)


@scenario()
def authorized_operations_in_every_version(s):
    """From v3, asked for and not asked for, in a living and an unknown group."""
    g, h = s.group(), s.group()
    a = form(s, g, "A")
    for v in (3, 4, 5, 6):
        describe(a, g, h, v=v, include_authorized_operations=True)
        describe(a, g, v=v, include_authorized_operations=False)


@scenario()
def delete_a_group_that_expired(s):
    """Its members are gone by their session timeouts: Empty, to be deleted."""
    g = s.group()
    a = form(s, g, "A", session=1000)
    a.call("DeleteGroups", 2, groups_names=[g])
    s.sleep(1.6)
    a.call("DeleteGroups", 0, groups_names=[g])
    describe(a, g, v=5)


@scenario()
def delete_while_a_plan_is_awaited_or_a_member_waits(s):
    """NON_EMPTY_GROUP with parked syncs and with parked joins."""
    g = s.group()
    a, b = form(s, g)
    x = s.conn("X")
    send_join(a, g)
    x.call("DeleteGroups", 1, groups_names=[g])
    join(b, g)
    recv_join(a)
    send_sync(b, g)
    x.call("DeleteGroups", 2, groups_names=[g, g])
    sync(a, g, {b.member: b"all"})
    b.recv()


@scenario()
def a_deleted_group_knows_its_members_no_more(s):
    """Heartbeat, SyncGroup, JoinGroup, LeaveGroup of a former member: UNKNOWN_MEMBER_ID; commits by what the version says."""
    g, t = s.group(), s.topic()
    a = form(s, g, "A")
    leave(a, g)
    a.call("DeleteGroups", 2, groups_names=[g])
    heartbeat(a, g)
    sync(a, g)
    join(a, g)
    leave(a, g)
    commit(a, g, {t: {0: 1}}, v=8)
    commit(a, g, {t: {0: 1}}, v=9)
    describe(a, g, v=6)


@scenario()
def a_deleted_group_of_static_members_forgets_the_instances(s):
    """The same instance founds the group anew: generation 1."""
    g = s.group()
    a = static(s, "A", "one")
    send_join(a, g)
    recv_join(a)
    leave(a, g)
    a.call("DeleteGroups", 2, groups_names=[g])
    a2 = static(s, "A2", "one", "client-a")
    send_join(a2, g, v=9)
    recv_join(a2)
    heartbeat(a, g)


@scenario()
def delete_names_of_every_kind(s):
    """A living, a simple, a pending and an unknown group in one request, one of them twice."""
    g, h, k, m, t = s.group(), s.group(), s.group(), s.group(), s.topic()
    a = form(s, g, "A")
    commit(a, h, {t: {0: 1}}, generation=-1, member="")
    join(s.conn("P"), k)
    a.call("DeleteGroups", 2, groups_names=[m, g, h, k, h])
    describe(a, g, h, k, m, v=6)
    fetch(a, h, None)


@scenario()
def find_the_coordinator_of_an_odd_name(s):
    """Any text is a group name."""
    c = s.conn("A")
    c.call("FindCoordinator", 0, key="группа 😀")
    for v in (2, 3):
        c.call("FindCoordinator", v, key="группа 😀", key_type=0)
    c.call("FindCoordinator", 4, key_type=0, coordinator_keys=["grüße", " ", "x" * 300])
    c.call("FindCoordinator", 6, key_type=0, coordinator_keys=["a/b", "a\nb"])


@scenario()
def find_the_coordinator_does_not_make_a_group(s):
    """Asking where a group is does not create it."""
    c, g = s.conn("A"), s.group()
    c.call("FindCoordinator", 3, key=g, key_type=0)
    describe(c, g, v=6)
    c.call("ListGroups", 5, states_filter=[], types_filter=[])


@scenario()
def requests_about_an_unknown_group_do_not_make_it(s):
    """Heartbeat, SyncGroup, LeaveGroup, a JoinGroup with an id, OffsetFetch, OffsetDelete."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    heartbeat(c, g, member="x", generation=1)
    sync(c, g, member="x", generation=1)
    leave(c, g, member="x")
    join(c, g, member="x")
    fetch(c, g, None)
    c.call("OffsetDelete", 0, group_id=g, topics=[{"name": t, "partitions": [{"partition_index": 0}]}])
    describe(c, g, v=6)


@scenario()
def a_refused_first_join_and_what_it_leaves(s):
    """Refused for its protocols it leaves an Empty group, refused for its session timeout none."""
    c, g, h = s.conn("A"), s.group(), s.group()
    join(c, g, protocols=())
    describe(c, g, v=6)
    join(c, h, session=1)
    describe(c, h, v=6)


@scenario()
def requests_in_one_go_are_answered_in_order(s):
    """Heartbeat, commit, fetch, describe and list without waiting."""
    g, t = s.group(), s.topic()
    a = form(s, g, "A")
    a.send("Heartbeat", 4, group_id=g, generation_id=1, member_id=a.member)
    a.send("OffsetCommit", 8, group_id=g, generation_id_or_member_epoch=1, member_id=a.member,
           topics=[{"name": t, "partitions": [{"partition_index": 0, "committed_offset": 7, "committed_metadata": ""}]}])
    a.send("OffsetFetch", 8, groups=[{"group_id": g, "topics": None}])
    a.send("DescribeGroups", 5, groups=[g])
    a.send("LeaveGroup", 4, group_id=g, members=[{"member_id": a.member}])
    a.send("Heartbeat", 4, group_id=g, generation_id=1, member_id=a.member)
    for _ in range(6):
        a.recv()
