(module (memory (export "memory") 1) (table 1 funcref) (elem (i32.const 0) $f) (type $t (func (result i64)))
  (func $f) (func (export "_start") (drop (call_indirect (type $t) (i32.const 0)))))
