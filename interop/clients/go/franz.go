package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go (kgo and kadm); its default is cooperative-sticky.
type franz struct{ at string }

func newFranz(at string) library { return franz{at} }

func (f franz) client(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(more, kgo.SeedBrokers(f.at))...)
}

func (f franz) admin(ask func(context.Context, *kadm.Client) error) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return ask(ctx, kadm.NewClient(client))
}

func (f franz) create(topic string, partitions int) error {
	return f.admin(func(ctx context.Context, admin *kadm.Client) error {
		_, err := admin.CreateTopic(ctx, int32(partitions), 1, nil, topic)
		return err
	})
}

func (f franz) produce(topic string, all []record) error {
	client, err := f.client(kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	var sent []*kgo.Record
	for _, r := range all {
		sent = append(sent, &kgo.Record{Key: []byte(r.key), Value: []byte(r.value)})
	}
	return client.ProduceSync(context.Background(), sent...).FirstErr()
}

func (f franz) ends(topic string) (map[int]int64, error) {
	ends := map[int]int64{}
	return ends, f.admin(func(ctx context.Context, admin *kadm.Client) error {
		listed, err := admin.ListEndOffsets(ctx, topic)
		listed.Each(func(o kadm.ListedOffset) { ends[int(o.Partition)] = o.Offset })
		return err
	})
}

func (f franz) committed(topic, group string) (map[int]int64, error) {
	committed := map[int]int64{}
	return committed, f.admin(func(ctx context.Context, admin *kadm.Client) error {
		fetched, err := admin.FetchOffsetsForTopics(ctx, group, topic)
		fetched.Each(func(o kadm.OffsetResponse) { committed[int(o.Partition)] = o.At })
		return errors.Join(err, fetched.Error())
	})
}

func (f franz) list() (map[string]string, error) {
	groups := map[string]string{}
	return groups, f.admin(func(ctx context.Context, admin *kadm.Client) error {
		listed, err := admin.ListGroups(ctx)
		for name, listed := range listed {
			groups[name] = listed.State
		}
		return err
	})
}

func (f franz) describe(name string) (described group, err error) {
	err = f.admin(func(ctx context.Context, admin *kadm.Client) error {
		all, err := admin.DescribeGroups(ctx, name)
		described = group{all[name].State, len(all[name].Members)}
		return errors.Join(err, all.Error())
	})
	return described, err
}

func (f franz) reset(topic, group string) error {
	committed, err := f.committed(topic, group)
	if err != nil {
		return err
	}
	return f.admin(func(ctx context.Context, admin *kadm.Client) error {
		offsets := kadm.Offsets{}
		for partition := range committed {
			offsets.Add(kadm.Offset{Topic: topic, Partition: int32(partition), At: 0, LeaderEpoch: -1})
		}
		return admin.CommitAllOffsets(ctx, group, offsets)
	})
}

func (f franz) delete(group string) error {
	return f.admin(func(ctx context.Context, admin *kadm.Client) error {
		deleted, err := admin.DeleteGroups(ctx, group)
		return errors.Join(err, deleted.Error())
	})
}

func (f franz) member(ctx context.Context, topic, group, instance string) error {
	var lock sync.Mutex
	mine := map[int]bool{}
	changed := func(now map[string][]int32, owned bool) {
		lock.Lock()
		defer lock.Unlock()
		for _, partition := range now[topic] {
			if owned {
				mine[int(partition)] = true
			} else {
				delete(mine, int(partition))
			}
		}
		var all []int
		for partition := range mine {
			all = append(all, partition)
		}
		sayOwned(all)
	}
	gained := func(_ context.Context, _ *kgo.Client, now map[string][]int32) { changed(now, true) }
	lost := func(_ context.Context, _ *kgo.Client, gone map[string][]int32) { changed(gone, false) }
	revoked := func(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			println("commit:", err.Error())
		}
		changed(gone, false)
	}
	options := []kgo.Opt{
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(10 * time.Second), kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(gained), kgo.OnPartitionsRevoked(revoked), kgo.OnPartitionsLost(lost), kgo.DisableAutoCommit(),
	}
	if instance != "" {
		options = append(options, kgo.InstanceID(instance))
	}
	client, err := f.client(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetched := client.PollFetches(ctx)
		fetched.EachRecord(func(r *kgo.Record) { sayRecord(int(r.Partition), r.Offset, r.Value) })
	}
	return client.CommitUncommittedOffsets(context.Background())
}
