"""JoinGroup: which check comes first, how long a group waits, what a second JoinGroup changes."""
from acts import describe, enter, form, heartbeat, ids, join, leave, recv_join, rejoin, send_join, settle, sync
from oracle import scenario

CHAPTER = "JoinGroup, more"
BOTH = (("range", b"r"), ("sticky", b"s"))


@scenario()
def join_looks_at_the_group_id_before_the_session_timeout(s):
    """INVALID_GROUP_ID before INVALID_SESSION_TIMEOUT, and that before the member id."""
    c, g = s.conn("A"), s.group()
    join(c, "", session=0)
    join(c, "", session=0, member="nobody", v=9)
    join(c, g, session=0, member="nobody")
    join(c, g, member="nobody", protocols=())


@scenario()
def join_looks_at_the_protocols_before_the_member(s):
    """In a living group a stranger with a foreign protocol hears INCONSISTENT_GROUP_PROTOCOL, with a known one UNKNOWN_MEMBER_ID."""
    g = s.group()
    a = form(s, g, "A")
    x = s.conn("X")
    join(x, g, member="nobody", protocols=(("sticky", b"s"),))
    join(x, g, member="nobody", kind="connect")
    join(x, g, member="nobody")
    heartbeat(a, g)


@scenario()
def no_id_is_given_out_for_a_foreign_protocol(s):
    """The protocols are looked at before MEMBER_ID_REQUIRED: the refused newcomer does not hold the next rebalance."""
    g = s.group()
    a = form(s, g, "A")
    x = s.conn("X")
    join(x, g, protocols=(("sticky", b"s"),))
    join(x, g, kind="connect", v=9)
    join(a, g)


@scenario()
def an_id_given_out_survives_a_refusal(s):
    """A pending id that comes with a foreign protocol or a bad timeout is refused and may come again."""
    g = s.group()
    a = form(s, g, "A")
    x = s.conn("X")
    join(x, g)
    send_join(x, g, protocols=(("sticky", b"s"),))
    x.recv()
    send_join(x, g, session=1)
    x.recv()
    send_join(x, g)
    x.waits(0.3)
    join(a, g)
    recv_join(x)


@scenario()
def an_id_given_out_may_be_used_in_an_older_version(s):
    """The id of a v7 answer joins by v2 and by v0."""
    for v in (0, 2, 4):
        g = s.group()
        a = s.conn(f"A{v}")
        join(a, g)
        send_join(a, g, v=v)
        recv_join(a)


@scenario()
def an_id_given_out_ends_with_its_session_timeout(s):
    """Not used within the session timeout of its first JoinGroup: unknown."""
    g = s.group()
    a = s.conn("A")
    join(a, g, session=1000)
    s.sleep(1.6)
    send_join(a, g, session=1000)
    a.recv()
    describe(a, g)


@scenario()
def an_id_given_out_is_not_kept_by_heartbeats(s):
    """Only a JoinGroup makes it a member."""
    g = s.group()
    a = s.conn("A")
    join(a, g, session=1200)
    s.sleep(0.8)
    heartbeat(a, g, generation=0)
    s.sleep(0.9)
    send_join(a, g)
    a.recv()


@scenario()
def an_id_of_another_group_is_unknown(s):
    """Ids belong to one group, given out or joined."""
    g, h = s.group(), s.group()
    a, b = s.conn("A"), s.conn("B")
    join(a, g)
    join(b, h)
    send_join(a, h)
    a.recv()
    send_join(a, g)
    recv_join(a)
    send_join(a, h)
    a.recv()


@scenario()
def an_id_that_leaves_lets_the_others_go_on(s):
    """A rebalance waits for a pending id; when that leaves, the others are answered at once."""
    g = s.group()
    a = form(s, g, "A")
    x = s.conn("X")
    join(x, g)
    send_join(a, g)
    a.waits(0.4)
    leave(x, g)
    recv_join(a)


