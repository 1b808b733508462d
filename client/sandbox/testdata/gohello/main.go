// A Go program that uses what Go's runtime needs of the system: it is built
// when the tests run.
package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	fmt.Println("args", os.Args, "environment", os.Environ())
	start := time.Now()
	fmt.Println("started", start.UTC().Format(time.DateTime))
	time.Sleep(time.Hour)
	if d := time.Since(start); d < time.Hour || d > time.Hour+time.Second {
		return fmt.Errorf("an hour took %v", d)
	}
	b := make([]byte, 4)
	_, _ = rand.Read(b)
	fmt.Printf("random %x\n", b)

	var paths []string
	err := filepath.WalkDir("/in", func(path string, _ os.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	fmt.Println("inputs", paths, err)
	if _, err := os.Stat("/etc/passwd"); err == nil {
		return fmt.Errorf("a file of the host is there")
	}
	return write()
}

func write() error {
	if err := os.MkdirAll("/out/parts/old", 0o755); err != nil {
		return err
	}
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			name := fmt.Sprintf("/out/parts/%d", i)
			if err := os.WriteFile(name, []byte(fmt.Sprintln("part", i)), 0o644); err != nil {
				panic(err)
			}
		})
	}
	wait.Wait()
	if err := os.RemoveAll("/out/parts/old"); err != nil {
		return err
	}
	entries, err := os.ReadDir("/out/parts")
	if err != nil {
		return err
	}
	sort.Slice(entries, func(i, k int) bool { return entries[i].Name() > entries[k].Name() })
	f, err := os.Create("/out/all")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	for _, e := range entries {
		b, err := os.ReadFile("/out/parts/" + e.Name())
		if err != nil {
			return err
		}
		_, _ = w.Write(b)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
