package httpapi

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sheafgrid/sheaf/protocol"
)

// A cluster that carries out 1,000 exchanges a second, and hosts that want four
// times as many: as many are carried out as before, each after about as long as
// patience says, and few come in vain.
func TestShedding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience, hosts = 500 * time.Millisecond, 4000
		rnd := rand.New(rand.NewPCG(1, 2))
		s := newShedder(patience, time.Now, rnd.Int64N)
		type waiting struct {
			since time.Time
			leave func()
		}
		var queue []waiting
		due := make([]time.Time, hosts) // when each host comes next; a second after its answer
		for i := range due {
			due[i] = time.Now().Add(time.Duration(rnd.Int64N(int64(time.Second))))
		}
		inside := map[int]int{} // place in the queue's order of coming: which host
		came := 0
		var done, sent int
		var longest time.Duration
		for ms := range 60_000 {
			if ms == 30_000 {
				done, sent, longest = 0, 0, 0
			}
			for i := range due {
				if due[i].IsZero() || due[i].After(time.Now()) {
					continue
				}
				leave, err := s.enter()
				if err == nil {
					inside[came], due[i] = i, time.Time{}
					queue = append(queue, waiting{time.Now(), leave})
					came++
					continue
				}
				var no *protocol.Error
				if !errors.As(err, &no) || no.Code != protocol.CodeOverloaded || no.RetryMillis < 250 {
					t.Fatalf("sent away with %v", err)
				}
				due[i] = time.Now().Add(time.Duration(no.RetryMillis) * time.Millisecond)
				sent++
			}
			if len(queue) > 0 { // one each millisecond
				first := queue[0]
				queue = queue[1:]
				first.leave()
				longest = max(longest, time.Since(first.since))
				k := came - len(queue) - 1
				due[inside[k]] = time.Now() // at once again
				delete(inside, k)
				done++
			}
			time.Sleep(time.Millisecond)
		}
		t.Logf("30 s: %d carried out, the longest in %s; %d sent away; pause %s", done, longest, sent, s.pause)
		if done < 29_900 {
			t.Errorf("%d exchanges were carried out, the cluster can do 30000", done)
		}
		if longest > patience+100*time.Millisecond {
			t.Errorf("an exchange took %s, patience is %s", longest, patience)
		}
		if sent == 0 || sent > done/3 {
			t.Errorf("%d came in vain, %d were let in", sent, done)
		}
	})
}

// A few that are stuck send nobody away, many do, and once they are gone the door is
// open.
func TestSheddingForgivesAFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShedder(time.Second, time.Now, rand.Int64N)
		var leave []func()
		for range fewStuck {
			l, err := s.enter()
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, l)
		}
		time.Sleep(time.Minute)
		l, err := s.enter()
		if err != nil {
			t.Fatalf("%d are stuck: %v", fewStuck, err)
		}
		leave = append(leave, l)
		time.Sleep(2 * time.Second)
		if _, err := s.enter(); err == nil {
			t.Fatalf("%d are stuck, and another one is let in", fewStuck+1)
		}
		for _, l := range leave {
			l()
			l() // once more does nothing
		}
		if s.served != len(leave) {
			t.Errorf("%d are counted as served, want %d", s.served, len(leave))
		}
		if _, err := s.enter(); err != nil {
			t.Fatalf("all are gone: %v", err)
		}
	})
}
