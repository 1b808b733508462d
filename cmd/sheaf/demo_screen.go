package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sheafgrid/sheaf/client/identity"
	"github.com/sheafgrid/sheaf/protocol"
)

// jobStanding is how the demo's job stands, as its publisher sees it.
type jobStanding struct {
	protocol.JobView
	Accepted uint64 // tasks of level 0 that are decided
	Returned uint64 // results, all levels
	Wrong    uint64
}

// await follows the job until something holds, and shows it.
func (d *demo) await(ctx context.Context, holds func(jobStanding) bool) error {
	flags := serverFlags{Server: d.urls(), Account: d.publisherKey(), Timeout: 30 * time.Second}
	if _, err := identity.Load(d.publisherKey(), identity.Account); err != nil {
		return err
	}
	s, err := flags.reader(d.app)
	if err != nil {
		return err
	}
	defer s.remote.Close()
	limit := time.Now().Add(3 * time.Minute)
	for {
		v, err := s.job(ctx, d.result.Job)
		if err != nil {
			return err
		}
		d.screen.job(v)
		if holds(standing(v)) {
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("the job stands still: %s", v.WaitsFor)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func standing(v protocol.JobView) jobStanding {
	s := jobStanding{JobView: v}
	if p := v.Progress; p != nil {
		s.Accepted, s.Returned, s.Wrong = p.Accepted+p.Failed, p.Returned, p.Wrong
	}
	if len(v.Levels) > 1 {
		s.Accepted = v.Levels[0].Tasks
	}
	return s
}

// demoScreen shows the demo: on a terminal events above and a moving picture
// below, elsewhere plain lines, with --json an object for each event.
type demoScreen struct {
	app   *app
	meter *jobMeter
	began time.Time
	tenth uint64 // of the job, last printed there
}

func newDemoScreen(a *app) *demoScreen {
	return &demoScreen{app: a, meter: newJobMeter(a), began: time.Now()}
}

// event tells what has happened.
func (s *demoScreen) event(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if s.app.json {
		s.app.print(map[string]any{"event": text, "seconds": time.Since(s.began).Round(10 * time.Millisecond).Seconds()})
		return
	}
	s.meter.clear()
	s.app.say("%5.1f s  %s.", time.Since(s.began).Seconds(), text)
	s.meter.draw()
}

// job shows how the job stands. Elsewhere than on a terminal it is told about
// every tenth of the way.
func (s *demoScreen) job(v protocol.JobView) {
	if s.meter.width > 0 {
		s.meter.show(v)
		return
	}
	st := standing(v)
	tenth := 10 * st.Accepted / max(1, v.Levels[0].Tasks)
	if tenth == s.tenth || s.app.json {
		return
	}
	s.tenth = tenth
	s.app.say("%5.1f s    %s", time.Since(s.began).Seconds(), strings.Join(meterLines(v, 0), "; "))
}

// end leaves the last picture standing.
func (s *demoScreen) end() { s.meter.end() }
