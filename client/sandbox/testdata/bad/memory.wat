;; Needs more memory at the start than the tests' limit allows.
(module (memory (export "memory") 65536) (func (export "_start")))
