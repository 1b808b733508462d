package wasi

import "fmt"

// Errno is the error number that a call hands to the program, as WASI numbers
// them. Zero is success.
type Errno uint16

// The error numbers that this system uses, with their POSIX names.
const (
	errBadDescriptor Errno = 8  // EBADF
	errBusy          Errno = 10 // EBUSY
	errExists        Errno = 20 // EEXIST
	errFault         Errno = 21 // EFAULT: an address outside of the program's memory
	errIllegalBytes  Errno = 25 // EILSEQ: a path that is not text
	errInvalid       Errno = 28 // EINVAL
	errIsFolder      Errno = 31 // EISDIR
	errTooManyOpen   Errno = 33 // EMFILE
	errNameTooLong   Errno = 37 // ENAMETOOLONG
	errNoEntry       Errno = 44 // ENOENT
	errNoSuchCall    Errno = 52 // ENOSYS
	errNotFolder     Errno = 54 // ENOTDIR
	errNotEmpty      Errno = 55 // ENOTEMPTY
	errReadOnly      Errno = 69 // EROFS
	errNotSeekable   Errno = 70 // ESPIPE
	errNotCapable    Errno = 76 // ENOTCAPABLE: a path that leads out of the folder it starts from
)

// Error gives the number; programs see nothing else of it.
func (e Errno) Error() string { return fmt.Sprintf("WASI error %d", uint16(e)) }
