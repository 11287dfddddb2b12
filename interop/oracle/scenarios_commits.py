"""OffsetCommit, OffsetFetch, OffsetDelete: who may when, in which version, and what is left."""
from acts import commit, describe, enter, fetch, form, heartbeat, ids, join, leave, recv_join, send_join, settle, static, static_group, sync
from oracle import scenario

CHAPTER = "Offsets, more"


def delete(c, g, topics):
    return c.call("OffsetDelete", 0, group_id=g, topics=[{"name": t, "partitions": [{"partition_index": p} for p in ps]} for t, ps in topics.items()])


def raw_commit(c, g, topics, v=7, generation=-1, member=""):
    """topics: a list of (name, [(partition, offset)]), names may come twice."""
    return c.call("OffsetCommit", v, group_id=g, generation_id_or_member_epoch=generation, member_id=member, topics=[
        {"name": t, "partitions": [{"partition_index": p, "committed_offset": o, "committed_metadata": ""} for p, o in ps]} for t, ps in topics])


@scenario()
def a_member_commits_in_every_version(s):
    """v2 to v9 with the right generation, then with a wrong one."""
    g, t = s.group(), s.topic()
    a = form(s, g, "A")
    for v in range(2, 10):
        commit(a, g, {t: {0: v}}, v=v)
        commit(a, g, {t: {0: 100}}, v=v, generation=9)
    fetch(a, g, {t: [0]}, v=9)


@scenario()
def strangers_commit_to_a_living_group_in_every_version(s):
    """UNKNOWN_MEMBER_ID, without and with an id; v9 is no different."""
    g, t = s.group(), s.topic()
    form(s, g, "A")
    x = s.conn("X")
    for v in range(2, 10):
        commit(x, g, {t: {0: v}}, v=v)
        commit(x, g, {t: {0: v}}, v=v, member="nobody", generation=1)


@scenario()
def a_commit_during_the_initial_delay(s):
    """A member whose JoinGroup waits has generation 0 and may commit with it."""
    g, t = s.group(), s.topic()
    a, x = s.conn("A"), s.conn("X")
    join(a, g)
    send_join(a, g)
    commit(x, g, {t: {0: 1}}, member=a.member, generation=0)
    commit(x, g, {t: {0: 2}}, member=a.member, generation=1)
    commit(x, g, {t: {0: 3}})
    recv_join(a)
    fetch(x, g, {t: [0]})


@scenario()
def a_commit_of_an_id_not_yet_used(s):
    """It is no member: generation 0 is UNKNOWN_MEMBER_ID; the group is Empty, so generation -1 is accepted."""
    g, t = s.group(), s.topic()
    a = s.conn("A")
    join(a, g)
    commit(a, g, {t: {0: 1}}, generation=0)
    commit(a, g, {t: {0: 2}}, generation=-1)
    fetch(a, g, {t: [0]})


@scenario()
def a_commit_with_a_generation_to_a_group_of_simple_consumers(s):
    """Nobody is a member of it: UNKNOWN_MEMBER_ID in v2 and in v9."""
    g, t = s.group(), s.topic()
    c = s.conn("A")
    commit(c, g, {t: {0: 1}})
    commit(c, g, {t: {0: 2}}, v=2, generation=0, member="nobody")
    commit(c, g, {t: {0: 2}}, v=9, generation=1)
    commit(c, g, {t: {0: 3}}, v=9, member="nobody")
    fetch(c, g, {t: [0]})


@scenario()
def a_commit_with_an_instance_id_alone(s):
    """Generation -1 and no member id into a living group: unknown instances 25, known ones 82."""
    g, t = s.group(), s.topic()
    a, b = static_group(s, g)
    x = s.conn("X")
    commit(x, g, {t: {0: 1}}, group_instance_id="one")
    commit(x, g, {t: {0: 1}}, group_instance_id="nine")
    commit(x, g, {t: {0: 1}}, v=9, group_instance_id="one")
    commit(x, g, {t: {0: 1}}, v=8, group_instance_id="one", member=a.member)


