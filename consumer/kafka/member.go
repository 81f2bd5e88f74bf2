package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/describegroups"
	"go.uber.org/zap"
)

func clientID(cfg Config) string {
	if cfg.ClientID == "" {
		return "signoff"
	}
	return cfg.ClientID
}

// awaitTopics returns the partitions of each topic, 0 for one that does not
// exist, as soon as there is one to read.
func (s *Source) awaitTopics(ctx context.Context) (map[string]int, error) {
	for {
		topics, err := s.topics(ctx)
		if err != nil {
			return nil, err
		}
		var missing []string
		for _, t := range s.cfg.TopicNames() {
			if topics[t] == 0 {
				missing = append(missing, t)
			}
		}
		s.state.found(missing)
		if len(missing) < len(s.cfg.Topics) {
			return topics, nil
		}
		s.state.answers(ourGroup)
		s.turn(ctx)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// topics returns the number of partitions of each topic, 0 for one that does
// not exist.
func (s *Source) topics(ctx context.Context) (map[string]int, error) {
	return partitions(ctx, s.client, s.cfg.TopicNames())
}

// takeOutDead takes out of the group what an earlier run left in it, so that
// nobody need wait for its session to end: the member the ledger remembers,
// and, since a process can die between joining and remembering, every member
// that goes by our ClientID. Taking out one that lives after all does no harm:
// it joins again, and the watermarks keep the two apart.
func (s *Source) takeOutDead(ctx context.Context) error {
	id, err := s.ledger.Member(ctx, s.cfg.Group)
	if err != nil {
		s.log.Warn("the ledger does not say who was in the group last", zap.Error(err))
	}
	s.member = id
	if id == "" && s.cfg.ClientID == "" {
		return nil
	}
	members, err := s.members(ctx)
	if err != nil {
		return err
	}
	var dead []string
	for m, client := range members {
		if m == id || client == s.cfg.ClientID && client != "" {
			dead = append(dead, m)
		}
	}
	if len(dead) == 0 {
		return nil
	}
	return s.takeOut(ctx, dead)
}

// takeOut makes members leave the group, and looks whether they did: the
// library misreads a refusal, taking the time to throttle for the error.
func (s *Source) takeOut(ctx context.Context, dead []string) error {
	for _, id := range dead {
		if _, err := s.client.LeaveGroup(ctx, &kafka.LeaveGroupRequest{
			GroupID: s.cfg.Group, Members: []kafka.LeaveGroupRequestMember{{ID: id}},
		}); err != nil {
			return fmt.Errorf("take a dead member out of the group: %w", err)
		}
	}
	members, err := s.members(ctx)
	if err != nil {
		return err
	}
	for _, id := range dead {
		if _, ok := members[id]; ok {
			return fmt.Errorf("take a dead member out of the group: %s is still in it", id)
		}
		s.log.Info("took a dead member out of the group", zap.String("member", id))
	}
	return nil
}

// members returns the client ids of the group's members, by member id. A broker
// that is not ready to tell is an error, one that will not tell is none: then
// the group waits for the sessions of the dead to end.
func (s *Source) members(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// Not Client.DescribeGroups, which fails on a member whose metadata it can't read.
	m, err := s.transport.RoundTrip(ctx, s.client.Addr, &describegroups.Request{Groups: []string{s.cfg.Group}})
	if err != nil {
		return nil, fmt.Errorf("describe the group: %w", err)
	}
	members := map[string]string{}
	for _, g := range m.(*describegroups.Response).Groups {
		switch code := kafka.Error(g.ErrorCode); {
		case code.Temporary():
			return nil, fmt.Errorf("describe the group: %w", code)
		case code != 0 && code != kafka.GroupIdNotFound:
			s.log.Warn("the broker does not say who is in the group: dead members stay until their sessions end", zap.Error(code))
		}
		for _, member := range g.Members {
			members[member.MemberID] = member.ClientID
		}
	}
	return members, nil
}

// remember tells the ledger which member we are.
func (s *Source) remember(ctx context.Context, id string) {
	if id == s.member {
		return
	}
	if err := s.ledger.SetMember(ctx, s.cfg.Group, id); err != nil {
		s.log.Warn("the ledger does not take who we are in the group", zap.Error(err))
		return
	}
	s.member = id
}

// leave leaves the group, or gives up after leaveTimeout.
func leave(group *kafka.ConsumerGroup) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		group.Close()
	}()
	select {
	case <-left:
	case <-time.After(leaveTimeout):
	}
}