@scenario()
def two_ids_given_out_are_both_waited_for(s):
    """One joins, the other leaves; only then the rebalance ends."""
    g = s.group()
    a = form(s, g, "A")
    x, y = s.conn("X"), s.conn("Y")
    join(x, g)
    join(y, g)
    send_join(a, g)
    a.waits(0.3)
    send_join(x, g)
    a.waits(0.3)
    leave(y, g, v=2)
    recv_join(a)
    recv_join(x)


@scenario()
def an_id_given_out_while_a_rebalance_is_prepared_is_waited_for(s):
    """Also one that asks for its id after the rebalance began."""
    g = s.group()
    a, b = form(s, g)
    send_join(a, g)
    x = s.conn("X")
    join(x, g)
    send_join(b, g)
    a.waits(0.3)
    send_join(x, g)
    recv_join(a)
    recv_join(b)
    recv_join(x)


@scenario()
def an_id_given_out_does_not_disturb_a_stable_group(s):
    """The rebalance begins when the id joins, not when it is asked for."""
    g = s.group()
    a, b = form(s, g)
    x = s.conn("X")
    join(x, g)
    heartbeat(a, g)
    describe(a, g)
    send_join(x, g)
    heartbeat(b, g)
    rejoin(g, a, b)
    recv_join(x)


@scenario()
def each_newcomer_prolongs_the_initial_delay_again(s):
    """A at once, B in the first window, C in the second: one generation after three delays."""
    g = s.group()
    a, b, c = s.conn("A"), s.conn("B"), s.conn("C")
    ids(g, a, b, c)
    send_join(a, g)
    s.sleep(0.15)
    send_join(b, g)
    s.sleep(0.5)
    send_join(c, g)
    for m in (a, b, c):
        recv_join(m)


@scenario()
def the_initial_delay_is_bounded_by_the_timeout_of_the_first(s):
    """The bound is taken when the group begins: a later member's long rebalance timeout does not lengthen it."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b)
    send_join(a, g, rebalance=800)
    send_join(b, g, rebalance=20_000)
    recv_join(a)
    recv_join(b)


@scenario()
def a_rebalance_timeout_below_the_initial_delay_does_not_shorten_it(s):
    """The first window is always waited for, and there is no second."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b)
    send_join(a, g, rebalance=100)
    send_join(b, g, rebalance=100)
    recv_join(a)
    recv_join(b)


@scenario()
def joining_twice_during_the_initial_delay(s):
    """The second JoinGroup takes the place of the first and opens no second window."""
    g = s.group()
    a = s.conn("A")
    join(a, g)
    send_join(a, g)
    a2 = s.conn("A2", "client-a")
    a2.member = a.member
    send_join(a2, g)
    recv_join(a2)
    a.superseded()
    describe(a2, g)


@scenario()
def an_emptied_group_begins_with_the_initial_delay(s):
    """After the last leave the next first member waits for the initial delay; generations go on."""
    g = s.group()
    a = form(s, g, "A")
    leave(a, g)
    b, c = s.conn("B"), s.conn("C")
    ids(g, b, c)
    send_join(b, g)
    send_join(c, g)
    b.waits(0.3)
    recv_join(b)
    recv_join(c)


@scenario()
def the_only_member_leaves_during_the_initial_delay(s):
    """Its JoinGroup gets UNKNOWN_MEMBER_ID; the group is Empty when the delay is over, one generation later."""
    g = s.group()
    a, x = s.conn("A"), s.conn("X")
    join(a, g)
    send_join(a, g)
    leave(x, g, member=a.member)
    a.recv()
    s.sleep(1.0)
    describe(x, g)
    send_join(x, g, v=3)
    recv_join(x)


