"""group.max.size=2, in the suite max-size: what counts, what is checked first."""
from acts import describe, enter, form, heartbeat, ids, join, leave, recv_join, rejoin, send_join, send_sync, settle, static, static_group, sync
from oracle import scenario

CHAPTER = "group.max.size, more"


@scenario("max-size")
def a_full_group_refuses_in_every_version(s):
    """v0 to v9, with and without an instance id: GROUP_MAX_SIZE_REACHED, no member id."""
    g = s.group()
    a, b = form(s, g)
    x = s.conn("X")
    for v in range(10):
        join(x, g, v=v)
    y = static(s, "Y", "one")
    join(y, g, v=5)
    heartbeat(a, g)


@scenario("max-size")
def a_full_group_is_full_before_anything_else(s):
    """The size is looked at before the protocols and the member id; session timeout and group id come before it."""
    g = s.group()
    a, b = form(s, g)
    x = s.conn("X")
    join(x, g, protocols=(("sticky", b"s"),))
    join(x, g, kind="connect", v=9)
    join(x, g, member="nobody")
    join(x, g, session=1)
    heartbeat(a, g)


@scenario("max-size")
def a_group_fills_during_the_initial_delay(s):
    """Two wait, the third is refused at once."""
    g = s.group()
    a, b, x = s.conn("A"), s.conn("B"), s.conn("X")
    ids(g, a, b)
    send_join(a, g)
    send_join(b, g)
    join(x, g, v=3)
    join(x, g, v=9)
    recv_join(a)
    recv_join(b)


@scenario("max-size")
def a_refused_id_is_given_up(s):
    """An id given out while there was room is forgotten when it is refused, yet the others wait for the rebalance timeout."""
    g = s.group()
    a, x = form(s, g, "A", rebalance=1500), s.conn("X")
    join(x, g)
    b = s.conn("B")
    enter(b, g, rebalance=1500)
    send_join(a, g, rebalance=1500)
    send_join(x, g)
    x.recv()
    recv_join(a)
    recv_join(b)
    leave(b, g)
    send_join(x, g)
    x.recv()


@scenario("max-size")
def a_full_group_while_its_plan_is_awaited(s):
    """A newcomer is refused, members may ask again."""
    g = s.group()
    a, b, x = s.conn("A"), s.conn("B"), s.conn("X")
    ids(g, a, b)
    enter(a, g)
    enter(b, g)
    recv_join(a)
    recv_join(b)
    send_sync(b, g)
    join(x, g, v=3)
    join(x, g)
    join(a, g)
    sync(a, g, {b.member: b"all"})
    b.recv()


@scenario("max-size")
def an_emptied_group_takes_members_again(s):
    """After all have left two others may found it."""
    g = s.group()
    a, b = form(s, g)
    a.call("LeaveGroup", 4, group_id=g, members=[{"member_id": a.member}, {"member_id": b.member}])
    c, d, x = s.conn("C"), s.conn("D"), s.conn("X")
    ids(g, c, d)
    send_join(c, g)
    send_join(d, g)
    recv_join(c)
    recv_join(d)
    join(x, g)


@scenario("max-size")
def a_place_of_an_expired_member_can_be_taken(s):
    """A session timeout makes room."""
    g = s.group()
    a, b, x = s.conn("A"), s.conn("B"), s.conn("X")
    ids(g, a, b)
    enter(a, g)
    enter(b, g, session=1000)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    join(x, g, v=3)
    s.sleep(1.6)
    send_join(x, g, v=3)
    x.waits(0.3)
    join(a, g)
    recv_join(x)


@scenario("max-size")
def a_static_restart_where_there_is_room(s):
    """One static member alone in a group of two places restarts without a rebalance."""
    g = s.group()
    a = static(s, "A", "one")
    send_join(a, g)
    recv_join(a)
    settle(g, a)
    a2 = static(s, "A2", "one", "client-a")
    join(a2, g, v=9)
    heartbeat(a, g)
    heartbeat(a2, g)


@scenario("max-size")
def a_member_that_waits_may_join_again_in_a_full_group(s):
    """Its second JoinGroup takes the place of the first."""
    g = s.group()
    a, b = form(s, g)
    send_join(a, g)
    a2 = s.conn("A2", "client-a")
    a2.member = a.member
    send_join(a2, g)
    join(b, g)
    recv_join(a2)
    a.superseded()


@scenario("max-size")
def a_static_restart_while_a_full_group_rebalances(s):
    """In PreparingRebalance places go to those who wait: a restart finds room."""
    g = s.group()
    a, b = static_group(s, g)
    send_join(a, g)
    b2 = static(s, "B2", "two", "client-b")
    join(b2, g)
    recv_join(a)
    heartbeat(b, g)
