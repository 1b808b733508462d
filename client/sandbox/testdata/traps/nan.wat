(module (memory (export "memory") 1) (func (export "_start") (drop (i64.trunc_f32_u (f32.const nan)))))
