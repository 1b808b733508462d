package gate

// otherFiles is how many file descriptors a process needs beside those of the
// connections that a gate lets in: its log, blobs that are read, its peers.
const otherFiles = 1024

// Most is how many connections a process can have of those that it would like,
// with the file descriptors that the system gives it. Go has raised its own soft
// limit to the hard one by then.
func Most(wanted int) int { return mostOf(wanted, files()) }

// mostOf is Most where there are so many descriptors; 0: the system sets no
// limit. Where there are few, half of them are for the rest.
func mostOf(wanted int, files uint64) int {
	if files == 0 || files > 1<<30 {
		return wanted
	}
	return max(1, min(wanted, int(files-min(otherFiles, files/2))))
}