@scenario()
def a_commit_of_a_member_that_did_not_rejoin(s):
    """A dynamic one is UNKNOWN_MEMBER_ID once the generation has begun without it."""
    g, t = s.group(), s.topic()
    a, b = form(s, g, rebalance=1000)
    send_join(a, g, rebalance=1000)
    commit(b, g, {t: {0: 1}})
    recv_join(a)
    commit(b, g, {t: {0: 2}})
    sync(a, g, {a.member: b"all"})
    commit(b, g, {t: {0: 3}}, v=9)
    fetch(a, g, {t: [0]})


@scenario()
def the_state_hides_too_large_metadata(s):
    """In CompletingRebalance REBALANCE_IN_PROGRESS and not OFFSET_METADATA_TOO_LARGE; unknown topics are told all the same."""
    g, t = s.group(), s.topic()
    a, b = form(s, g)
    send_join(a, g)
    join(b, g)
    recv_join(a)
    commit(b, g, {t: {0: (1, "x" * 5000), 1: 5, 7: 1}, "no-such-topic": {0: 1}})
    settle(g, a, b)
    commit(b, g, {t: {0: (1, "x" * 5000), 1: 5, 7: 1}, "no-such-topic": {0: 1}})


@scenario()
def too_large_metadata_in_every_partition(s):
    """Nothing is stored, and the group that was made for it shows."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    commit(c, g, {t: {0: (1, "x" * 5000), 1: (2, "y" * 4097)}}, v=9)
    fetch(c, g, None)
    describe(c, g, v=6)


@scenario()
def the_same_topic_twice_in_one_commit(s):
    """Both are answered; the later offset of a partition counts."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    raw_commit(c, g, [(t, [(0, 1), (1, 1)]), (t, [(0, 2)])])
    fetch(c, g, {t: [0, 1]})


@scenario()
def the_same_unknown_topic_twice_in_one_commit(s):
    """As many answers as entries."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    raw_commit(c, g, [("no-such-topic", [(0, 1)]), ("no-such-topic", [(0, 2), (0, 3)]), (t, [(9, 1), (9, 2), (0, 7)])])
    fetch(c, g, None)


@scenario()
def known_and_unknown_topics_twice_in_one_commit(s):
    """Once anything is refused beforehand, entries of the same topic become one in the answer."""
    c, g, t, u = s.conn("A"), s.group(), s.topic(), s.topic()
    raw_commit(c, g, [(t, [(0, 1), (9, 1)]), (u, [(0, 1)]), (t, [(1, 2)]), (u, [(1, 3)])])
    raw_commit(c, g, [(t, [(0, 1)]), (u, [(0, 1)]), (t, [(1, 2)]), (u, [(1, 3)]), ("no-such-topic", [(0, 1)])], v=8)
    raw_commit(c, g, [(t, [(0, 1), (9, 1)]), (t, [(1, 2)])], generation=5, member="nobody")
    fetch(c, g, None)


@scenario()
def offsets_deleted_of_a_topic_named_twice(s):
    """As many entries as asked, or one when anything is refused beforehand."""
    c, g, t, u = s.conn("A"), s.group(), s.topic(), s.topic()
    commit(c, g, {t: {0: 1, 1: 2}, u: {0: 3}})
    c.call("OffsetDelete", 0, group_id=g, topics=[{"name": n, "partitions": [{"partition_index": p}]} for n, p in ((t, 0), (u, 1), (t, 0))])
    c.call("OffsetDelete", 0, group_id=g, topics=[{"name": n, "partitions": [{"partition_index": p}]} for n, p in (
        (t, 0), (u, 0), (t, 1), ("no-such-topic", 0), (t, 9), ("no-such-topic", 1), (u, 0))])
    fetch(c, g, None)


@scenario()
def a_commit_of_many_partitions(s):
    """A hundred and twenty partitions in one request."""
    c, g, t = s.conn("A"), s.group(), s.topic(120)
    commit(c, g, {t: {p: p * 3 for p in range(120)}}, v=8)
    fetch(c, g, None, v=8)


@scenario()
def a_commit_with_odd_leader_epochs(s):
    """0, -1, -5 and the largest: kept as they are."""
    c, g, t = s.conn("A"), s.group(), s.topic(4)
    c.call("OffsetCommit", 9, group_id=g, generation_id_or_member_epoch=-1, member_id="", topics=[{"name": t, "partitions": [
        {"partition_index": p, "committed_offset": 5, "committed_leader_epoch": e, "committed_metadata": "x"} for p, e in enumerate((0, -1, -5, 2**31 - 1))]}])
    fetch(c, g, {t: [0, 1, 2, 3]}, v=9)
    fetch(c, g, {t: [0, 1, 2, 3]}, v=4)


@scenario()
def a_commit_with_the_largest_offset(s):
    """The range of an offset is not checked at either end."""
    c, g, t = s.conn("A"), s.group(), s.topic(2)
    commit(c, g, {t: {0: 2**63 - 1, 1: -2**63}})
    fetch(c, g, {t: [0, 1]})


@scenario()
def metadata_in_any_script(s):
    """Read back as it was committed, in a version with and one without compact strings."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    commit(c, g, {t: {0: (1, "grüße 😀 \u0000 группа"), 1: (2, " ")}}, v=8)
    fetch(c, g, {t: [0, 1]}, v=5)
    fetch(c, g, {t: [0, 1]}, v=6)