@scenario()
def a_rebalance_waits_for_the_longest_rebalance_timeout(s):
    """Not for that of the member that is missing."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b)
    enter(a, g, rebalance=2500)
    enter(b, g, rebalance=1000)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    send_join(a, g, rebalance=2500)
    a.waits(1.8)
    recv_join(a)


@scenario()
def a_rejoin_brings_its_own_rebalance_timeout(s):
    """The leader starts a rebalance with a longer timeout than before: that one counts."""
    g = s.group()
    a, b = form(s, g, rebalance=1000)
    send_join(a, g, rebalance=2500)
    a.waits(1.8)
    recv_join(a)
    heartbeat(b, g)


@scenario()
def a_rejoin_brings_its_own_session_timeout(s):
    """A member that takes part in a rebalance with a shorter session timeout lives by it."""
    g = s.group()
    a, b = form(s, g)
    send_join(a, g)
    send_join(b, g, session=1000)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    s.sleep(1.6)
    heartbeat(a, g)
    heartbeat(b, g)


@scenario()
def an_unchanged_rejoin_does_not_bring_a_session_timeout(s):
    """A follower's JoinGroup with the same protocols in Stable changes nothing, its session timeout included."""
    g = s.group()
    a, b = form(s, g)
    join(b, g, session=1000)
    s.sleep(1.6)
    heartbeat(b, g)
    heartbeat(a, g)


@scenario()
def a_leader_that_does_not_rejoin_is_replaced(s):
    """The rebalance timeout ends without the leader: it is out, the member that waits leads."""
    g = s.group()
    a, b = form(s, g, rebalance=1200)
    send_join(b, g, rebalance=1200, protocols=(("range", b"changed"),))
    heartbeat(a, g)
    recv_join(b)
    heartbeat(a, g)
    sync(b, g, {b.member: b"all"})


@scenario()
def a_leader_that_rejoins_late_still_leads(s):
    """Who begins the rebalance and who comes first does not matter."""
    g = s.group()
    a, b = form(s, g)
    send_join(b, g, protocols=(("range", b"changed"),))
    b.waits(0.3)
    join(a, g)
    recv_join(b)


@scenario()
def the_same_protocols_in_another_order_are_a_change(s):
    """In Stable a follower that only reorders its protocols starts a rebalance."""
    g = s.group()
    a, b = form(s, g, protocols=BOTH)
    send_join(b, g, protocols=BOTH[::-1])
    b.waits(0.3)
    heartbeat(a, g)
    send_join(a, g, protocols=BOTH[:1])
    recv_join(a)
    recv_join(b)


@scenario()
def one_protocol_more_is_a_change(s):
    """In Stable a follower that lists one more protocol starts a rebalance."""
    g = s.group()
    a, b = form(s, g)
    send_join(b, g, protocols=(("range", b"m"), ("sticky", b"s")))
    b.waits(0.3)
    join(a, g)
    recv_join(b)


@scenario()
def one_protocol_less_is_a_change(s):
    """Even if the one that is left is the chosen one."""
    g = s.group()
    a, b = form(s, g, protocols=BOTH)
    send_join(b, g, protocols=BOTH[:1])
    b.waits(0.3)
    join(a, g, protocols=BOTH)
    recv_join(b)


@scenario()
def a_changed_metadata_of_a_protocol_not_chosen_is_a_change(s):
    """All protocols are compared, not only the chosen one."""
    g = s.group()
    a, b = form(s, g, protocols=BOTH)
    send_join(b, g, protocols=(("range", b"r"), ("sticky", b"other")))
    b.waits(0.3)
    join(a, g, protocols=BOTH)
    recv_join(b)


