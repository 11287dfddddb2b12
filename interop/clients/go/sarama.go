package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"
)

// saramaClient is sarama: range, eager, commits on a timer and at the end.
type saramaClient struct{ at []string }

func newSarama(at string) library { return saramaClient{[]string{at}} }

func (s saramaClient) config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Return.Successes = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Session.Timeout = 10 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	return config
}

func (s saramaClient) admin(ask func(sarama.ClusterAdmin) error) error {
	admin, err := sarama.NewClusterAdmin(s.at, s.config())
	if err != nil {
		return err
	}
	defer admin.Close()
	return ask(admin)
}

func (s saramaClient) create(topic string, partitions int) error {
	return s.admin(func(admin sarama.ClusterAdmin) error {
		return admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: 1}, false)
	})
}

func (s saramaClient) produce(topic string, all []record) error {
	producer, err := sarama.NewSyncProducer(s.at, s.config())
	if err != nil {
		return err
	}
	defer producer.Close()
	var sent []*sarama.ProducerMessage
	for _, r := range all {
		sent = append(sent, &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(r.key), Value: sarama.StringEncoder(r.value)})
	}
	return producer.SendMessages(sent)
}

func (s saramaClient) ends(topic string) (map[int]int64, error) {
	client, err := sarama.NewClient(s.at, s.config())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	partitions, err := client.Partitions(topic)
	ends := map[int]int64{}
	for _, partition := range partitions {
		end, failed := client.GetOffset(topic, partition, sarama.OffsetNewest)
		ends[int(partition)], err = end, errors.Join(err, failed)
	}
	return ends, err
}

func (s saramaClient) committed(topic, group string) (map[int]int64, error) {
	ends, err := s.ends(topic)
	if err != nil {
		return nil, err
	}
	asked := map[string][]int32{}
	for partition := range ends {
		asked[topic] = append(asked[topic], int32(partition))
	}
	committed := map[int]int64{}
	return committed, s.admin(func(admin sarama.ClusterAdmin) error {
		fetched, err := admin.ListConsumerGroupOffsets(group, asked)
		if err != nil {
			return err
		}
		for partition, block := range fetched.Blocks[topic] {
			committed[int(partition)] = block.Offset
		}
		return nil
	})
}

func (s saramaClient) list() (groups map[string]string, err error) {
	return groups, s.admin(func(admin sarama.ClusterAdmin) error {
		listed, err := admin.ListConsumerGroups()
		groups = map[string]string{}
		for name := range listed {
			groups[name] = "" // it prints protocol types, not states
		}
		return err
	})
}

func (s saramaClient) describe(name string) (described group, err error) {
	err = s.admin(func(admin sarama.ClusterAdmin) error {
		all, err := admin.DescribeConsumerGroups([]string{name})
		if err == nil {
			described = group{all[0].State, len(all[0].Members)}
		}
		return err
	})
	return described, err
}

func (s saramaClient) reset(topic, group string) error {
	committed, err := s.committed(topic, group)
	if err != nil {
		return err
	}
	config := s.config()
	config.Consumer.Offsets.AutoCommit.Enable = false
	client, err := sarama.NewClient(s.at, config)
	if err != nil {
		return err
	}
	defer client.Close()
	manager, err := sarama.NewOffsetManagerFromClient(group, client)
	if err != nil {
		return err
	}
	for partition := range committed {
		managed, err := manager.ManagePartition(topic, int32(partition))
		if err != nil {
			return err
		}
		managed.ResetOffset(0, "")
		defer managed.AsyncClose()
	}
	manager.Commit()
	return manager.Close()
}

func (s saramaClient) delete(group string) error {
	return s.admin(func(admin sarama.ClusterAdmin) error { return admin.DeleteConsumerGroup(group) })
}

func (s saramaClient) member(ctx context.Context, topic, group, instance string) error {
	config := s.config()
	config.Consumer.Group.InstanceId = instance
	consumer, err := sarama.NewConsumerGroup(s.at, group, config)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := consumer.Consume(ctx, []string{topic}, saramaHandler{topic}); err != nil && ctx.Err() == nil {
			println("consume:", err.Error())
		}
	}
	return consumer.Close()
}

type saramaHandler struct{ topic string }

func (h saramaHandler) Setup(session sarama.ConsumerGroupSession) error {
	var mine []int
	for _, partition := range session.Claims()[h.topic] {
		mine = append(mine, int(partition))
	}
	sayOwned(mine)
	return nil
}

func (h saramaHandler) Cleanup(sarama.ConsumerGroupSession) error {
	sayOwned(nil)
	return nil
}

func (h saramaHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			sayRecord(int(message.Partition), message.Offset, message.Value)
			session.MarkMessage(message, "")
		case <-session.Context().Done():
			return nil
		}
	}
}
