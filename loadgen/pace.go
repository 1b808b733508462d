package loadgen

import "time"

// pace says when the exchanges of one host are due. Times are counted from the
// start of a run. The zero pace lets every exchange follow the last at once.
type pace struct {
	interval time.Duration // between two exchanges of the host
	next     time.Duration
}

// paceOf spreads rate exchanges a second evenly over hosts, and the hosts
// evenly over the interval. A rate of 0 is as fast as possible.
func paceOf(rate float64, host, hosts int) pace {
	if rate <= 0 {
		return pace{}
	}
	interval := time.Duration(float64(hosts) / rate * float64(time.Second))
	return pace{interval: interval, next: interval * time.Duration(host) / time.Duration(hosts)}
}

// turn takes the host's next turn. It is to wait; or it is late, and then that
// is part of what its exchange takes: a cluster that stands still must not look
// fast because nobody asked it meanwhile. What was missed is made up for.
func (p *pace) turn(now time.Duration) (wait, late time.Duration) {
	if p.interval == 0 {
		return 0, 0
	}
	due := p.next
	p.next += p.interval
	return max(0, due-now), max(0, now-due)
}