@scenario()
def a_leader_with_other_metadata_while_its_plan_is_awaited(s):
    """In CompletingRebalance a leader with changed metadata starts over."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b)
    enter(a, g)
    enter(b, g)
    recv_join(a)
    recv_join(b)
    send_join(a, g, protocols=(("range", b"other"),))
    heartbeat(b, g)
    join(b, g)
    recv_join(a)


@scenario()
def the_vote_follows_the_members(s):
    """A newcomer that knows less changes the protocol; when it has left the old choice is back."""
    g = s.group()
    a = form(s, g, "A", protocols=BOTH)
    x = s.conn("X")
    enter(x, g, protocols=BOTH[1:])
    join(a, g, protocols=BOTH)
    recv_join(x)
    settle(g, a, x)
    describe(a, g)
    leave(x, g)
    join(a, g, protocols=BOTH)


@scenario()
def three_members_vote(s):
    """Two prefer one protocol, the third another: the two win, also against the leader."""
    g = s.group()
    a, b, c = s.conn("A"), s.conn("B"), s.conn("C")
    ids(g, a, b, c)
    send_join(a, g, protocols=BOTH)
    send_join(b, g, protocols=BOTH[::-1])
    send_join(c, g, protocols=BOTH[::-1])
    for m in (a, b, c):
        recv_join(m)


@scenario()
def a_vote_for_an_excluded_protocol_goes_to_the_next(s):
    """A member whose first choice somebody lacks votes for its second."""
    g = s.group()
    a, b, c = s.conn("A"), s.conn("B"), s.conn("C")
    ids(g, a, b, c)
    send_join(a, g, protocols=(("x", b"1"), ("y", b"2"), ("z", b"3")))
    send_join(b, g, protocols=(("x", b"1"), ("z", b"3"), ("y", b"2")))
    send_join(c, g, protocols=(("z", b"3"), ("y", b"2")))
    for m in (a, b, c):
        recv_join(m)


@scenario()
def members_of_every_version_in_one_generation(s):
    """v0, v3, v5, v6, v8 and v9 in one group; each is answered in its own version."""
    g = s.group()
    conns = [(s.conn(f"V{v}"), v) for v in (9, 0, 3, 5, 6, 8)]
    for c, _ in conns:
        join(c, g)
    for c, v in conns:
        send_join(c, g, v=v, protocols=(("range", b"v%d" % v),))
    for c, _ in conns:
        recv_join(c)


@scenario()
def a_rejoin_in_another_version(s):
    """A member that joined with v7 rejoins with v1 and with v9."""
    g = s.group()
    a, b = form(s, g)
    for v in (1, 9):
        send_join(a, g, v=v)
        send_join(b, g, v=v)
        recv_join(a)
        recv_join(b)


@scenario()
def a_foreign_protocol_is_refused_in_every_state(s):
    """While a rebalance is prepared and while the plan is awaited, too."""
    g = s.group()
    a, b = form(s, g)
    x = s.conn("X")
    send_join(a, g)
    join(x, g, v=3, protocols=(("sticky", b"s"),))
    join(b, g)
    recv_join(a)
    join(x, g, v=8, protocols=(("sticky", b"s"),))
    heartbeat(b, g)


@scenario()
def protocol_names_and_metadata_may_be_empty(s):
    """An empty name is a name, empty metadata is metadata."""
    g = s.group()
    a = s.conn("A")
    join(a, g, kind="connect", protocols=(("", b""),))
    send_join(a, g, kind="connect", protocols=(("", b""),))
    recv_join(a)
    sync(a, g, {a.member: b""})
    describe(a, g)


@scenario()
def a_name_in_any_script(s):
    """Client ids and protocol names in any script, and beyond the basic plane."""
    g = s.group()
    a = s.conn("A", "клиент-😀")
    join(a, g, protocols=(("grüße", b"m"),))
    send_join(a, g, protocols=(("grüße", b"m"),))
    recv_join(a)
    sync(a, g, {a.member: b"all"})
    describe(a, g, v=5)


@scenario()
def a_reason_may_be_long_or_missing(s):
    """Reasons of v8 and v9 change nothing."""
    g = s.group()
    a = s.conn("A")
    join(a, g, v=9, reason="x" * 2000)
    send_join(a, g, v=9, reason="")
    recv_join(a)
    send_join(a, g, v=8)
    recv_join(a)


@scenario()
def one_connection_speaks_for_members_of_two_groups(s):
    """The groups do not know of each other."""
    g, h = s.group(), s.group()
    a = s.conn("A")
    send_join(a, g, v=3, member="")
    recv_join(a)
    first = a.member
    send_join(a, h, v=3, member="")
    recv_join(a)
    heartbeat(a, g)
    heartbeat(a, g, member=first)
    heartbeat(a, h)


@scenario()
def a_member_without_client_id(s):
    """An empty client id makes a member id that begins with a hyphen."""
    g = s.group()
    a = s.conn("A")
    a.client_id = ""
    s.names.clients.add("")
    join(a, g)
    send_join(a, g)
    recv_join(a)
    describe(a, g)


@scenario()
def a_rebalance_timeout_of_zero(s):
    """Nobody is waited for: the leader's JoinGroup drops the others at once."""
    g = s.group()
    a, b = form(s, g, rebalance=20_000)
    send_join(a, g, rebalance=0)
    send_join(b, g, rebalance=0)
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    send_join(a, g, rebalance=0)
    recv_join(a)
    heartbeat(b, g)