@scenario()
def the_retention_time_of_a_commit_may_be_odd(s):
    """0, -5 and the largest retention time of v2 to v4 are accepted and the offset is there."""
    c, g, t = s.conn("A"), s.group(), s.topic(4)
    commit(c, g, {t: {0: 1}}, v=2, retention_time_ms=0)
    commit(c, g, {t: {1: 2}}, v=3, retention_time_ms=-5)
    commit(c, g, {t: {2: 3}}, v=4, retention_time_ms=2**63 - 1)
    fetch(c, g, {t: [0, 1, 2]})


@scenario()
def an_offset_is_replaced_with_all_its_fields(s):
    """A later commit without epoch and metadata clears those of the former."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    c.call("OffsetCommit", 6, group_id=g, generation_id_or_member_epoch=-1, member_id="", topics=[{"name": t, "partitions": [
        {"partition_index": 0, "committed_offset": 5, "committed_leader_epoch": 3, "committed_metadata": "x"}]}])
    commit(c, g, {t: {0: (6, None)}}, v=3)
    fetch(c, g, {t: [0]}, v=7)


@scenario()
def fetch_names_a_partition_twice(s):
    """Answered as often as asked."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    commit(c, g, {t: {0: 5}})
    fetch(c, g, {t: [0, 0, 1]})
    fetch(c, g, {t: [0, 0]}, v=8)


@scenario()
def fetch_names_a_topic_twice_or_without_partitions(s):
    """A topic without partitions is answered without."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    commit(c, g, {t: {0: 5, 1: 6}})
    for v in (1, 5, 7):
        c.call("OffsetFetch", v, group_id=g, topics=[{"name": t, "partition_indexes": [0]}, {"name": t, "partition_indexes": []}, {"name": t, "partition_indexes": [1]}])
    c.call("OffsetFetch", 9, groups=[{"group_id": g, "topics": [{"name": t, "partition_indexes": []}, {"name": t, "partition_indexes": [1]}]}])


@scenario()
def fetch_of_negative_and_huge_partitions(s):
    """No commit, no error."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    commit(c, g, {t: {0: 5}})
    fetch(c, g, {t: [-1, 2**31 - 1]})
    fetch(c, g, {"": [0]}, v=8)


@scenario()
def fetch_under_an_empty_group_id_in_several_versions(s):
    """The empty group id may be asked for in every version."""
    s.ready("")
    c, t = s.conn("A"), s.topic()
    for v in (1, 2, 5, 7, 8, 9):
        fetch(c, "", {t: [0]}, v=v)


@scenario()
def fetch_of_a_living_group_by_anybody(s):
    """In Stable, Empty and with an id given out."""
    g, t = s.group(), s.topic()
    a = form(s, g, "A")
    commit(a, g, {t: {0: 5}})
    x = s.conn("X")
    fetch(x, g, None, v=6)
    leave(a, g)
    fetch(x, g, None, v=7, require_stable=True)
    join(x, g)
    fetch(x, g, None, v=9)


