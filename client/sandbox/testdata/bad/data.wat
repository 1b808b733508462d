;; Its data lies outside of its memory: it validates, and cannot be laid out.
(module (memory (export "memory") 1) (data (i32.const 65534) "data") (func (export "_start")))
