package loadgen

import (
	"testing"
	"time"
)

func TestPaceSpreadsHostsEvenly(t *testing.T) {
	const hosts, rate = 4, 20.0 // an exchange each 50 ms, of each host each 200 ms
	for host := range hosts {
		p := paceOf(rate, host, hosts)
		for turn := range 3 {
			want := time.Duration(50*host+200*turn) * time.Millisecond
			if wait, late := p.turn(0); wait != want || late != 0 {
				t.Errorf("host %d, turn %d: got a wait of %s, late by %s; want %s and 0", host, turn, wait, late, want)
			}
		}
	}
}

func TestPaceMakesUpForLostTime(t *testing.T) {
	p := paceOf(10, 0, 1) // each 100 ms
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for _, c := range []struct{ now, wait, late time.Duration }{
		{ms(0), 0, 0},
		{ms(30), ms(70), 0},
		{ms(450), 0, ms(250)}, // an answer took 350 ms: turns 2, 3 and 4 are overdue
		{ms(451), 0, ms(151)},
		{ms(452), 0, ms(52)},
		{ms(453), ms(47), 0},
	} {
		if wait, late := p.turn(c.now); wait != c.wait || late != c.late {
			t.Errorf("at %s: got a wait of %s, late by %s; want %s, %s", c.now, wait, late, c.wait, c.late)
		}
	}
}

func TestNoPaceIsAtOnce(t *testing.T) {
	p := paceOf(0, 3, 4)
	for _, now := range []time.Duration{0, time.Second, time.Hour} {
		if wait, late := p.turn(now); wait != 0 || late != 0 {
			t.Errorf("at %s: got a wait of %s, late by %s; want none", now, wait, late)
		}
	}
}