@scenario()
def fetch_of_all_topics_after_some_were_deleted(s):
    """What was deleted is not listed; a topic without offsets is not either."""
    c, g, t, u = s.conn("A"), s.group(), s.topic(), s.topic()
    commit(c, g, {t: {0: 1, 1: 2}, u: {0: 3}})
    delete(c, g, {t: [0], u: [0]})
    fetch(c, g, None, v=5)
    delete(c, g, {t: [1]})
    fetch(c, g, None, v=8)
    describe(c, g, v=6)
    commit(c, g, {t: {1: 9}})
    fetch(c, g, None, v=2)


@scenario()
def offsets_deleted_with_nothing_named(s):
    """No topics and a topic without partitions are no errors."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    commit(c, g, {t: {0: 1}})
    delete(c, g, {})
    delete(c, g, {t: []})
    fetch(c, g, {t: [0]})


@scenario()
def offsets_deleted_twice_in_one_request(s):
    """A partition named twice."""
    c, g, t = s.conn("A"), s.group(), s.topic()
    commit(c, g, {t: {0: 1}})
    delete(c, g, {t: [0, 0]})
    fetch(c, g, {t: [0]})


@scenario()
def a_newcomers_topics_may_be_deleted_until_it_is_in(s):
    """The subscriptions are those of the last generation that began."""
    g, t, u = s.group(), s.topic(), s.topic()
    a, b = s.conn("A"), s.conn("B")
    enter(a, g, protocols=(("range", s.subscription(t)),))
    recv_join(a)
    sync(a, g, {a.member: b"all"})
    commit(a, g, {t: {0: 1}, u: {0: 2, 1: 3}})
    enter(b, g, protocols=(("range", s.subscription(u)),))
    x = s.conn("X")
    delete(x, g, {t: [0], u: [0]})
    join(a, g, protocols=(("range", s.subscription(t)),))
    recv_join(b)
    delete(x, g, {t: [0], u: [1]})
    fetch(x, g, None)


@scenario()
def a_topic_nobody_names_any_more_may_be_deleted(s):
    """The leader joins again without the topic."""
    g, t, u = s.group(), s.topic(), s.topic()
    a = s.conn("A")
    enter(a, g, protocols=(("range", s.subscription(t, u)),))
    recv_join(a)
    sync(a, g, {a.member: b"all"})
    commit(a, g, {t: {0: 1}, u: {0: 2}})
    delete(a, g, {u: [0]})
    join(a, g, protocols=(("range", s.subscription(t)),))
    delete(a, g, {t: [0], u: [0]})
    fetch(a, g, None)


@scenario()
def offsets_of_a_connect_group_stay_in_every_state(s):
    """NON_EMPTY_GROUP while a rebalance is prepared and while the plan is awaited."""
    g, t = s.group(), s.topic()
    a, x = s.conn("A"), s.conn("X")
    join(a, g, kind="connect")
    delete(x, g, {t: [0]})
    send_join(a, g, kind="connect")
    delete(x, g, {t: [0]})
    recv_join(a)
    delete(x, g, {t: [0]})
    delete(x, g, {})


@scenario()
def offsets_of_a_deleted_group_begin_anew(s):
    """The same name commits again: a group of simple consumers with the new offset alone."""
    g, t = s.group(), s.topic()
    a = form(s, g, "A")
    commit(a, g, {t: {0: 1, 1: 2}})
    leave(a, g)
    a.call("DeleteGroups", 2, groups_names=[g])
    commit(a, g, {t: {0: 7}}, v=8)
    commit(a, g, {t: {0: 7}}, generation=-1, member="")
    fetch(a, g, None)
    describe(a, g)


@scenario()
def offsets_go_on_over_generations(s):
    """A commit of one generation is read in the next by another member."""
    g, t = s.group(), s.topic()
    a, b = form(s, g)
    commit(a, g, {t: {0: (5, "from A")}})
    leave(a, g)
    join(b, g)
    fetch(b, g, {t: [0]})
    sync(b, g, {b.member: b"all"})
    commit(b, g, {t: {0: (4, "back")}})
    fetch(b, g, {t: [0]})


@scenario()
def fetch_of_several_groups_in_several_states(s):
    """Each as if it were asked for alone; the empty name among them."""
    s.ready("")
    g, h, k, t = s.group(), s.group(), s.group(), s.topic()
    a = form(s, g, "A")
    commit(a, g, {t: {0: 5}})
    join(s.conn("P"), h)
    a.call("OffsetFetch", 8, require_stable=True, groups=[{"group_id": name, "topics": [{"name": t, "partition_indexes": [0, 1]}]} for name in (g, h, k, "")])
    a.call("OffsetFetch", 9, groups=[{"group_id": g, "topics": []}, {"group_id": k, "topics": []}])


@scenario()
def unreadable_metadata_may_mean_any_topic(s):
    """A consumer whose metadata is one byte: its group counts as subscribed to everything."""
    g, t = s.group(), s.topic()
    a = s.conn("A")
    enter(a, g, protocols=(("range", b"\0"),))
    recv_join(a)
    sync(a, g, {a.member: b"all"})
    commit(a, g, {t: {0: 1}})
    delete(a, g, {t: [0]})
    leave(a, g)
    delete(a, g, {t: [0]})
    fetch(a, g, None)


@scenario()
def offsets_of_a_consumer_without_topics_may_be_deleted(s):
    """Subscribed to nothing: everything may go, while the group lives."""
    g, t = s.group(), s.topic()
    a, b = form(s, g)
    commit(a, g, {t: {0: 1, 1: 2}})
    delete(a, g, {t: [0]})
    send_join(a, g)
    delete(b, g, {t: [1]})
    fetch(b, g, None)
    join(b, g)
    recv_join(a)


@scenario()
def offsets_deleted_during_the_first_initial_delay(s):
    """What the members read is not known before the first generation, and may be anything."""
    g, t = s.group(), s.topic()
    a, x = s.conn("A"), s.conn("X")
    commit(x, g, {t: {0: 5}}, generation=-1, member="")
    ids(g, a)
    enter(a, g)
    delete(x, g, {t: [0]})
    recv_join(a)
    delete(x, g, {t: [0]})


@scenario()
def offsets_deleted_during_the_first_initial_delay_of_a_group_of_ids(s):
    """The same where an id that was given out had made the group."""
    g, t = s.group(), s.topic()
    a, x = s.conn("A"), s.conn("X")
    ids(g, a)
    commit(x, g, {t: {0: 5}}, generation=-1, member="")
    enter(a, g)
    delete(x, g, {t: [0]})
    recv_join(a)
    delete(x, g, {t: [0]})


@scenario()
def offsets_deleted_during_a_later_initial_delay(s):
    """A group that became empty reads nothing, until the newcomer is in."""
    g, t = s.group(), s.topic()
    a, b, x = s.conn("A"), s.conn("B"), s.conn("X")
    ids(g, a)
    enter(a, g)
    recv_join(a)
    leave(a, g)
    commit(x, g, {t: {0: 5}}, generation=-1, member="")
    ids(g, b)
    enter(b, g)
    delete(x, g, {t: [0]})
    recv_join(b)


@scenario()
def offsets_deleted_after_a_static_restart_with_other_topics(s):
    """What the group reads is that of the last join phase: the next process's topics count from the next one on."""
    g, t, u = s.group(), s.topic(), s.topic()
    a, x = static(s, "A", "one"), s.conn("X")
    send_join(a, g, protocols=(("range", s.subscription(t)),))
    recv_join(a)
    sync(a, g, {a.member: b"all"})
    commit(a, g, {t: {0: 5}, u: {0: 6}})
    a2 = static(s, "A2", "one", "client-a")
    join(a2, g, protocols=(("range", s.subscription(u)),))
    delete(x, g, {t: [0], u: [0]})
    join(a2, g, protocols=(("range", s.subscription(u)),))
    delete(x, g, {t: [0], u: [0]})
