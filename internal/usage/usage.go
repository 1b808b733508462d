// Package usage tells what processes use of a machine, and what the machine's
// own host takes away from it, where the system says so: on Linux.
//
// It reads files under /proc, keeps nothing and starts no goroutine.
package usage

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// errNotThere is returned where this system does not tell what is asked for.
var errNotThere = errors.New("this system does not say")

// clockTick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux
// that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage is what a process has used so far, and holds now.
type Usage struct {
	CPU      time.Duration // user and system
	Resident int64         // bytes
}

// Machine is how the processors of a machine have spent their time, in ticks.
type Machine struct {
	Stolen uint64 // by the host of a virtual machine
	Idle   uint64 // with nothing to do, or waiting for a disk
	Total  uint64
}

// StealPercent is the part of the processors' time that the machine's own host
// gave to others between two readings, in percent.
func StealPercent(from, to Machine) float64 {
	return part(to.Stolen, from.Stolen, from, to)
}

// BusyPercent is the part of the processors' time that programs had between two
// readings, in percent.
func BusyPercent(from, to Machine) float64 {
	return part(to.Total-to.Idle-to.Stolen, from.Total-from.Idle-from.Stolen, from, to)
}

// PercentOf is a process's time as a part of all processors' time between two
// readings, in percent.
func PercentOf(d time.Duration, from, to Machine) float64 {
	return part(uint64(d/clockTick), 0, from, to)
}

func part(after, before uint64, from, to Machine) float64 {
	if to.Total <= from.Total || after < before {
		return 0
	}
	return 100 * float64(after-before) / float64(to.Total-from.Total)
}

// parseUsage reads /proc/PID/stat. The second field is the name of the program,
// in parentheses, and may hold anything, so fields are counted from its end.
func parseUsage(stat string, pageSize int) (Usage, error) {
	_, rest, ok := strings.Cut(stat[max(0, strings.LastIndexByte(stat, ')')):], ")")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 22 {
		return Usage{}, fmt.Errorf("%q is no line of /proc/PID/stat", stat)
	}
	var n [3]uint64 // utime, stime, rss: the fields 14, 15 and 24
	for i, at := range []int{14, 15, 24} {
		var err error
		if n[i], err = strconv.ParseUint(fields[at-3], 10, 50); err != nil {
			return Usage{}, fmt.Errorf("field %d of /proc/PID/stat: %w", at, err)
		}
	}
	return Usage{CPU: time.Duration(n[0]+n[1]) * clockTick, Resident: int64(n[2]) * int64(pageSize)}, nil
}

// parseMachine reads the first line of /proc/stat: user, nice, system, idle,
// iowait, irq, softirq, steal; what follows is part of the first two.
func parseMachine(stat string) (Machine, error) {
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return Machine{}, fmt.Errorf("%q is no first line of /proc/stat", line)
	}
	var m Machine
	for i, f := range fields[1:9] {
		n, err := strconv.ParseUint(f, 10, 63)
		if err != nil {
			return Machine{}, fmt.Errorf("field %d of /proc/stat: %w", i+1, err)
		}
		m.Total += n
		switch i {
		case 3, 4:
			m.Idle += n
		case 7:
			m.Stolen = n
		}
	}
	return m, nil
}