@scenario()
def the_longest_rebalance_timeout_there_is(s):
    """The largest number is waited for without harm, and a complete group does not wait."""
    g = s.group()
    a, b = form(s, g, rebalance=2**31 - 1)
    send_join(a, g, rebalance=2**31 - 1)
    a.waits(0.4)
    join(b, g, rebalance=2**31 - 1)
    recv_join(a)


@scenario()
def two_newcomers_at_once(s):
    """Both park until the member has joined again: one generation for all."""
    g = s.group()
    a = form(s, g, "A")
    x, y = s.conn("X"), s.conn("Y")
    ids(g, x, y)
    send_join(x, g)
    send_join(y, g)
    x.waits(0.2)
    join(a, g)
    recv_join(x)
    recv_join(y)


@scenario()
def a_refused_newcomer_is_welcome_when_the_odd_member_has_left(s):
    """What all members know is asked anew each time."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b, protocols=BOTH)
    send_join(a, g, protocols=BOTH)
    send_join(b, g, protocols=BOTH[:1])
    recv_join(a)
    recv_join(b)
    settle(g, a, b)
    x = s.conn("X")
    join(x, g, v=3, protocols=BOTH[1:])
    leave(b, g)
    send_join(x, g, v=3, protocols=BOTH[1:])
    x.waits(0.2)
    join(a, g, protocols=BOTH)
    recv_join(x)


@scenario()
def an_emptied_group_may_choose_another_protocol(s):
    """When all have left nothing of their protocols is left either."""
    g = s.group()
    a = form(s, g, "A")
    leave(a, g)
    x = s.conn("X")
    send_join(x, g, v=3, protocols=BOTH[1:])
    recv_join(x)
    describe(x, g)


@scenario()
def a_leader_asks_again_in_every_version_while_its_plan_is_awaited(s):
    """The same generation and the list, in v0 to v9; skip_assignment is false."""
    g = s.group()
    a, b = s.conn("A"), s.conn("B")
    ids(g, a, b)
    enter(a, g)
    enter(b, g)
    recv_join(a)
    recv_join(b)
    for v in (0, 2, 5, 6, 8, 9):
        join(a, g, v=v)
        join(b, g, v=v)


@scenario()
def an_unchanged_follower_asks_again_in_every_version(s):
    """In Stable: the same generation, no list, no rebalance."""
    g = s.group()
    a, b = form(s, g)
    for v in (0, 2, 5, 6, 8, 9):
        join(b, g, v=v)
    heartbeat(a, g)


@scenario()
def a_newcomer_after_the_only_member_left_during_the_initial_delay(s):
    """The type of the group stays, and whoever shares it is welcome, whatever its protocols."""
    g = s.group()
    a, x, b, c = s.conn("A"), s.conn("X"), s.conn("B"), s.conn("C")
    ids(g, a)
    enter(a, g)
    leave(x, g, member=a.member)
    recv_join(a)
    join(c, g, v=3, member="", kind="connect")
    send_join(b, g, v=3, member="", protocols=(("other", b"m"),))
    recv_join(b)
    heartbeat(b, g)
