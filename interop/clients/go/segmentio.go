package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// segmentio is segmentio's kafka-go: join and sync of version 0 and 1 days, no static members.
type segmentio struct{ at string }

func newSegmentio(at string) library { return segmentio{at} }

func (s segmentio) client() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(s.at), Timeout: 30 * time.Second}
}

func (s segmentio) create(topic string, partitions int) error {
	created, err := s.client().CreateTopics(context.Background(), &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: 1}},
	})
	if err != nil {
		return err
	}
	return created.Errors[topic]
}

func (s segmentio) produce(topic string, all []record) error {
	writer := &kafka.Writer{Addr: kafka.TCP(s.at), Topic: topic, Balancer: &kafka.Hash{}, RequiredAcks: kafka.RequireAll, BatchTimeout: 10 * time.Millisecond}
	var sent []kafka.Message
	for _, r := range all {
		sent = append(sent, kafka.Message{Key: []byte(r.key), Value: []byte(r.value)})
	}
	return errors.Join(writer.WriteMessages(context.Background(), sent...), writer.Close())
}

func (s segmentio) partitions(topic string) (ids []int, err error) {
	answer, err := s.client().Metadata(context.Background(), &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	for _, partition := range answer.Topics[0].Partitions {
		ids = append(ids, partition.ID)
	}
	return ids, answer.Topics[0].Error
}

func (s segmentio) ends(topic string) (map[int]int64, error) {
	partitions, err := s.partitions(topic)
	if err != nil {
		return nil, err
	}
	asked := []kafka.OffsetRequest{}
	for _, partition := range partitions {
		asked = append(asked, kafka.LastOffsetOf(partition))
	}
	answer, err := s.client().ListOffsets(context.Background(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: asked}})
	if err != nil {
		return nil, err
	}
	ends := map[int]int64{}
	for _, partition := range answer.Topics[topic] {
		ends[partition.Partition], err = partition.LastOffset, errors.Join(err, partition.Error)
	}
	return ends, err
}

func (s segmentio) committed(topic, group string) (map[int]int64, error) {
	partitions, err := s.partitions(topic)
	if err != nil {
		return nil, err
	}
	answer, err := s.client().OffsetFetch(context.Background(), &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: partitions}})
	if err != nil {
		return nil, err
	}
	committed := map[int]int64{}
	for _, partition := range answer.Topics[topic] {
		committed[partition.Partition], err = partition.CommittedOffset, errors.Join(err, partition.Error)
	}
	return committed, errors.Join(err, answer.Error)
}

func (s segmentio) list() (map[string]string, error) {
	answer, err := s.client().ListGroups(context.Background(), &kafka.ListGroupsRequest{})
	if err != nil {
		return nil, err
	}
	groups := map[string]string{}
	for _, listed := range answer.Groups {
		groups[listed.GroupID] = ""
	}
	return groups, answer.Error
}

func (s segmentio) describe(name string) (group, error) {
	answer, err := s.client().DescribeGroups(context.Background(), &kafka.DescribeGroupsRequest{GroupIDs: []string{name}})
	if err != nil {
		return group{}, err
	}
	return group{answer.Groups[0].GroupState, len(answer.Groups[0].Members)}, answer.Groups[0].Error
}

func (s segmentio) reset(topic, group string) error {
	partitions, err := s.partitions(topic)
	if err != nil {
		return err
	}
	commits := []kafka.OffsetCommit{}
	for _, partition := range partitions {
		commits = append(commits, kafka.OffsetCommit{Partition: partition, Offset: 0})
	}
	answer, err := s.client().OffsetCommit(context.Background(), &kafka.OffsetCommitRequest{
		GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: commits},
	})
	if err != nil {
		return err
	}
	for _, partition := range answer.Topics[topic] {
		err = errors.Join(err, partition.Error)
	}
	return err
}

func (s segmentio) delete(group string) error {
	answer, err := s.client().DeleteGroups(context.Background(), &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return err
	}
	return answer.Errors[group]
}

func (s segmentio) member(ctx context.Context, topic, name, _ string) error {
	consumer, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: name, Brokers: []string{s.at}, Topics: []string{topic}, StartOffset: kafka.FirstOffset,
		SessionTimeout: 10 * time.Second, HeartbeatInterval: 500 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	// Close waits for the generation, which ends when its functions have; they end with ctx or the generation.
	for ctx.Err() == nil {
		generation, err := consumer.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				println("next:", err.Error())
			}
			continue
		}
		mine, running := []int{}, sync.WaitGroup{}
		for _, assigned := range generation.Assignments[topic] {
			mine = append(mine, assigned.ID)
		}
		sayOwned(mine)
		for _, assigned := range generation.Assignments[topic] {
			running.Add(1)
			generation.Start(func(until context.Context) {
				defer running.Done()
				s.read(ctx, until, generation, topic, assigned)
			})
		}
		generation.Start(func(until context.Context) {
			select {
			case <-until.Done():
			case <-ctx.Done():
			}
			running.Wait()
			sayOwned(nil)
		})
	}
	return consumer.Close()
}

// read reads one partition of one generation and commits what it read at its end.
func (s segmentio) read(ctx, until context.Context, generation *kafka.Generation, topic string, assigned kafka.PartitionAssignment) {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(until, cancel)()
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{s.at}, Topic: topic, Partition: assigned.ID, MaxWait: 100 * time.Millisecond})
	defer reader.Close()
	if err := reader.SetOffset(assigned.Offset); err != nil {
		println("seek:", err.Error())
		return
	}
	next := assigned.Offset
	for {
		message, err := reader.ReadMessage(both)
		if err != nil {
			break
		}
		sayRecord(message.Partition, message.Offset, message.Value)
		next = message.Offset + 1
	}
	if next >= 0 {
		if err := generation.CommitOffsets(map[string]map[int]int64{topic: {assigned.ID: next}}); err != nil {
			println("commit:", err.Error())
		}
	}
}
